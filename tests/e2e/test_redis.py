"""The whole program over a real redis-server."""

import base64
import json
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import (DONE, FAILED, INTERRUPTED, NOT_FOUND, ODD_ENTRIES, SOME_FAILED, THROTTLED,
                     UNAUTHORIZED, UNKNOWN_HOST, USAGE, Entry, SluiceTest, by_key,
                     code_of_unknown_host, parse_ndjson, sample)
from redis_server import RedisServer, free_port


class Redis(SluiceTest):
    def serve(self, *arguments, **more):
        self.redis = RedisServer(*arguments, **more)
        self.addCleanup(self.redis.close)
        self.store = self.redis.url
        return self.redis

    def kv(self, command, *arguments, **more):
        return self.sluice("kv", command, "--store", self.store, *arguments, **more)

    def plain(self):
        """What the plain database holds, through an export."""
        return parse_ndjson(self.kv("export", "--format", "ndjson").out)


class Basics(Redis):
    def setUp(self):
        super().setUp()
        self.serve()

    def test_put_get_list_delete(self):
        self.kv("put", "greeting", "hello", "--metadata", '{"a": 1}', "--ttl", "1h", "--yes")
        self.assertEqual(self.redis.cli("GET", "greeting"), "hello")
        self.assertEqual(self.kv("get", "greeting").out, b"hello")
        listed = parse_ndjson(self.kv("list", "--metadata", "--format", "ndjson").out)
        entry = listed[b"greeting"]
        self.assertEqual(entry.metadata, '{"a": 1}')
        self.assertEqual(str(entry.expiration), self.redis.cli("EXPIRETIME", "greeting"))
        self.kv("delete", "greeting", "--yes")
        self.assertEqual(self.redis.cli("DBSIZE"), "0")
        self.sluice("kv", "get", "--store", self.store, "greeting", code=NOT_FOUND)

    def test_the_keys_of_other_programs_are_the_default_namespace(self):
        self.redis.cli("SET", "user:1", "one")
        self.redis.cli("SET", "user:2", "two", "EXAT", "4102444800")
        self.redis.cli("HSET", "hash", "f", "v")
        self.same(self.plain(), by_key([Entry("user:1", "one"), Entry("user:2", "two", "", 4102444800)]))
        self.same(self.content(namespace="default"), self.plain())
        self.assertEqual(self.keys("--prefix", "user:2", namespace="default"), ["user:2"])
        self.kv("delete", "--prefix", "user:", "--yes")
        self.assertEqual(self.redis.cli("KEYS", "*"), "hash")

    def test_odd_entries_go_in_and_out(self):
        self.load(ODD_ENTRIES)
        self.same(self.content(), by_key(ODD_ENTRIES))
        for entry in ODD_ENTRIES[:5]:
            out = self.kv("get", "--namespace", "test", "--", entry.key.decode()).out
            self.assertEqual(out, entry.value)

    def test_binary_keys(self):
        keys = [b"\xff\xfe", b"a\0b", b"\x80", bytes(range(1, 40))]
        for key in keys:
            # The last argument comes from stdin, where any byte can be.
            subprocess.run(["redis-cli", "-p", str(self.redis.port), "-x", "HSET", "keys", "k"],
                           input=key, check=True, stdout=subprocess.DEVNULL, timeout=60)
            self.redis.cli("EVAL", "redis.call('SET', redis.call('HGET', 'keys', 'k'), 'v')", "0")
        content = self.plain()
        self.assertEqual(set(content), set(keys))
        self.redis.cli("FLUSHDB")
        out = self.folder / "out"
        out.write_bytes("".join(self.lines_of(content)).encode())
        self.kv("import", "--yes", out)
        self.same(self.plain(), content)
        self.assertEqual(self.redis.cli("DBSIZE"), str(len(keys)))

    def lines_of(self, content):
        for entry in content.values():
            yield json.dumps({"key": base64.b64encode(entry.key).decode(), "key_base64": True,
                              "value": entry.value.decode()}) + "\n"

    def test_import_and_export_are_inverse(self):
        entries = sample(5000)
        self.kv("import", "--yes", "-", stdin="".join(entry.line() for entry in entries))
        self.same(self.plain(), by_key(entries))
        self.assertEqual(self.redis.cli("GET", "item:0001"), "value 1")
        self.assertEqual(self.redis.cli("GET", "sluice:meta:{item:0001}"), entries[1].metadata)
        self.assertEqual(self.redis.cli("EXPIRETIME", "item:0010"), str(entries[10].expiration))
        stats = self.kv("stats", "--json").json()
        self.assertEqual(stats["entries"], 5000)
        # Nothing of the metadata outlives its entries.
        self.kv("delete", "--all-keys", "--yes")
        self.assertEqual(self.redis.cli("DBSIZE"), "0")

    def test_copy_to_and_from(self):
        entries = sample(3000)
        self.load(entries, store="sqlite:" + str(self.db))
        self.sluice("kv", "copy", "--store", f"sqlite:{self.db}", "--namespace", "test", "--to", self.store,
                    "--to-namespace", "copy", "--create-namespace", "--yes")
        self.same(self.content(namespace="copy"), by_key(entries))
        other = f"sqlite:{self.folder / 'back.db'}"
        self.sluice("kv", "copy", "--store", self.store, "--namespace", "copy", "--to", other,
                    "--to-namespace", "default", "--yes")
        self.same(self.content(namespace="default", store=other), by_key(entries))

    def test_delete_by_search(self):
        entries = sample(2000)
        self.load(entries)
        self.load(entries, namespace="untouched")
        self.kv("delete", "--namespace", "test", "--search", "old-data", "--yes")
        self.same(self.content(), by_key(e for e in entries if "OLD-data" not in e.metadata))
        self.same(self.content(namespace="untouched"), by_key(entries))

    def test_namespaces(self):
        self.kv("namespace", "create", "one")
        self.sluice("kv", "namespace", "list", "--store", self.store)
        self.load(sample(10), namespace="one")
        self.load(sample(5), namespace="default")
        self.sluice("kv", "namespace", "rename", "one", "first", "--store", self.store, "--yes")
        self.assertEqual(len(self.content(namespace="first")), 10)
        self.assertEqual(len(self.content(namespace="default")), 5)
        titles = [json.loads(line)["title"] for line in self.sluice(
            "kv", "namespace", "list", "--store", self.store, "--json").lines()]
        self.assertEqual(titles, ["default", "first"])
        self.sluice("kv", "namespace", "delete", "first", "--store", self.store, "--yes")
        self.refused("kv", "list", "--store", self.store, "--namespace", "first", code=NOT_FOUND,
                     mentions="first")
        self.assertEqual(len(self.content(namespace="default")), 5)
        self.assertEqual(self.redis.cli("DBSIZE"), "10")  # five entries with metadata each

    def test_databases_are_apart(self):
        self.sluice("kv", "put", "--store", self.store + "/2", "k", "v", "--yes")
        self.assertEqual(self.redis.cli("GET", "k", database=2), "v")
        self.assertEqual(self.redis.cli("DBSIZE"), "0")

    def test_reserved_keys_are_named(self):
        lines = Entry("good", "1").line() + Entry("sluice:x", "2").line()
        result = self.kv("import", "--yes", "-", stdin=lines, code=SOME_FAILED)
        self.assertIn("sluice:x", result.complaint)
        self.assertEqual(self.redis.cli("KEYS", "*"), "good")

    def test_a_dry_run_writes_nothing(self):
        before = self.redis.cli("INFO", "commandstats")
        self.assertNotIn("cmdstat_set", before)
        self.kv("import", "--dry-run", "-", stdin=sample(1)[0].line())
        self.kv("import", "--dry-run", "--namespace", "new", "--create-namespace", "-",
                stdin=sample(1)[0].line())
        self.kv("delete", "--all-keys", "--dry-run")
        self.kv("put", "k", "v", "--dry-run")
        stats = self.redis.cli("INFO", "commandstats")
        for command in ("set", "mset", "hset", "unlink", "del", "exec"):
            self.assertNotIn(f"cmdstat_{command}:", stats)


class Refusals(Redis):
    def test_wrong_password(self):
        self.serve(password="s3cret")
        for url in (f"redis://:wr0ng@{self.redis.address}", f"redis://nobody:wr0ng@{self.redis.address}",
                    self.redis.url):
            result = self.sluice("kv", "list", "--store", url, code=UNAUTHORIZED)
            self.assertNotIn("wr0ng", result.complaint)
            self.assertIn("password", result.complaint)
        self.assertEqual(self.sluice("kv", "list", "--store", self.redis.url,
                                     env={"REDISCLI_AUTH": "s3cret"}).out, b"")

    def test_the_password_is_in_no_file_and_no_output(self):
        self.serve(password="s3cret")
        self.store = f"redis://:s3cret@{self.redis.address}"
        outputs = [self.load(sample(3000), namespace="default"),
                   self.kv("list", "-v", "--log-level", "trace", "--all"),
                   self.kv("export", "-o", self.folder / "out", "-v"),
                   self.kv("get", "absent", code=NOT_FOUND),
                   self.sluice("kv", "list", "--store", f"redis://:s3cret@{self.redis.address}/99",
                               code=NOT_FOUND)]
        for result in outputs:
            self.assertNotIn("s3cret", result.complaint)
        # Stopped in the middle, a job leaves its journal.
        self.redis.pause()
        running = self.start("kv", "export", "--store", self.store, "-o", self.folder / "unfinished")
        time.sleep(0.5)
        running.send(signal.SIGKILL)
        running.end()
        self.redis.resume()
        journals = list((self.home / "state" / "sluice" / "jobs").iterdir())
        self.assertTrue(journals)
        for path in self.folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                # A journal writes some of its texts as base64.
                for word in re.findall(rb'"([A-Za-z0-9+/]+=*)"', content):
                    if len(word) % 4 == 0:
                        content += base64.b64decode(word)
                self.assertNotIn(b"s3cret", content, path)

    def test_unknown_host(self):
        self.refused("kv", "list", "--store", f"redis://{UNKNOWN_HOST}", "--deadline", "5s",
                     code=code_of_unknown_host(), mentions=UNKNOWN_HOST)

    def test_nobody_listens(self):
        result = self.sluice("kv", "get", "--store", f"redis://127.0.0.1:{free_port()}", "k",
                             "--deadline", "2s", code=6)
        self.assertIn("cannot be reached", result.complaint)

    def test_a_silent_server_is_left_at_the_deadline(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            store = f"redis://127.0.0.1:{silent.getsockname()[1]}"
            for command in (["kv", "list"], ["kv", "put", "a", "b"], ["kv", "namespace", "list"]):
                begun = time.monotonic()
                self.refused(*command, "--store", store, "--deadline", "500ms", code=THROTTLED,
                             mentions=["deadline"])
                self.assertLess(time.monotonic() - begun, 5)
            begun = time.monotonic()
            self.run_sluice("doctor", "--store", store, "--deadline", "500ms")
            self.assertLess(time.monotonic() - begun, 5)

    def test_a_bad_address(self):
        for url in ("redis:", "redis://a,b", "redis://h/x"):
            self.refused("kv", "list", "--store", url, code=USAGE)
        self.refused("kv", "list", "--store", "redis-cluster://a,b", code=FAILED, mentions="not built yet")

    def test_no_such_database(self):
        self.serve()
        self.refused("kv", "list", "--store", self.redis.url + "/99", code=NOT_FOUND, mentions="database")


class Faults(Redis):
    COUNT = 60_000

    def import_file(self):
        self.entries = [Entry(f"k:{i:06}", f"value {i}", '{"n":%d}' % i if i % 3 == 0 else "")
                        for i in range(self.COUNT)]
        return self.file("in.ndjson", "".join(entry.line() for entry in self.entries))

    def test_a_server_that_is_restarted_during_an_import(self):
        self.serve(durable=True)
        path = self.import_file()
        running = self.start("kv", "import", "--store", self.store, "--yes", path, "--batch-size", "500")
        while int(self.redis.cli("DBSIZE")) < 2000:
            time.sleep(0.002)
        self.redis.kill()
        time.sleep(0.2)
        self.assertTrue(self.redis.start())
        result = running.end()
        self.assertEqual(result.code, DONE, str(result))
        self.same(self.plain(), by_key(self.entries))

    def test_a_killed_import_resumes(self):
        self.serve(durable=True)
        path = self.import_file()
        arguments = ["import", "--store", self.store, "--yes", path, "--batch-size", "500"]
        running = self.start("kv", *arguments)
        while int(self.redis.cli("DBSIZE")) < 2000 and running.process.poll() is None:
            time.sleep(0.002)
        running.send(signal.SIGKILL)
        running.end()
        self.sluice("kv", *arguments, "--resume")
        self.same(self.plain(), by_key(self.entries))

    def interrupted_export(self, out):
        running = self.start("kv", "export", "--store", self.store, "-o", out, "--rate", "20/1s")
        time.sleep(1.0)
        running.send(signal.SIGINT)
        result = running.end()
        self.assertEqual(result.code, INTERRUPTED, str(result))
        self.assertFalse(out.exists())
        return result

    def test_an_interrupted_export_resumes(self):
        self.serve()
        self.kv("import", "--yes", self.import_file())
        out = self.folder / "out"
        self.interrupted_export(out)
        self.sluice("kv", "export", "--store", self.store, "-o", out, "--resume")
        self.same(parse_ndjson(out.read_bytes()), by_key(self.entries))

    def test_a_job_is_resumed_with_a_password_that_its_journal_does_not_hold(self):
        self.serve(password="s3cret")
        self.store = f"redis://:s3cret@{self.redis.address}"
        self.kv("import", "--yes", self.import_file())
        out = self.folder / "out"
        job = self.interrupted_export(out).complaint.split("sluice jobs resume ")[1].split()[0]
        self.refused("jobs", "resume", job, code=UNAUTHORIZED, mentions="REDISCLI_AUTH")
        self.sluice("jobs", "resume", job, env={"REDISCLI_AUTH": "s3cret"})
        self.same(parse_ndjson(out.read_bytes()), by_key(self.entries))

    def test_an_export_does_not_go_on_over_a_restart(self):
        """The cursors of the server before mean other keys to the server after: going on would lose
        some of them in silence."""
        self.serve(durable=True)
        self.kv("import", "--yes", self.import_file())
        out = self.folder / "out"
        arguments = ["export", "--store", self.store, "-o", out]
        running = self.start("kv", *arguments, "--rate", "20/1s")
        time.sleep(1.0)
        self.redis.kill()
        self.assertTrue(self.redis.start())
        result = running.end()
        self.assertEqual(result.code, FAILED, str(result))
        self.assertIn("restarted", result.complaint)
        self.assertFalse(out.exists())
        self.sluice("kv", *arguments)
        self.same(parse_ndjson(out.read_bytes()), by_key(self.entries))

    def test_a_server_that_is_gone(self):
        self.serve()
        path = self.import_file()
        running = self.start("kv", "import", "--store", self.store, "--yes", path, "--batch-size", "100",
                             "--rate", "50/1s", "--deadline", "6s")
        while int(self.redis.cli("DBSIZE")) < 1000:
            time.sleep(0.002)
        self.redis.kill()
        result = running.end()
        self.assertNotIn(result.code, (DONE, -signal.SIGKILL), str(result))
        self.assertIn("sluice jobs resume", result.complaint)

    def test_a_full_server(self):
        self.serve("--maxmemory", "3mb")
        result = self.kv("import", "--yes", self.import_file(), code=FAILED)
        self.assertIn("maxmemory", result.complaint)
        kept = int(self.redis.cli("DBSIZE"))
        self.assertLess(kept, self.COUNT)

    def test_a_listing_while_others_write(self):
        self.serve()
        stay = sample(20_000)
        self.load(stay, namespace="default")
        ended = threading.Event()

        def write():
            number = 0
            while not ended.is_set():
                number += 1
                commands = "".join(f"SET new:{number}:{i} v\n" for i in range(500))
                self.redis.cli("--pipe", stdin=commands.encode())

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                listed = self.keys("--all", namespace="default")
                self.assertEqual({e.key.decode() for e in stay} - set(listed), set())
        finally:
            ended.set()
            writer.join()


if __name__ == "__main__":
    unittest.main()
