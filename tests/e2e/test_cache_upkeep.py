"""`sluice cache`: sizes, limits, statistics, health; what repair brings back; where there is nothing to do."""

import json
import os
import re
import select
import subprocess
import threading
import time
import unittest

from cache_case import CacheTest
from harness import DONE, FAILED, NOT_FOUND, PATIENCE, SLUICE

PAGE = 8192


class Sizes(CacheTest):
    def test_exact_under_writers(self):
        def write(writer):
            for i in range(25):
                subprocess.run([SLUICE, "cache", "set", f"{writer}:{i:03}"], input=b"x" * 1000,
                               env=self.environment(), check=True)
        writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        size = self.size()
        self.assertEqual((size["entries"], size["bytes"]), (200, 200 * 1005))
        walked = self.size(env={"CACHE_SIZE_TRACKING": "disabled"})
        self.assertEqual((walked["entries"], walked["bytes"]), (200, 200 * 1005))
        self.cache("verify")

    def test_limits(self):
        self.assertEqual(self.size()["max_bytes"], 100_000_000)
        self.cache("limit", "--max-size", "10kB", "--max-entries", "5")
        for i in range(20):
            self.cache("set", f"k{i}", "x" * 1000)
            size = self.size()
            self.assertLessEqual(size["bytes"], 10_000)
            self.assertLessEqual(size["entries"], 5)
        self.assertEqual(self.cache("limit", "--json").json()["max_entries"], 5)
        would = self.cache("limit", "--max-entries", "1", "--json", "--dry-run").json()
        self.assertEqual((would["max_entries"], would["dry_run"]), (5, True))
        self.refused("cache", "set", "big", "x" * 20_000, code=FAILED, mentions="limit")
        self.cache("limit", "--max-size", "2kB")
        self.assertEqual(self.size()["entries"], 1)
        self.refused("cache", "limit", "--max-size", "lots")
        for flag in ("--max-size", "--max-entries"):
            self.refused("cache", "limit", flag, 2**63, mentions="at most")
        self.assertEqual(self.size()["max_bytes"], 2000)

    def test_upkeep(self):
        self.cache("set", "old", "x", "--ttl", "1ms")
        self.cache("set", "new", "x")
        would = self.cache("gc", "--json", "--dry-run").json()
        self.assertEqual((would["expired"], would["would_expire"], would["dry_run"]), (0, 1, True))
        gone = self.cache("gc", "--json").json()
        self.assertEqual((gone["expired"], gone["dry_run"]), (1, False))
        self.assertNotIn("would_expire", gone)
        self.assertTrue(self.cache("verify", "--json").json()["intact"])
        # A name that is not UTF-8 reads the same everywhere.
        for command in (("size",), ("verify",), ("gc",), ("delete", "k")):
            done = subprocess.run([SLUICE, "cache", *command, "--ns", b"\xff", "--json"], check=True,
                                  env=self.environment(), capture_output=True)
            told = json.loads(done.stdout)
            self.assertEqual((told["namespace"], told["namespace_base64"]), ("/w==", True))
        self.refused("cache", "clear", mentions="--yes")
        would = self.cache("clear", "--json", "--dry-run").json()
        self.assertEqual((would["deleted"], would["would_delete"], would["dry_run"]), (0, 1, True))
        shown = self.on_terminal("cache", "clear", answers=[(b"[y/N]", b"n\n")])
        self.assertEqual(shown.code, FAILED)
        self.assertEqual(self.cache("list").lines(), ["new"])
        shown = self.on_terminal("cache", "clear", answers=[(b"Delete 1 entry", b"y\n")])
        self.assertEqual((shown.code, self.size()["entries"]), (DONE, 0))
        self.assertEqual(self.cache("repair", "--json").json()["kept"], 0)

    def test_a_listing_that_nobody_reads_keeps_no_log_growing(self):
        count = 3000
        keys = [f"{i:05}" + "k" * 3000 for i in range(count)]
        self.cache("batch", stdin="".join(
            json.dumps({"op": "set", "key": key, "value": "v"}) + "\n" for key in keys))
        reader, writer = os.pipe()
        # It writes more than it may hold and the pipe takes, and waits.
        listing = subprocess.Popen([SLUICE, "cache", "list"], stdout=writer,
                                   env=self.environment(), cwd=self.folder)
        self.addCleanup(listing.wait)
        self.addCleanup(listing.kill)
        os.close(writer)
        self.assertTrue(select.select([reader], [], [], PATIENCE)[0])
        log = self.folder_of() / "cache.db-wal"
        end = time.monotonic() + PATIENCE
        while True:
            # This makes the log longer than that, until it is moved into the database.
            self.cache("batch", stdin="".join(
                json.dumps({"op": "set", "key": f"new {i}", "value": os.urandom(10_000).hex()}) + "\n"
                for i in range(100)))
            self.cache("gc")
            if not log.exists() or log.stat().st_size < 100_000:
                break
            self.assertLess(time.monotonic(), end, "the listing keeps the log")
        self.assertIsNone(listing.poll())
        with os.fdopen(reader) as out:
            self.assertEqual(set(keys) - set(out.read().split("\n")), set())
        self.assertEqual(listing.wait(timeout=PATIENCE), 0)

    def test_an_exec_counts_once(self):
        def counted():
            counters = self.cache("stats", "--json").json()["counters"]
            return counters["hits"], counters["stale_hits"], counters["misses"]
        command = ("exec", "--ttl", "1h", "--", "echo", "x")
        self.cache(*command)
        self.assertEqual(counted(), (0, 0, 1))
        self.cache(*command)
        self.assertEqual(counted(), (1, 0, 1))
        for _ in range(3):
            self.cache("exec", "--discard-failures", "--", "false", code=1)
        self.cache("exec", "--ttl", "0", "--", "echo", "x")
        self.assertEqual(counted(), (1, 0, 5))
        self.assertIn("hit rate   16.7 %", self.cache("stats").text)

    def test_statistics(self):
        self.cache("set", "k", "v")
        self.cache("get", "k")
        self.cache("get", "none", code=NOT_FOUND)
        stats = self.cache("stats", "--json").json()
        self.assertEqual((stats["write_cache"]["count"], stats["read_cache"]["count"]), (1, 2))
        self.assertEqual(stats["counters"], {"hits": 1, "misses": 1, "stale_hits": 0, "evicted": 0,
                                             "expired": 0, "lost_hits": 0})
        self.assertEqual(set(stats["read_cache"]), {"count", "total", "avg", "p50", "p95", "p99"})
        lines = self.cache("stats", "--csv").lines()
        self.assertEqual(lines[0], "timestamp,operation,duration_ms")
        self.assertRegex(lines[1], r"^\d+\.\d{3},write_cache,\d+(\.\d+)?$")
        for line in self.cache("stats", "--prometheus").lines():
            self.assertRegex(line, r"^(#.*|[a-z_]+(\{.*\})? [0-9.e+-]+)$")
        self.assertIn("hits", self.cache("stats").text)
        self.cache("set", "k", "v", env={"CACHE_PERF_MONITORING": "disabled"})
        self.assertEqual(self.cache("stats", "--json").json()["write_cache"]["count"], 1)
        self.cache("stats", "--reset")
        self.assertEqual(self.cache("stats", "--json").json(),
                         {"counters": dict.fromkeys(stats["counters"], 0)})
        self.refused("cache", "stats", "--json", "--csv")

    def test_health(self):
        # Three of the checks measure time, which is not this test's business.
        done = self.run_sluice("cache", "health", "--json")
        health = done.json()
        self.assertEqual([check["check"] for check in health["checks"]],
                         ["size", "lock", "batch", "exact size", "statistics"])
        verdicts = [check["pass"] for check in health["checks"]]
        self.assertTrue(verdicts[3], health)
        self.assertIn("900 of 900 sets counted", health["checks"][4]["detail"])
        self.assertEqual((health["healthy"], done.code == DONE), (all(verdicts), all(verdicts)))
        # The scratch namespace is gone, and so is one of a check that was killed.
        self.assertEqual(self.cache("list", "--namespaces").lines(), [])
        dead = subprocess.Popen(["true"])
        dead.wait()
        self.cache("set", "k", "v", "--ns", f"health-check-{dead.pid}")
        self.cache("set", "k", "v", "--ns", f"health-check-{os.getpid()}")
        text = self.run_sluice("cache", "health").text
        self.assertEqual(self.cache("list", "--namespaces").lines(), [f"health-check-{os.getpid()}"])
        self.assertEqual(len(re.findall(r"(?m)^.* (PASS|FAIL) +[0-9.]+ ms ", text)), 5)


class Upkeep(CacheTest):
    def fill(self, count):
        fields = b"".join(b"set\0key %d\0value %d\0" % (i, i) for i in range(count))
        self.cache("batch", "-0", stdin=fields)
        self.cache("gc")

    def damage(self, position, data):
        path = self.folder_of() / "cache.db"
        self.assertFalse((path.parent / "cache.db-wal").stat().st_size)
        with open(path, "r+b") as file:
            file.seek(position)
            file.write(data)

    def test_repair_without_a_header(self):
        self.fill(1000)
        self.cache("limit", "--max-size", "7MB", "--max-entries", "2000")
        self.cache("gc")
        self.damage(0, bytes(PAGE))
        self.refused("cache", "get", "key 7", code=FAILED, mentions="repair")
        done = self.cache("repair", "--json").json()
        self.assertEqual([done[name] for name in ("kept", "dropped", "unreadable", "rebuilt")],
                         [1000, 0, 0, True])
        self.assertTrue(os.path.exists(done["saved_as"]))
        self.assertNotIn("limits_lost", done)
        size = self.cache("size", "--json").json()
        self.assertEqual((size["entries"], size["max_bytes"], size["max_entries"]),
                         (1000, 7_000_000, 2000))
        self.assertEqual(self.cache("get", "key 999").out, b"value 999")
        self.assertTrue(self.cache("verify", "--json").json()["intact"])

    def test_repair_of_a_file_that_is_cut_short(self):
        self.fill(1000)
        path = self.folder_of() / "cache.db"
        os.truncate(path, path.stat().st_size // 2)
        done = self.cache("repair")
        self.assertRegex(done.complaint, r"kept, 0 dropped, and \d+ could not be read")
        self.assertIn(str(path) + ".damaged-", done.complaint)
        self.cache("verify")

    def test_nothing_is_made_by_what_deletes(self):
        for command in (("gc",), ("clear", "--yes"), ("delete", "k"), ("delete", "--prefix", "k")):
            with self.subTest(command=command):
                self.cache(*command, "--ns", "absent")
                self.assertFalse(self.folder_of("absent").exists())
        for command in (("gc",), ("clear", "--yes")):
            done = self.cache(*command, "--ns", "absent")
            self.assertIn("there is no cache namespace absent", done.complaint)
        self.assertEqual(self.cache("clear", "--yes", "--ns", "absent", "--json").json()["deleted"], 0)

    def test_a_refused_value_ends_the_one_before(self):
        self.cache("limit", "--max-size", "1MB")
        self.cache("set", "k", "old")
        self.refused("cache", "set", "k", code=FAILED, stdin=os.urandom(1_100_000),
                     mentions="The value before it was deleted")
        self.cache("get", "k", code=NOT_FOUND)


if __name__ == "__main__":
    unittest.main()
