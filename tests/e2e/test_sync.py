"""`kv sync`: the target is made equal, and what only it has goes last, if at all."""

import json
import signal
import unittest

from harness import DONE, INTERRUPTED, NOT_FOUND, ODD_ENTRIES, USAGE, Entry, SluiceTest, by_key, sample


class Sync(SluiceTest):
    def setUp(self):
        super().setUp()
        self.target = f"sqlite:{self.folder / 'target.db'}"
        self.there = ["--store", self.store, "--namespace", "test", "--to", self.target]

    def sync(self, *arguments, **more):
        return self.sluice("kv", "sync", *self.there, *arguments, "--json", **more).json()

    def in_target(self):
        return self.content(store=self.target)

    def test_first_everything_then_nothing(self):
        self.load(ODD_ENTRIES)
        first = self.sync("--create-namespace")
        self.assertEqual((first["missing"], first["equal"], first["done"]),
                         (len(ODD_ENTRIES), 0, len(ODD_ENTRIES)))
        self.same(self.in_target(), by_key(ODD_ENTRIES))
        again = self.sync("--checksum")
        self.assertEqual((again["missing"], again["different"], again["equal"], again["selected"]),
                         (0, 0, len(ODD_ENTRIES), 0))

    def test_what_is_only_in_the_target_stays_unless_delete_is_given(self):
        self.load(sample(50))
        self.load(sample(30) + [Entry("own:1", "x"), Entry("own:2", "y")], store=self.target)
        kept = self.sync()
        self.assertEqual((kept["missing"], kept["equal"], kept["extra"], kept["deleted"]), (20, 30, 2, 0))
        self.same(self.in_target(), by_key(sample(50) + [Entry("own:1", "x"), Entry("own:2", "y")]))
        self.refused("kv", "sync", *self.there, "--delete", mentions=["--yes"])
        shown = self.sluice("kv", "sync", *self.there, "--delete", "--dry-run")
        self.assertIn("2 would be deleted", shown.complaint)
        self.assertEqual(len(self.in_target()), 52)
        self.refused("kv", "sync", *self.there, "--delete", "--yes", "--max-delete", "1", code=1,
                     mentions=["--max-delete"])
        self.assertEqual(len(self.in_target()), 52)
        gone = self.sync("--delete", "--yes")
        self.assertEqual((gone["extra"], gone["deleted"], gone["done"]), (2, 2, 2))
        self.same(self.in_target(), by_key(sample(50)))

    def test_a_source_that_does_not_exist_is_not_an_empty_one(self):
        self.load(sample(3), store=self.target, namespace="default")
        for absent in (f"sqlite:{self.folder / 'mistyped.db'}", "sqlite:"):
            for command in (("sync", "--delete", "--yes"), ("copy",)):
                result = self.sluice("kv", *command, "--store", absent, "--to", self.target,
                                     "--to-namespace", "default", code=NOT_FOUND)
                self.assertIn("there is no file", result.complaint)
        self.assertFalse((self.folder / "mistyped.db").exists())
        self.assertEqual(len(self.content(namespace="default", store=self.target)), 3)

    def test_on_a_terminal_it_asks_with_the_count(self):
        self.load(sample(3))
        self.load(sample(3) + [Entry("own:1", "x")], store=self.target)
        words = ["kv", "sync", *self.there, "--delete"]
        no = self.on_terminal(*words, answers=[(b"[y/N]", b"n\n")], whole=True)
        self.assertIn(b"Delete 1 key from", no.err)
        self.assertEqual(len(self.in_target()), 4)
        self.assertEqual(self.sluice("jobs", "list", "--json").lines(), [])
        self.on_terminal(*words, answers=[(b"[y/N]", b"y\n")], whole=True)
        self.assertEqual(len(self.in_target()), 3)

    def test_a_question_that_is_interrupted_leaves_nothing_to_resume(self):
        self.load([Entry("own:1", "x")], store=self.target)
        words = ["kv", "sync", *self.there, "--delete"]
        for missing in (0, 3):  # nothing else to do; or what is missing is written before the question
            with self.subTest(missing=missing):
                self.load(sample(3 + missing))
                self.load(sample(3), store=self.target)
                shown = self.on_terminal(*words, answers=[(b"[y/N]", signal.SIGINT)], whole=True)
                self.assertEqual(shown.code, INTERRUPTED, str(shown))
                self.assertEqual(shown.err.count(b"sluice: "), 1, str(shown))
                self.assertIn(b"sluice: interrupted: nothing was deleted", shown.err)
                self.assertNotIn(b"resume", shown.err)
                jobs = [json.loads(line) for line in self.sluice("jobs", "list", "--json").lines()]
                self.assertEqual([(job["state"], job["done"]) for job in jobs],
                                 [("failed", missing)] if missing else [])
                self.assertEqual(len(self.in_target()), 4 + missing)

    def test_through_cloudflare(self):
        fake = self.server()
        env = fake.environment()
        self.load(sample(2500))
        fake.fill("remote", sample(2400) + [Entry("own", "x")])
        words = ["kv", "sync", "--store", self.store, "--namespace", "test", "--to", "cloudflare:",
                 "--to-namespace", "remote", "--rate", "off"]
        fake.reset()
        report = self.sluice(*words, "--delete", "--yes", "--json", env=env).json()
        self.assertEqual((report["missing"], report["different"], report["equal"], report["deleted"]),
                         (100, 0, 2400, 1))
        self.same(fake.entries("remote"), by_key(sample(2500)))
        # Three pages to list, one put, one delete, and the look-up of the namespace.
        self.assertLessEqual(report["requests"], 7)
        # A value that differs alone is seen with --checksum only.
        fake.fill("remote", [Entry("item:0003", "altered", sample(4)[3].metadata)])
        self.assertEqual(self.sluice(*words, "--json", env=env).json()["different"], 0)
        self.assertEqual(self.sluice(*words, "--checksum", "--json", env=env).json()["different"], 1)
        self.same(fake.entries("remote"), by_key(sample(2500)))

    def test_a_failed_listing_deletes_nothing(self):
        fake = self.server()
        env = fake.environment()
        fake.fill("remote", sample(2500))
        self.load(sample(2500) + [Entry(f"own:{n}", "x") for n in range(10)])
        fake.faults(script=[{"route": "GET keys", "first": 3, "last": 9, "fault": "403"}])
        words = ["kv", "sync", "--store", "cloudflare:", "--namespace", "remote", "--to", self.store,
                 "--to-namespace", "test", "--delete", "--yes", "--rate", "off"]
        self.sluice(*words, env=env, code=5)
        self.assertEqual(len(self.content()), 2510)
        fake.faults()
        self.sluice(*words, env=env)
        self.assertEqual(len(self.content()), 2500)

    def test_interrupted_and_resumed(self):
        fake = self.server("--latency", "30ms")
        env = fake.environment()
        self.load(sample(3000))
        fake.fill("remote", sample(1000) + [Entry(f"own:{n:04}", "x") for n in range(1500)])
        words = ["kv", "sync", "--store", self.store, "--namespace", "test", "--to", "cloudflare:",
                 "--to-namespace", "remote", "--delete", "--yes", "--batch-size", "50", "--concurrency",
                 "2", "--rate", "off"]
        for number, signal_number in enumerate([signal.SIGINT, signal.SIGKILL, signal.SIGTERM]):
            before = fake.stats()["total"]
            running = self.start(*words, *(["--resume"] if number else []), env=env)
            while fake.stats()["total"] < before + 12 and running.process.poll() is None:
                pass
            running.send(signal_number)
            result = running.end()
            self.assertIn(result.code, (DONE, INTERRUPTED, -signal.SIGKILL), str(result))
        self.sluice(*words, "--resume", env=env)
        self.same(fake.entries("remote"), by_key(sample(3000)))

    def test_refusals(self):
        self.load(sample(3))
        self.refused("kv", "sync", "--store", self.store, "--namespace", "test", mentions=["same"])
        self.refused("kv", "sync", *self.there, "--create-namespace", "--delete", "--yes",
                     "--list-partitions", "a,b", mentions=["--list-partitions"])
        self.refused("kv", "sync", *self.there, "--create-namespace", "--delete", "--yes", "--limit", "2",
                     mentions=["--limit"])
        self.refused("kv", "sync", *self.there, "--pattern", "(", mentions=["("])


class Partitions(SluiceTest):
    def test_prefixes_side_by_side(self):
        fake = self.server("--latency", "20ms")
        env = fake.environment()
        fake.fill("test", sample(5000))
        words = ["kv", "list", "--store", "cloudflare:", "--namespace", "test", "--all", "--format", "keys",
                 "--rate", "off"]
        whole = self.sluice(*words, env=env)
        parts = ",".join(f"item:{n}" for n in range(5))
        shown = self.sluice(*words, "--list-partitions", parts, env=env)
        self.assertEqual(sorted(shown.lines()), sorted(whole.lines()))
        self.assertIn("complete only if every key begins with one of these", shown.complaint)
        again = self.sluice(*words, "--list-partitions", parts, env=env)
        self.assertEqual(again.out, shown.out)

    def test_the_embedded_store_takes_a_number(self):
        # More than a page for each piece, so that the pages of the pieces take turns.
        self.load([Entry(f"k{n:06}", "v") for n in range(40_000)])
        words = ["kv", "export", "--store", self.store, "--namespace", "test", "--format", "keys"]
        whole = self.sluice(*words)
        parted = self.sluice(*words, "--list-partitions", "4")
        self.assertFalse(parted.out == whole.out, "not in turns")
        self.assertTrue(sorted(parted.lines()) == sorted(whole.lines()))

    def test_a_delete_by_partitions(self):
        fake = self.server()
        fake.fill("test", sample(3000) + [Entry("other", "stays")])
        self.sluice("kv", "delete", "--store", "cloudflare:", "--namespace", "test", "--all-keys", "--yes",
                    "--list-partitions", "item:0,item:1,item:2", "--rate", "off", env=fake.environment())
        self.same(fake.entries("test"), by_key([Entry("other", "stays")]))

    def test_refusals(self):
        self.load(sample(3))
        there = ["kv", "list", "--store", self.store, "--namespace", "test", "--all"]
        for bad in ("a,ab", "a,a", "a,,b", "0", "100", ""):
            with self.subTest(bad=bad):
                self.refused(*there, "--list-partitions", bad, code=USAGE)
        self.refused(*there, "--prefix", "a", "--list-partitions", "b", mentions=["--prefix"])
        fake = self.server()
        fake.fill("test", sample(3))
        self.refused("kv", "list", "--store", "cloudflare:", "--namespace", "test", "--all",
                     "--list-partitions", "4", env=fake.environment(), mentions=["cannot begin"])


class ResumeOfAnother(SluiceTest):
    """--resume continues only what was asked for."""

    def setUp(self):
        super().setUp()
        self.fake = self.server("--latency", "40ms")
        self.env = self.fake.environment()
        self.fake.fill("test", sample(8000))
        self.there = ["--store", "cloudflare:", "--namespace", "test", "--rate", "off"]

    def leave_unfinished(self, *arguments):
        result = self.sluice("kv", *arguments, "--deadline", "200ms", env=self.env, code=6)
        self.assertIn("Continue with", result.complaint)

    def test_an_output_of_another_selection_is_refused(self):
        out = self.folder / "out"
        self.leave_unfinished("export", *self.there, "-o", out, "--concurrency", "1")
        refused = self.refused("kv", "export", *self.there, "-o", out, "--prefix", "item:1", "--resume",
                               code=1, env=self.env, mentions=["another selection", "jobs resume"])
        self.assertNotIn(self.fake.token, refused.complaint)
        self.assertFalse(out.exists())

    def test_another_selection_is_a_new_job_and_says_so(self):
        self.leave_unfinished("delete", *self.there, "--prefix", "item:", "--yes", "--concurrency", "1",
                              "--batch-size", "10")
        shown = self.sluice("kv", "delete", *self.there, "--prefix", "item:79", "--resume", "--yes",
                            env=self.env)
        self.assertIn("not continued", shown.complaint)


if __name__ == "__main__":
    unittest.main()
