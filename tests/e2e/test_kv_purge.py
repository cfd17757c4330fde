"""`sluice kv purge`: what is deleted is purged of its tags, also after a run that was cut off."""

import json
import os
import random
import re
import signal
import subprocess
import time
import unittest

from harness import (DONE, FAILED, INTERRUPTED, NOT_FOUND, PATIENCE, SLUICE, SOME_FAILED,
                     UNAUTHORIZED, Entry)
from purge_case import Purges

SEED = int(os.environ.get("SLUICE_SEED", random.randrange(10**9)))


class KvPurge(Purges):
    def setUp(self):
        super().setUp()
        self.fill()
        self.there = ["--store", "cloudflare:", "--namespace", "pages", "--zone", "example.com"]

    def fill(self, count=30):
        self.fake.fill("pages", [self.page(i) for i in range(count)])

    @staticmethod
    def page(i):
        shapes = ({"tags": [f"n{i}", "all"]}, {"cache-tag": f"n{i}, all"}, {"cacheTags": f"n{i}"},
                  {"tag": f"n{i}", "cache-tags": ["all"]}, {"other": {"labels": [f"o{i}"]}})
        return Entry(f"page:{i:03}", f"text {i}", json.dumps(shapes[i % 5]))

    def kv_purge(self, *arguments, **more):
        return self.sluice("kv", "purge", *self.there, *arguments, env=self.env, **more)

    def test_purges_the_tags_of_what_it_deletes(self):
        result = self.kv_purge("--prefix", "page:00", "--tag", "front,home", "--yes", "--json")
        expected = {f"n{i}" for i in range(10) if i % 5 != 4} | {"all", "front", "home"}
        self.assertEqual(sorted(self.purged()), sorted(expected))
        self.assertEqual(self.calls(), 1)
        self.assertEqual(len(self.fake.entries("pages")), 20)
        found = result.json()
        self.assertEqual((found["done"], found["tags"]["purged"], found["tags"]["left"]),
                         (10, len(expected), 0))
        self.assertEqual(found["tags"]["requests"], 1)

    def test_a_hundred_tags_a_call(self):
        self.fake.fill("pages", [Entry(f"{i:03}", "x", json.dumps({"tags": [f"t{i}", f"u{i}"]}))
                                 for i in range(125)])
        result = self.kv_purge("--all-keys", "--yes", "--json")
        # With the 25 of the 30 pages that are there already.
        self.assertEqual((result.json()["tags"]["purged"], self.calls()), (275, 3))
        self.assertEqual(len(set(self.purged())), 275)

    def test_the_field_can_be_named(self):
        result = self.kv_purge("--prefix", "page:00", "--tags-from", "other.labels", "--yes")
        self.assertEqual(sorted(self.purged()), ["o4", "o9"])
        self.assertIn("2 of the 10 selected entries", result.complaint)
        # A field that no entry has is most likely a mistake.
        result = self.kv_purge("--prefix", "page:01", "--tags-from", "typo", "--dry-run")
        self.assertIn('none of the 10 selected entries has the field "typo"', result.complaint)

    def test_keys_by_name_and_in_a_file(self):
        self.kv_purge("page:001", "page:004", "absent", "--yes")
        self.assertEqual(sorted(self.purged()), ["all", "n1"])
        # A few keys are asked for: the listing of a large namespace would cost far more.
        self.assertEqual((self.calls("GET keys"), self.calls("POST bulk/get")), (0, 1))
        self.kv_purge("--keys-file", self.file("keys", "page:002\n"), "--yes")
        self.assertEqual(sorted(self.purged()), ["all", "n1", "n2"])
        self.assertEqual(len(self.fake.entries("pages")), 27)
        self.refused("kv", "purge", *self.there, "--keys-file", "-", "--yes", env=self.env,
                     mentions="file")

    def test_a_zone_that_is_not_there_deletes_nothing(self):
        self.refused("kv", "purge", "--store", "cloudflare:", "--namespace", "pages", "--all-keys",
                     "--zone", "nowhere.test", "--yes", env=self.env, code=NOT_FOUND,
                     mentions="nowhere.test")
        self.refused("kv", "purge", "--store", "cloudflare:", "--namespace", "pages", "--all-keys",
                     "--yes", env=self.env, mentions="--zone")
        self.refused("kv", "purge", *self.there, "--yes", env=self.env, mentions="--all-keys")
        self.refused("kv", "purge", *self.there, "--all-keys", env=self.env, mentions="--yes")
        self.refused("kv", "purge", *self.there, "--all-keys", "--max-delete", "29", "--yes",
                     env=self.env, code=FAILED, mentions="30 keys")
        self.assertEqual(len(self.fake.entries("pages")), 30)
        self.nothing_purged()

    def test_dry_run_and_prompt(self):
        result = self.kv_purge("--all-keys", "-n", "--json")
        self.assertEqual((result.json()["done"], result.json()["tags"]["items"]), (30, 25))
        shown = self.on_terminal("kv", "purge", *self.there, "--all-keys",
                                 answers=[(b"?", b"n\n")], env=self.env)
        self.assertIn(b"Delete 30 keys", shown.err)
        self.nothing_purged()
        shown = self.on_terminal("kv", "purge", *self.there, "--all-keys",
                                 answers=[(b"?", signal.SIGINT)], env=self.env)
        self.assertEqual(shown.code, INTERRUPTED, str(shown))
        self.assertEqual(shown.err.count(b"sluice"), 1, str(shown))
        self.assertIn(b"sluice: interrupted: nothing was deleted", shown.err)
        self.assertEqual(self.sluice("jobs", "list", "--json").lines(), [])
        self.nothing_purged()
        self.assertEqual(len(self.fake.entries("pages")), 30)
        shown = self.on_terminal("kv", "purge", *self.there, "--all-keys",
                                 answers=[(b"?", b"y\n")], env=self.env)
        self.assertEqual(shown.code, DONE, str(shown))
        self.assertEqual(len(self.purged()), 25)

    def test_a_key_that_was_not_deleted_keeps_its_tags(self):
        self.fake.faults(fail_keys={"page:000": -1, "page:001": -1})
        result = self.kv_purge("--prefix", "page:00", "--yes", code=SOME_FAILED)
        self.assertIn("2 failed", result.complaint)
        self.assertNotIn("n0", self.purged())
        self.assertNotIn("n1", self.purged())
        self.assertIn("all", self.purged())  # a deleted one bears it, too
        self.assertIn("n2", self.purged())

    def test_refused_deletions_purge_nothing(self):
        self.fake.faults(rates={"403": 100}, routes=["POST bulk/delete"])
        self.kv_purge("--prefix", "page:00", "--yes", code=UNAUTHORIZED)
        self.nothing_purged()

    def test_any_store(self):
        self.sluice("kv", "import", "--store", self.store, "--namespace", "p", "--create-namespace",
                    self.file("in.ndjson", "".join(self.page(i).line() for i in range(7))))
        result = self.sluice("kv", "purge", "--store", self.store, "--namespace", "p", "--prefix",
                             "page", "--zone", "example.com", "--yes", "--json", env=self.env)
        self.assertEqual(sorted(self.purged()), ["all", "n0", "n1", "n2", "n3", "n5", "n6"])
        self.assertEqual(result.json()["requests"], 2)

    def test_a_purge_that_fails_is_resumed(self):
        for resume in ("job", "flag", "command"):
            with self.subTest(resume=resume):
                self.fill()
                self.fake.ask("POST", "/__control/purged", b"")
                self.fake.faults(rates={"403": 100}, routes=["POST purge_cache"])
                result = self.kv_purge("--all-keys", "--yes", code=UNAUTHORIZED)
                self.assertIn("25 of 25 cache tags were not purged", result.complaint)
                self.assertEqual(len(self.fake.entries("pages")), 0)
                self.assertEqual(self.purged(), [])
                self.fake.faults()
                self.fake.reset()
                if resume == "job":
                    job = result.complaint.split("sluice jobs resume ")[1].split()[0]
                    self.sluice("jobs", "resume", job, env=self.env)
                elif resume == "flag":
                    self.kv_purge("--all-keys", "--yes", "--resume")
                else:
                    told = result.complaint.split("just them with: sluice purge ")[1].split("\n")[0]
                    self.purge(*told.split())
                self.assertEqual(len(set(self.purged())), 25)
                self.assertEqual(self.calls(), 1)
                self.assertEqual(self.calls("POST bulk/delete"), 0)  # nothing is deleted again
                if resume != "command":
                    states = [json.loads(line)["state"] for line in
                              self.sluice("jobs", "list", "--json").lines()]
                    self.assertEqual(states[0], "finished")
                else:
                    # The same again, without --resume, does not know of the tags: it says so.
                    anew = self.kv_purge("--all-keys", "--yes")
                    self.assertIn("did not finish: `sluice jobs resume", anew.complaint)

    def test_jobs_tells_of_tags_that_wait(self):
        self.fake.faults(rates={"403": 100}, routes=["POST purge_cache"])
        result = self.kv_purge("--all-keys", "--yes", code=UNAUTHORIZED)
        # Two ways to go on, and which one to take.
        self.assertRegex(result.complaint,
                         r"Resuming the job purges 25 cache tags .* too\. Only if you do not resume "
                         r"it: purge just them with: sluice purge tags --zone")
        self.assertEqual([json.loads(line)["tags_left"] for line in
                          self.sluice("jobs", "list", "--json").lines()], [25])
        lines = self.sluice("jobs", "list").lines()
        self.assertIn("TAGS LEFT", lines[0])
        self.assertRegex(lines[1], r"unfinished +30 +30 +0 +25 ")
        job = lines[1].split()[0]
        self.assertRegex(self.sluice("jobs", "show", job).text, r"tags left +25 to purge")
        self.refused("jobs", "remove", job, mentions="25 cache tags of deleted keys")
        self.assertEqual(self.sluice("jobs", "show", job, "--json").json()["tags_left"], 25)
        told = self.sluice("jobs", "remove", job, "--yes").complaint
        self.assertIn("with 25 cache tags that it had still to purge", told)

    def test_tags_that_are_refused_are_told_and_resumed(self):
        self.fake.faults(fail_items=['"n3"'])
        result = self.kv_purge("--all-keys", "--yes", code=SOME_FAILED)
        self.assertIn("1 of 25 cache tags were not purged", result.complaint)
        self.assertEqual(len(set(self.purged())), 24)
        self.fake.faults()
        self.kv_purge("--all-keys", "--yes", "--resume")
        self.assertIn("n3", self.purged())
        self.assertEqual(len(self.purged()), 25)


class Interrupted(Purges):
    flags = ("--latency", "20ms")

    def test_one_way_to_go_on_is_told_and_leads_to_the_end(self):
        self.fake.fill("pages", [Entry(f"{i:04}", "x", json.dumps({"tags": [f"n{i}"]}))
                                 for i in range(400)])
        run = self.start("kv", "purge", "--store", "cloudflare:", "--namespace", "pages", "--zone",
                         "example.com", "--all-keys", "--yes", "--batch-size", "5", "--concurrency",
                         "1", "--rate", "off", env=self.env)
        deadline = time.monotonic() + PATIENCE
        while len(self.fake.entries("pages")) > 390:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        run.send(signal.SIGINT)
        result = run.end()
        self.assertEqual(result.code, INTERRUPTED, str(result))
        gone = 400 - len(self.fake.entries("pages"))
        self.assertLess(gone, 400, "it was too fast")
        self.assertEqual(self.purged(), [])
        told = re.search(r"Resuming the job purges (\d+) cache tags .* Only if you do not resume it: "
                         r"purge just them with: sluice purge tags ", result.complaint)
        self.assertIsNotNone(told, str(result))
        left = int(told[1])
        self.assertTrue(gone <= left <= gone + 5, (gone, left))  # and the batch under way, if any
        job = result.complaint.split("sluice jobs resume ")[1].split()[0]
        self.assertEqual(self.sluice("jobs", "show", job, "--json").json()["tags_left"], left)
        self.sluice("jobs", "resume", job, env=self.env)
        self.assertEqual(sorted(self.purged()), sorted(f"n{i}" for i in range(400)))
        shown = self.sluice("jobs", "show", job, "--json").json()
        self.assertEqual((shown["state"], shown["done"]), ("finished", 400))
        self.assertNotIn("tags_left", shown)


class Killed(Purges):
    """Killed at random moments, and resumed: no tag of a deleted key is forgotten."""

    flags = ("--latency", "6ms")
    count = 400

    def call(self, *arguments, kill_after=None):
        process = subprocess.Popen([SLUICE, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(self.env), cwd=self.folder)
        try:
            out, err = process.communicate(timeout=kill_after or PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=PATIENCE)
            return False
        self.assertEqual(process.returncode, 0, (out, err))
        return True

    def test_ten_runs(self):
        chance = random.Random(SEED)
        arguments = ["kv", "purge", "--store", "cloudflare:", "--namespace", "pages", "--zone",
                     "example.com", "--all-keys", "--yes", "--batch-size", "10", "--concurrency",
                     "3", "--rate", "off"]
        kills = left_over = 0
        longest = None
        for number in range(11):
            self.fake.fill("pages", [
                Entry(f"{i:04}", "x", json.dumps({"tags": [f"n{number}-{i}", f"g{i % 7}"]}))
                for i in range(self.count)])
            self.fake.ask("POST", "/__control/purged", b"")
            if longest is None:  # undisturbed, to learn how long it takes
                begun = time.monotonic()
                self.call(*arguments)
                longest = time.monotonic() - begun
                continue
            resume = []
            for _ in range(chance.choice((1, 2, 3))):
                if self.call(*arguments, *resume, kill_after=chance.uniform(0, longest)):
                    break
                kills += 1
                resume = ["--resume"]
                if 0 < len(self.fake.entries("pages")) < self.count:
                    left_over += 1
            else:
                self.call(*arguments, "--resume")
            self.assertEqual(len(self.fake.entries("pages")), 0, f"seed {SEED}, run {number}")
            wanted = {f"n{number}-{i}" for i in range(self.count)} | {f"g{i}" for i in range(7)}
            self.assertEqual(wanted - set(self.purged()), set(), f"seed {SEED}, run {number}")
        self.assertGreater(kills, 5)
        self.assertGreater(left_over, 0, "no run was killed in the middle of its deletions")


if __name__ == "__main__":
    unittest.main()
