"""An interrupted run leaves a journal, and --resume leads to the state of an uninterrupted one."""

import json
import random
import signal
import time
import unittest

from harness import DONE, FAILED, INTERRUPTED, THROTTLED, UNAUTHORIZED, Entry, SluiceTest, by_key, parse_ndjson, sample

COUNT = 6000
ENTRIES = sample(COUNT)


class Resume(SluiceTest):
    def setUp(self):
        super().setUp()
        # Slow enough that a run takes about a second and can be caught in the middle.
        self.fake = self.server("--latency", "20ms")
        self.env = self.fake.environment()
        self.there = ["--store", "cloudflare:", "--namespace", "test", "--rate", "off"]
        self.moment = random.Random()

    def interrupt(self, signal_number, *arguments, longest=0.7):
        """Starts a run, signals it at a random moment after its first request, and returns how it ended
        and when that was."""
        moment = self.moment.uniform(0.0, longest)
        before = self.fake.stats()["total"]
        running = self.start("kv", *arguments, env=self.env)
        while self.fake.stats()["total"] == before and running.process.poll() is None:
            time.sleep(0.005)
        time.sleep(moment)
        running.send(signal_number)
        return running.end(), moment

    def until_done(self, *arguments, signal_number, rounds=4):
        """Interrupts a run, and its continuations, then lets the last one end."""
        interrupted = 0
        for number in range(rounds):
            flags = ["--resume"] if number else []
            result, moment = self.interrupt(signal_number, *arguments, *flags)
            if result.code == DONE:
                return interrupted
            expected = -signal.SIGKILL if signal_number == signal.SIGKILL else INTERRUPTED
            self.assertEqual(result.code, expected, f"signalled after {moment:.3f} s\n{result}")
            interrupted += 1
        self.sluice("kv", *arguments, "--resume", env=self.env)
        return interrupted

    def check_export(self, signal_number, form):
        self.fake.fill("test", ENTRIES)
        whole = self.folder / "whole"
        self.sluice("kv", "export", *self.there, "--format", form, "-o", whole, env=self.env)
        for attempt in range(3):
            with self.subTest(attempt=attempt):
                out = self.folder / f"out{attempt}"
                arguments = ["export", *self.there, "--format", form, "-o", out, "--concurrency", "4"]
                result, moment = self.interrupt(signal_number, *arguments)
                if result.code != DONE:
                    # Only a kill can come between the renaming and the end: then all is in the file.
                    if out.exists():
                        self.assertEqual(signal_number, signal.SIGKILL,
                                         f"an unfinished file has the final name ({moment:.3f})")
                        self.assertEqual(out.read_bytes(), whole.read_bytes())
                    self.until_done(*arguments, "--resume", signal_number=signal_number, rounds=2)
                self.assertEqual(out.read_bytes(), whole.read_bytes())
                left = [p.name for p in self.folder.iterdir() if p.name.startswith(f"out{attempt}")]
                self.assertEqual(left, [out.name])

    def test_export_ndjson_after_ctrl_c(self):
        self.check_export(signal.SIGINT, "ndjson")

    def test_export_json_after_ctrl_c(self):
        self.check_export(signal.SIGINT, "json")

    def test_export_csv_after_sigterm(self):
        self.check_export(signal.SIGTERM, "csv")

    def test_export_after_kill(self):
        self.check_export(signal.SIGKILL, "ndjson")

    def check_delete(self, signal_number, *more):
        self.fake.fill("test", ENTRIES)
        self.until_done("delete", *self.there, "--tag-field", "tags", "--tag-value", "even", "--yes",
                        "--batch-size", "100", "--concurrency", "2", *more,
                        signal_number=signal_number)
        expected = {e.key: e for i, e in enumerate(ENTRIES) if i % 2}
        self.same(self.fake.entries("test"), expected)

    def test_delete_after_ctrl_c(self):
        self.check_delete(signal.SIGINT)

    def test_delete_after_kill(self):
        self.check_delete(signal.SIGKILL)

    def test_delete_with_a_spool_after_kill(self):
        self.check_delete(signal.SIGKILL, "--max-delete", "3000")

    def check_import(self, signal_number):
        path = self.file("in.ndjson", "".join(entry.line() for entry in ENTRIES))
        self.fake.create("test")
        self.until_done("import", *self.there, "--yes", "--batch-size", "200", "--concurrency", "2", path,
                        signal_number=signal_number)
        self.same(self.fake.entries("test"), by_key(ENTRIES))

    def test_import_after_ctrl_c(self):
        self.check_import(signal.SIGINT)

    def test_import_after_kill(self):
        self.check_import(signal.SIGKILL)

    def test_a_file_that_was_written_anew_is_not_gone_on_with(self):
        def lines(letter):
            return "".join(Entry(f"key:{i:05}", letter * 300).line() for i in range(6000))

        path = self.file("in.ndjson", lines("a"))
        self.fake.create("test")
        self.fake.faults(script=[{"route": "PUT bulk", "nth": 12, "fault": "403"}])
        arguments = ["kv", "import", *self.there, "--yes", "--batch-size", "200", "--concurrency", "1", path]
        self.sluice(*arguments, env=self.env, code=UNAUTHORIZED)
        self.fake.faults()
        self.file("in.ndjson", lines("b"))  # as long as before
        self.sluice(*arguments, "--resume", env=self.env)
        self.assertEqual({entry.value for entry in self.fake.entries("test").values()}, {b"b" * 300})

    def test_copy_after_kill(self):
        self.fake.fill("test", ENTRIES)
        self.fake.create("target")
        self.until_done("copy", *self.there, "--to-namespace", "target", "--yes", "--concurrency", "4",
                        signal_number=signal.SIGKILL)
        self.same(self.fake.entries("target"), by_key(ENTRIES))

    def begin_export(self, *more):
        """Begins an export that the server cuts off; the file that it writes."""
        self.fake.fill("test", ENTRIES)
        out = self.folder / "out.csv"
        self.fake.faults(script=[{"route": "POST bulk/get", "nth": 12, "fault": "403"}])
        arguments = ["kv", "export", *self.there, "-o", out, "--concurrency", "1", *more]
        self.sluice(*arguments, env=self.env, code=UNAUTHORIZED)
        self.fake.faults()
        return out, arguments

    def test_a_resumed_export_keeps_its_format(self):
        for way in ("--resume", "jobs resume"):
            with self.subTest(way=way):
                out, arguments = self.begin_export()
                job = json.loads(self.sluice("jobs", "list", "--json").lines()[0])
                self.assertEqual(job["state"], "unfinished")
                self.assertGreater(job["done"], 0)
                # Asked for as something else, it is not gone on with.
                self.refused(*arguments, "--format", "ndjson", "--resume", env=self.env, code=FAILED,
                             mentions=[job["job"]])
                if way == "--resume":
                    self.sluice(*arguments, "--resume", env=self.env)
                else:
                    self.sluice("jobs", "resume", job["job"], env=self.env)
                whole = self.sluice("kv", "export", *self.there, "--format", "csv", env=self.env).out
                self.assertEqual(out.read_bytes(), whole)
                out.unlink()

    def test_resume_does_not_begin_anew(self):
        self.fake.fill("test", ENTRIES)
        out = self.folder / "out"
        arguments = ["kv", "export", *self.there, "-o", out, "--concurrency", "2"]
        running = self.start(*arguments, env=self.env)
        # 60 bulk gets in all: stop when about half are done.
        deadline = time.monotonic() + 60
        while self.fake.stats()["requests"].get("POST bulk/get", 0) < 30:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        running.send(signal.SIGINT)
        first = running.end()
        self.assertEqual(first.code, INTERRUPTED, str(first))
        self.assertRegex(first.complaint, "sluice (jobs resume|kv export .*--resume)")
        before = self.fake.stats()["requests"]["POST bulk/get"]
        self.sluice(*arguments, "--resume", env=self.env)
        self.assertLess(self.fake.stats()["requests"]["POST bulk/get"] - before, 45)
        self.same(parse_ndjson(out.read_bytes()), by_key(ENTRIES))

    def test_a_refused_cursor_means_listing_again(self):
        self.fake.fill("test", ENTRIES)
        out = self.folder / "out"
        arguments = ["export", *self.there, "-o", out]
        result, _ = self.interrupt(signal.SIGINT, *arguments, longest=0.4)
        if result.code != DONE:
            self.fake.faults(script=[{"route": "GET keys", "nth": 1, "fault": "refuse_cursor"}])
            self.sluice("kv", *arguments, "--resume", env=self.env)
        self.same(parse_ndjson(out.read_bytes()), by_key(ENTRIES))

    def test_deadline(self):
        self.fake.fill("test", ENTRIES)
        out = self.folder / "out"
        arguments = ["kv", "export", *self.there, "-o", out, "--concurrency", "2"]
        self.sluice(*arguments, "--deadline", "300ms", env=self.env, code=THROTTLED)
        self.assertFalse(out.exists())
        self.sluice(*arguments, "--resume", env=self.env)
        self.same(parse_ndjson(out.read_bytes()), by_key(ENTRIES))

    def test_resume_without_a_job_starts_one(self):
        self.fake.fill("test", ENTRIES[:100])
        out = self.folder / "out"
        self.sluice("kv", "export", *self.there, "-o", out, "--resume", env=self.env)
        self.same(parse_ndjson(out.read_bytes()), by_key(ENTRIES[:100]))
        # A finished job runs anew.
        self.fake.fill("test", ENTRIES[:120])
        self.sluice("kv", "export", *self.there, "-o", out, "--resume", env=self.env)
        self.same(parse_ndjson(out.read_bytes()), by_key(ENTRIES[:120]))

    def test_second_signal_ends_at_once(self):
        self.fake.fill("test", ENTRIES)
        self.fake.faults(rates={"stall": 100}, stall_ms=60_000)
        running = self.start("kv", "list", *self.there, "--all", env=self.env)
        time.sleep(0.5)
        running.send(signal.SIGINT)
        time.sleep(0.5)
        begun = time.monotonic()
        running.send(signal.SIGINT)
        result = running.end()
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertLess(time.monotonic() - begun, 30, "it waited for the stalled answer")

    def test_jobs(self):
        self.fake.fill("test", ENTRIES)
        out = self.folder / "out"
        arguments = ["kv", "export", *self.there, "-o", out, "--concurrency", "2"]
        self.sluice(*arguments, "--deadline", "300ms", env=self.env, code=THROTTLED)
        listed = [json.loads(line) for line in
                  self.sluice("jobs", "list", "--json", env=self.env).lines()]
        self.assertEqual(len(listed), 1)
        identity = listed[0]["job"]
        shown = self.sluice("jobs", "show", identity, env=self.env).text
        self.assertIn("export", shown)
        self.assertNotIn(self.fake.token, shown)
        self.sluice("jobs", "resume", identity, "--yes", env=self.env)
        self.same(parse_ndjson(out.read_bytes()), by_key(ENTRIES))
        self.sluice("jobs", "remove", identity, "--yes", env=self.env)
        self.assertEqual(self.sluice("jobs", "list", "--json", env=self.env).lines(), [])
        self.sluice("jobs", "show", identity, env=self.env, code=4)

    def test_journals_hold_no_secret(self):
        self.fake.fill("test", ENTRIES)
        self.sluice("kv", "export", *self.there, "-o", self.folder / "out", "--deadline", "100ms",
                    env=self.env, code=THROTTLED)
        seen = 0
        for path in (self.home / "state").rglob("*"):
            if path.is_file():
                seen += 1
                self.assertNotIn(self.fake.token.encode(), path.read_bytes(), path)
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        self.assertGreater(seen, 0)


if __name__ == "__main__":
    unittest.main()
