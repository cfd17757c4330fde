"""Results on stdout and nothing else there; progress and talk on stderr; no colours where none belong."""

import json
import os
import pty
import re
import signal
import subprocess
import termios
import time
import unittest

from harness import DONE, INTERRUPTED, SLUICE, THROTTLED, SluiceTest, by_key, parse_ndjson, sample

ESCAPES = re.compile(rb"\x1b")


class Output(SluiceTest):
    def setUp(self):
        super().setUp()
        self.load(sample(2000))
        self.there = ["--store", self.store, "--namespace", "test"]

    def test_stdout_holds_only_results(self):
        for flags in ([], ["-v"], ["-P", "plain"], ["--log-level", "debug"]):
            with self.subTest(flags=flags):
                result = self.sluice("kv", "export", *self.there, *flags)
                self.same(parse_ndjson(result.out), by_key(sample(2000)))

    def test_quiet(self):
        self.assertEqual(self.sluice("kv", "export", *self.there, "-q").err, b"")
        self.assertEqual(self.sluice("kv", "delete", *self.there, "--prefix", "item:000", "--yes",
                                     "--quiet").err, b"")

    def test_no_escapes_in_a_pipe(self):
        result = self.sluice("kv", "list", *self.there, "--metadata", "--format", "table")
        self.assertIsNone(ESCAPES.search(result.out + result.err))
        self.assertNotIn(b"\r", result.err)
        result = self.sluice("kv", "delete", *self.there, "--prefix", "item:00", "--yes")
        self.assertIsNone(ESCAPES.search(result.out + result.err))

    def test_no_color(self):
        arguments = ["kv", "list", *self.there, "--format", "table", "-P", "off"]
        shown = self.on_terminal(*arguments, env={"NO_COLOR": "1"}, whole=True)
        self.assertEqual(shown.code, DONE, str(shown))
        self.assertNotRegex(shown.err, rb"\x1b\[[0-9;]*m")
        shown = self.on_terminal(*arguments, "--color", "never", whole=True)
        self.assertNotRegex(shown.err, rb"\x1b\[[0-9;]*m")

    def test_a_bar_on_a_terminal_and_plain_lines_in_a_pipe(self):
        fake = self.server("--keys", 20_000, "--latency", "60ms")
        arguments = ["kv", "list", "--store", "cloudflare:", "--namespace", "made-up", "--all",
                     "--format", "keys", "--rate", "off"]
        shown = self.on_terminal(*arguments, env=fake.environment())
        self.assertEqual(shown.code, DONE, str(shown))
        self.assertEqual(len(shown.lines()), 20_000)
        self.assertIn(b"\r", shown.err)
        piped = self.sluice(*arguments, env=fake.environment())
        self.assertIsNone(ESCAPES.search(piped.err))
        # How many keys there will be is not known, so no percentage is claimed.
        self.assertNotIn(b"%", piped.err)
        off = self.sluice(*arguments, "-P", "off", env=fake.environment())
        self.assertLessEqual(len(off.complaint.splitlines()), 3)

    def test_a_stopped_terminal_does_not_hold_up_the_job(self):
        """Ctrl-S freezes the display, not the work behind it."""
        fake = self.server("--keys", 20_000, "--latency", "40ms")
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        self.addCleanup(os.close, terminal)
        out = self.folder / "keys"
        termios.tcflow(terminal, termios.TCOOFF)
        process = subprocess.Popen(
            [SLUICE, "kv", "list", "--store", "cloudflare:", "--namespace", "made-up", "--all", "--format",
             "keys", "--rate", "off", "-P", "bar", "-o", out], stdin=subprocess.DEVNULL, stderr=terminal,
            env=self.environment(fake.environment()), cwd=self.folder)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        while not out.exists():
            self.assertLess(time.monotonic(), deadline, "the job waits for its display")
            time.sleep(0.02)
        termios.tcflow(terminal, termios.TCOON)
        self.assertEqual(process.wait(timeout=60), DONE)
        self.assertEqual(len(out.read_bytes().splitlines()), 20_000)

    def test_progress_events(self):
        """With --json, progress is JSON on stderr: counters, stages, requests."""
        fake = self.server("--keys", 300_000, "--metadata")
        result = self.sluice("kv", "delete", "--store", "cloudflare:", "--namespace", "made-up",
                             "--tag-field", "tags", "--tag-value", "t3", "--yes", "--json", "--progress",
                             "plain", "--rate", "30/1s", env=fake.environment())
        events = [json.loads(line) for line in result.complaint.splitlines() if line.startswith("{")]
        self.assertTrue(events, str(result))
        for event in events:
            self.assertEqual(event["event"], "progress")
            self.assertEqual([stage["name"] for stage in event["stages"]], ["listed", "matched", "deleted"])
            self.assertGreater(event["requests"], 0)
        self.assertEqual(result.json()["done"], 30_000)

    def test_json_list_is_ndjson(self):
        result = self.sluice("kv", "list", *self.there, "--all", "--json", "--metadata")
        self.assertEqual(len(parse_ndjson(result.out)), 2000)

    def test_json_of_a_change(self):
        for words in (["delete", *self.there, "--prefix", "item:000", "--yes"],
                      ["copy", *self.there, "--to-namespace", "other", "--create-namespace", "--yes"],
                      ["stats", *self.there]):
            with self.subTest(words=words):
                result = self.sluice("kv", *words, "--json")
                self.assertIsInstance(result.json(), dict)

    def test_json_counts_are_true(self):
        result = self.sluice("kv", "delete", *self.there, "--prefix", "item:00", "--yes", "--json").json()
        self.assertEqual(result["selected"], 100)
        self.assertEqual(result["done"], 100)
        self.assertEqual(result["failed"], 0)
        self.assertEqual(len(self.keys("--all")), 1900)

    def test_a_reader_that_goes_away(self):
        """`sluice kv list | head` ends quietly."""
        process = subprocess.Popen([SLUICE, "kv", "export", *self.there], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment(), cwd=self.folder)
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        code = process.wait(timeout=60)
        self.assertIn(code, (0, 141, -signal.SIGPIPE), err)
        self.assertEqual(err, b"")

    def test_a_question_that_is_interrupted(self):
        self.sluice("cache", "set", "key", "value")
        for arguments, what in ((["cache", "clear"], b"deleted"),
                                (["kv", "put", *self.there, "item:0000", "new", "-i"], b"written"),
                                (["kv", "namespace", "delete", "--store", self.store, "test"], b"deleted")):
            with self.subTest(arguments=arguments):
                shown = self.on_terminal(*arguments, answers=[(b"[y/N]", signal.SIGINT)])
                self.assertEqual(shown.code, INTERRUPTED, str(shown))
                self.assertNotIn(b"stopping", shown.err)
                self.assertIn(b"sluice: interrupted: nothing was " + what, shown.err)
        self.assertEqual(self.sluice("cache", "get", "key").out, b"value")
        self.same(self.content(), by_key(sample(2000)))

    def test_what_stands_in_the_way_is_said_where_no_progress_is(self):
        nobody = ["--store", "redis://127.0.0.1:1"]
        entries = self.file("entries.ndjson", sample(1)[0].line())
        for words in (["get", "x"], ["get", "x", "y"], ["list"], ["export"], ["put", "a", "b"],
                      ["namespace", "list"], ["list", "--namespace", "other"],
                      ["import", entries, "--namespace", "other"]):
            with self.subTest(words=words):
                shown = self.on_terminal("kv", *words, *nobody, whole=True,
                                         answers=[(b"trying again: Redis at 127.0.0.1:1", signal.SIGINT)])
                self.assertEqual(shown.code, INTERRUPTED, str(shown))
                self.assertEqual(shown.err.count(b"trying again"), 1, str(shown))
        silent = ["kv", "get", "x", *nobody, "--deadline", "3s"]
        for words in (["-q"], ["--progress", "off"]):
            with self.subTest(words=words):
                shown = self.on_terminal(*silent, *words)
                self.assertEqual(shown.code, THROTTLED, str(shown))
                self.assertNotIn(b"trying again", shown.err)
        piped = self.sluice(*silent, code=THROTTLED)
        self.assertEqual(piped.out, b"")
        self.assertNotIn("trying again", piped.complaint)

    def test_another_thing_that_stands_in_the_way_is_said(self):
        fake = self.server()
        fake.fill("test", sample(1))
        def bad(fault, first, last):
            return {"route": "POST bulk/get", "first": first, "last": last, "fault": fault}
        fake.faults(script=[bad("500", 1, 4), bad("503", 5, 6)])
        shown = self.on_terminal("kv", "get", sample(1)[0].key.decode(), "--store", "cloudflare:", "--namespace",
                                 "test", env=fake.environment())
        self.assertEqual(shown.out, sample(1)[0].value, str(shown))
        told = [line for line in shown.err.split(b"\r\n") if b"trying again" in line]
        self.assertEqual(["500" in str(line) for line in told], [True, False], str(shown))
        self.assertIn(b"503", told[1])

    def test_output_files_are_private(self):
        path = self.folder / "out"
        self.sluice("kv", "export", *self.there, "-o", path)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.db).st_mode & 0o777, 0o600)

    def test_resize_of_the_terminal_does_no_harm(self):
        fake = self.server("--keys", 20_000, "--latency", "60ms")
        running = self.start("kv", "list", "--store", "cloudflare:", "--namespace", "made-up", "--all",
                             "--format", "keys", "--rate", "off", env=fake.environment())
        for _ in range(5):
            running.send(signal.SIGWINCH)
        result = running.end()
        self.assertEqual(result.code, DONE, str(result))

    def test_verbose_times_each_operation(self):
        fake = self.server("--keys", 3000)
        result = self.sluice("kv", "list", "--store", "cloudflare:", "--namespace", "made-up", "--all",
                             "--format", "keys", "-v", env=fake.environment())
        self.assertIn("ms", result.complaint)
        self.assertNotIn(fake.token, result.complaint)

    def test_numbers_do_not_follow_the_locale(self):
        plain = self.sluice("kv", "stats", *self.there, "--json").out
        other = self.sluice("kv", "stats", *self.there, "--json",
                            env={"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}).out
        self.assertEqual(json.loads(plain)["entries"], json.loads(other)["entries"])
        self.assertEqual(plain, other)


if __name__ == "__main__":
    unittest.main()
