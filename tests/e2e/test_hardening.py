"""What careful people found when they tried to break it; each test is one such find."""

import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time
import unittest

from harness import (FAILED, INTERRUPTED, NOT_FOUND, SLUICE, THROTTLED, USAGE, Entry, SluiceTest,
                     parse_ndjson, sample)

ENTRIES = sample(3000)


class OnSqlite(SluiceTest):
    def setUp(self):
        super().setUp()
        self.there = ["--store", self.store]

    def put(self, key, *more, **options):
        return self.run_sluice("kv", "put", *self.there, key, "value", *more, **options)

    def keys(self):
        return sorted(self.sluice("kv", "list", *self.there, "--all", "--format", "keys").lines())

    def test_a_closed_stdin_ends_at_once(self):
        for words in (["kv", "import"], ["kv", "put", "key"], ["kv", "list", "--keys-file", "-"]):
            with self.subTest(words=words):
                done = subprocess.run(["sh", "-c", 'exec "$0" "$@" <&-', SLUICE, *words, *self.there],
                                      env=self.environment(), cwd=self.folder, timeout=20,
                                      capture_output=True, check=False)
                self.assertNotEqual(done.returncode, 0, done.stderr)

    def test_a_closed_stdout_is_an_error_and_never_a_file(self):
        self.put("a")
        done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', SLUICE, "kv", "export", *self.there],
                              env=self.environment(), cwd=self.folder, timeout=20,
                              stderr=subprocess.PIPE, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.keys(), ["a"])

    def test_all_in_the_environment_is_no_selection_for_delete(self):
        self.put("a")
        self.refused("kv", "delete", *self.there, "--yes", env={"SLUICE_ALL": "1"}, mentions="selected")
        self.assertEqual(self.keys(), ["a"])

    def test_a_dry_run_makes_no_file(self):
        entries = self.folder / "in.ndjson"
        entries.write_text('{"key":"a","value":"1"}\n')
        new = self.folder / "new.db"
        self.sluice("kv", "import", "--store", f"sqlite:{new}", "--dry-run", entries)
        self.assertFalse(new.exists())

    def test_an_import_of_nothing_leaves_nothing(self):
        self.put("a")
        self.refused("kv", "import", *self.there, "--namespace", "new", "--create-namespace",
                     self.folder / "absent", code=NOT_FOUND)
        listed = self.sluice("kv", "namespace", "list", *self.there, "--json").lines()
        self.assertNotIn("new", [json.loads(line)["title"] for line in listed])
        self.assertEqual(self.sluice("jobs", "list", "--json").lines(), [])

    def test_put_keeps_to_the_rules_of_the_narrowest_store(self):
        for key in (".", "..", "k" * 513, ""):
            self.assertEqual(self.put(key).code, USAGE, key)
        for flags in (["--ttl", "59"], ["--ttl", "1s"], ["--expiration", "5"], ["--metadata", ""],
                      ["--metadata", "{"]):
            self.assertEqual(self.put("a", *flags).code, USAGE, flags)
        self.assertEqual(self.keys(), [])

    def test_a_list_of_keys_shows_what_the_store_has(self):
        self.put("a", "--metadata", '{"x":1}')
        keys = self.folder / "keys"
        keys.write_text("a\nabsent\n")
        found = self.sluice("kv", "list", *self.there, "--keys-file", keys, "--metadata", "--json")
        self.assertEqual(found.lines(), ['{"key":"a","metadata":{"x":1}}'])
        stats = self.sluice("kv", "stats", *self.there, "--keys-file", keys, "--json")
        self.assertEqual(json.loads(stats.out)["entries"], 1)

    def test_json_and_another_format_contradict_each_other(self):
        for form in ("table", "csv", "keys"):
            self.refused("kv", "list", *self.there, "--json", "--format", form, mentions=form)

    def test_a_missing_key_is_told_with_verbose_too(self):
        self.put("a")
        self.sluice("kv", "get", *self.there, "-v", "a", "absent", code=NOT_FOUND)

    def test_a_failed_output_counts_nothing(self):
        for number in range(20):
            self.put(f"key {number}")
        result = self.sluice("kv", "export", *self.there, "--json", "-o", "/dev/full", code=FAILED)
        self.assertEqual(json.loads(result.out)["done"], 0)

    def test_without_a_home_nothing_is_read_from_the_current_folder(self):
        environment = self.environment()
        for name in list(environment):
            if name == "HOME" or name.startswith("XDG_"):
                del environment[name]
        done = subprocess.run([SLUICE, "config", "path"], env=environment, cwd=self.folder, timeout=20,
                              capture_output=True, check=True)
        self.assertTrue(done.stdout.startswith(b"/"), done.stdout)
        self.assertNotIn(str(self.folder).encode(), done.stdout)

    def test_a_deadline_ends_a_wait_for_a_pipe(self):
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        begun = time.monotonic()
        self.sluice("kv", "import", *self.there, "--deadline", "500ms", fifo, code=THROTTLED)
        self.assertLess(time.monotonic() - begun, 60)


class OnCloudflare(SluiceTest):
    def setUp(self):
        super().setUp()
        self.fake = self.server("--latency", "20ms")
        self.fake.fill("test", ENTRIES)
        environment = self.fake.environment()
        self.url = environment.pop("CLOUDFLARE_API_BASE_URL")
        self.env = environment
        self.there = ["--store", "cloudflare:", "--namespace", "test", "--rate", "off",
                      "--api-base-url", self.url]

    def job(self):
        return json.loads(self.sluice("jobs", "list", "--json").lines()[0])

    def test_a_resumed_job_talks_to_the_server_of_the_job(self):
        out = self.folder / "out"
        self.sluice("kv", "export", *self.there, "-o", out, "--deadline", "150ms", env=self.env,
                    code=THROTTLED)
        self.sluice("jobs", "resume", self.job()["job"], env=self.env)
        self.assertEqual(len(parse_ndjson(out.read_bytes())), len(ENTRIES))

    def test_the_limit_holds_over_a_resumed_delete_that_counts_first(self):
        first = self.start("kv", "delete", *self.there, "--all", "--limit", "1000", "--yes",
                           "--batch-size", "50", "--concurrency", "1", env=self.env)
        while self.fake.stats()["total"] < 8 and first.process.poll() is None:
            time.sleep(0.01)
        first.send(signal.SIGINT)
        first.end()
        self.sluice("kv", "delete", *self.there, "--all", "--limit", "1000", "--yes", "--resume",
                    "--max-delete", "2000", env=self.env)
        self.assertEqual(len(self.fake.entries("test")), len(ENTRIES) - 1000)

    def test_a_delete_that_was_counted_goes_on_from_its_list(self):
        first = self.start("kv", "delete", *self.there, "--all", "--max-delete", "5000", "--yes",
                           "--batch-size", "100", "--concurrency", "1", env=self.env)
        while self.fake.stats()["total"] < 12 and first.process.poll() is None:
            time.sleep(0.01)
        first.send(signal.SIGINT)
        self.assertEqual(first.end().code, INTERRUPTED)
        done = self.job()["done"]
        self.assertGreater(done, 0)
        # A key that was deleted and is there anew is not of the job any more.
        gone = sorted(key for key in {entry.key for entry in ENTRIES} - set(self.fake.entries("test")))
        self.sluice("kv", "put", *self.there, gone[0].decode(), "fresh", env=self.env)
        result = self.sluice("jobs", "resume", self.job()["job"], "--yes", "--json", env=self.env)
        report = json.loads(result.out)
        self.assertEqual((report["selected"], report["done"]), (len(ENTRIES), len(ENTRIES)))
        self.assertEqual(list(self.fake.entries("test")), [gone[0]])

    def test_an_unfinished_job_is_removed_only_by_who_says_so(self):
        self.sluice("kv", "export", *self.there, "-o", self.folder / "out", "--deadline", "100ms",
                    env=self.env, code=THROTTLED)
        job = self.job()
        self.assertEqual(job["state"], "unfinished")
        self.refused("jobs", "remove", job["job"], mentions="resumed")
        self.assertEqual(self.job()["job"], job["job"])
        self.sluice("jobs", "remove", job["job"], "--yes")
        self.assertEqual(self.sluice("jobs", "list", "--json").lines(), [])
        self.assertEqual(list(self.folder.glob("*.partial")), [])

    def test_values_larger_than_the_bytes_in_flight_do_not_pile_up(self):
        large = self.server("--keys", "300", "--title", "large", "--values", "200000")
        out = self.folder / "out"
        result = self.sluice("kv", "export", "--store", "cloudflare:", "--namespace", "large",
                             "-o", out, "--json", env=large.environment())
        report = json.loads(result.out)
        self.assertEqual(report["done"], 300)
        # AddressSanitizer keeps freed memory aside.
        engine = pathlib.Path(SLUICE).resolve().parent.parent / "libexec/sluice/sluice-engine"
        if b"__asan_init" not in engine.read_bytes():
            self.assertLess(report["peak_memory_bytes"], 120_000_000)

    def test_a_signal_sent_twice_at_once_is_one_request(self):
        # Three pages to list take this server 600 ms at least.
        slow = self.server("--latency", "200ms")
        slow.fill("test", ENTRIES)
        running = self.start("kv", "export", "--store", "cloudflare:", "--namespace", "test",
                             "-o", str(self.folder / "out"), env=slow.environment())
        while slow.stats()["total"] < 2 and running.process.poll() is None:
            time.sleep(0.005)
        running.send(signal.SIGTERM)
        running.send(signal.SIGTERM)
        result = running.end()
        self.assertEqual(result.code, INTERRUPTED, str(result))
        self.assertIn("jobs resume", result.complaint)

    def silent(self, route, first=1):
        """From its first such call on, this route is not answered within the minute."""
        self.fake.faults(script=[{"route": route, "first": first, "last": 1000, "fault": "stall"}],
                         stall_ms=60000)
        self.fake.reset()

    def stopped(self, *words, by, resumable=True):
        """Runs until it is stopped in the middle of a call that is not answered, and checks its end."""
        begun = time.monotonic()
        if by == "deadline":
            result = self.sluice(*words, "--deadline", "1s", env=self.env, code=THROTTLED)
            self.assertIn("deadline", result.complaint)
        else:
            running = self.start(*words, env=self.env)
            while not self.fake.stats()["faults"].get("stall") and running.process.poll() is None:
                time.sleep(0.01)
            running.send(signal.SIGINT)
            result = running.end()
            self.assertEqual(result.code, INTERRUPTED, str(result))
        # A grace of 5 s, and not the 60 s of --timeout.
        self.assertLess(time.monotonic() - begun, 20, str(result))
        self.assertEqual("jobs resume" in result.complaint, resumable, str(result))
        return result

    def test_a_silent_server_does_not_outlast_a_stop(self):
        for by in ("deadline", "signal"):
            with self.subTest(by=by):
                self.silent("GET keys")
                self.stopped("kv", "list", *self.there, "--all", by=by, resumable=False)

    def test_a_port_that_never_speaks_does_not_outlast_the_deadline(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            place = f"127.0.0.1:{silent.getsockname()[1]}"
            for store in (f"redis://{place}", f"postgres://user@{place}/db?sslmode=disable"):
                with self.subTest(store=store):
                    begun = time.monotonic()
                    self.refused("kv", "list", "--store", store, "--timeout", "10m", "--deadline", "1s",
                                 code=THROTTLED, mentions="deadline")
                    self.assertLess(time.monotonic() - begun, 20)

    def test_what_was_not_answered_before_a_stop_is_done_by_the_resumed_job(self):
        for by in ("deadline", "signal"):
            with self.subTest(by=by):
                self.fake.faults()
                self.fake.fill("test", ENTRIES)
                self.silent("POST bulk/delete", first=4)
                result = self.stopped("kv", "delete", *self.there, "--all", "--max-delete", "5000", "--yes",
                                      "--json", "--batch-size", "100", "--concurrency", "4", by=by)
                report = json.loads(result.out)
                self.assertGreater(report["done"], 0)
                self.assertLess(report["done"], len(ENTRIES))
                self.assertEqual(report["failed"], 0, report)
                job = self.job()
                self.assertEqual((job["state"], job["done"]), ("unfinished", report["done"]), job)
                self.fake.faults()
                result = self.sluice("jobs", "resume", job["job"], "--yes", "--json", env=self.env)
                report = json.loads(result.out)
                self.assertEqual((report["done"], report["failed"], report["skipped"]),
                                 (len(ENTRIES), 0, 0))
                self.assertEqual(self.fake.entries("test"), {})

    def test_a_locked_file_does_not_outlast_the_deadline(self):
        """Another process holds the lock; waiting for it ends with the run."""
        self.load([Entry("a", "1"), Entry("b", "2")])
        holder = sqlite3.connect(self.db, isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("BEGIN EXCLUSIVE")
        there = ["--store", self.store, "--namespace", "test", "--deadline", "300ms"]
        for words in (["put", "c", "3"], ["delete", "--prefix", "a", "--yes"]):
            with self.subTest(words=words):
                begun = time.monotonic()
                result = self.sluice("kv", *words, *there, code=THROTTLED)
                self.assertIn("deadline", result.complaint)
                self.assertLess(time.monotonic() - begun, 8, "a wait of ten seconds was not cut short")
        running = self.start("kv", "put", "--store", self.store, "--namespace", "test", "d", "4")
        time.sleep(0.3)
        running.send(signal.SIGINT)
        self.assertEqual(running.end().code, INTERRUPTED)
        holder.execute("ROLLBACK")
        self.assertEqual(sorted(self.content()), [b"a", b"b"])


if __name__ == "__main__":
    unittest.main()
