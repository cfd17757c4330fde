"""What the local cache knows costs no request; and what Sluice changes is not answered by it."""

import json
import unittest
import zlib

from harness import DONE, NOT_FOUND, UNAUTHORIZED, USAGE, Entry, SluiceTest, parse_ndjson
from postgres_server import PostgresServer
from redis_server import RedisServer


class Cached(SluiceTest):
    flags = ()

    def setUp(self):
        super().setUp()
        self.fake = self.server(*self.flags)
        self.env = self.fake.environment()

    def kv(self, command, *arguments, namespace="test", code=DONE, env=None, stdin=b""):
        return self.sluice("kv", command, "--store", "cloudflare:", "--namespace", namespace,
                           *arguments, code=code, env={**self.env, **(env or {})}, stdin=stdin)

    def sent(self, *routes):
        """The requests since the last call, of these routes or of all."""
        stats = self.fake.stats()
        self.fake.reset()
        if not routes:
            return stats["total"]
        return sum(stats["requests"].get(route, 0) for route in routes)

    def cache_bytes(self):
        folder = self.home / "cache" / "sluice" / "cache"
        return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


class LookUps(Cached):
    def setUp(self):
        super().setUp()
        self.id = self.fake.fill("test", [Entry("k", "1"), Entry("other", "2")])

    def test_a_title_is_looked_up_once(self):
        self.assertEqual(self.kv("get", "k").out, b"1")
        self.assertEqual(self.sent("GET namespaces"), 1)
        self.kv("get", "k")
        self.kv("get", "k", "other")
        self.kv("list")
        self.kv("stats")
        self.kv("put", "k", "3")
        self.kv("delete", "other", "--yes")
        self.assertEqual(self.sent("GET namespaces"), 0)
        self.assertEqual({key.decode() for key in self.fake.entries("test")}, {"k"})

    def test_a_job_looks_it_up(self):
        self.kv("get", "k")
        self.sent()
        self.kv("export", "-o", self.folder / "out")
        self.assertEqual(self.sent("GET namespaces"), 1)
        self.kv("delete", "--all-keys", "--yes")
        self.assertEqual(self.sent("GET namespaces"), 1)

    def test_no_time_is_no_cache(self):
        for _ in range(2):
            self.kv("get", "k", "--cache-ttl", "0s")
            self.assertEqual(self.sent("GET namespaces"), 1)
        self.kv("get", "k", env={"SLUICE_CACHE_TTL": "0s"})
        self.assertEqual(self.sent("GET namespaces"), 1)
        self.assertFalse((self.home / "cache" / "sluice" / "cache").exists())

    def test_a_namespace_renamed_by_sluice(self):
        self.kv("get", "k")
        self.sluice("kv", "namespace", "rename", "--store", "cloudflare:", "test", "new", env=self.env)
        self.kv("get", "k", code=NOT_FOUND)
        self.assertEqual(self.kv("get", "k", namespace="new").out, b"1")

    def test_a_namespace_deleted_by_sluice(self):
        self.kv("get", "k", "--cached")
        self.sluice("kv", "namespace", "delete", "--store", "cloudflare:", "test", "--yes",
                    env=self.env)
        self.sent()
        self.kv("get", "k", "--cached", code=NOT_FOUND)
        self.assertEqual(self.sent("GET namespaces"), 1)

    def test_a_dry_run_drops_nothing(self):
        self.kv("get", "k", "--cached")
        self.sluice("kv", "namespace", "delete", "--store", "cloudflare:", "test", "--yes", "--dry-run",
                    env=self.env)
        self.kv("put", "k", "9", "--dry-run")
        self.sent()
        self.assertEqual(self.kv("get", "k", "--cached").out, b"1")
        self.assertEqual(self.sent(), 0)

    def test_a_namespace_made_anew_by_others(self):
        for command, arguments in (("get", ["k"]), ("list", ["--format", "keys"]), ("put", ["k", "5"]),
                                   ("get", ["k", "k"]), ("delete", ["k", "--yes"])):
            with self.subTest(command=command, arguments=arguments):
                self.kv("get", "k")
                self.fake.api("DELETE", "/" + self.fake.namespace_id("test"))
                self.fake.fill("test", [Entry("k", "1")])
                self.kv(command, *arguments)
                self.assertEqual(self.sent("GET namespaces"), 1)
                if command == "put":
                    self.assertEqual(self.fake.entries("test")[b"k"].value, b"5")
                elif command == "delete":
                    self.assertEqual(self.fake.entries("test"), {})

    def test_a_namespace_deleted_by_others(self):
        self.kv("get", "k")
        self.fake.api("DELETE", "/" + self.id)
        for _ in range(2):
            result = self.kv("get", "k", code=NOT_FOUND)
            self.assertIn('no namespace "test"', result.complaint)

    def test_credentials_do_not_share(self):
        self.kv("get", "k", "--cached")
        self.kv("get", "k", "--cached", code=UNAUTHORIZED, env={"CLOUDFLARE_API_TOKEN": "stolen"})
        self.kv("get", "k", "--cached", env={"CLOUDFLARE_ACCOUNT_ID": "f" * 32},
                code=UNAUTHORIZED)

    def test_no_secret_is_kept(self):
        self.kv("get", "k", "--cached")
        kept = self.cache_bytes()
        self.assertIn(self.id.encode(), kept)  # the look-up is there
        self.assertNotIn(self.fake.token.encode(), kept)


class Values(Cached):
    def setUp(self):
        super().setUp()
        self.entry = Entry("k", b"\x00\xff1", '{"n": 1}')
        self.fake.fill("test", [self.entry, Entry("other", "2")])

    def test_a_value_is_gotten_once(self):
        for _ in range(3):
            self.assertEqual(self.kv("get", "k", "--cached").out, self.entry.value)
        self.assertEqual(self.sent("GET namespaces"), 1)
        self.fake.reset()
        self.kv("get", "k", "--cached")
        self.assertEqual(self.sent(), 0)
        self.kv("get", "k")
        self.assertGreater(self.sent(), 0, "without --cached every value is fresh")

    def test_several_with_metadata(self):
        first = self.kv("get", "k", "other", "--cached", "--metadata", "--json").out
        self.sent()
        again = self.kv("get", "k", "other", "--cached", "--metadata", "--json").out
        self.assertEqual(self.sent(), 0)
        self.assertEqual(parse_ndjson(first), parse_ndjson(again))
        self.assertEqual(parse_ndjson(again)[b"k"], self.entry)

    def test_a_list_of_named_keys(self):
        file = self.file("keys", "other\nabsent\nk\nother\n")
        listed = self.kv("list", "--all", "--metadata", "--json").out
        listing = ["list", "--keys-file", file, "--metadata", "--json"]
        self.kv("get", "k", "other", "--cached")
        self.sent()
        self.assertEqual(self.kv(*listing).out, listed)
        self.assertEqual((self.sent("POST bulk/get"), self.sent()), (1, 0))
        self.assertEqual(self.kv(*listing, "--cached").out, listed)
        self.assertEqual(self.sent(), 1, "what is not there is not kept")
        file.write_text("other\nk\n")
        self.assertEqual(self.kv(*listing, "--cached").out, listed)
        listing[2] = "-"
        self.assertEqual(self.kv(*listing, "--cached", stdin="other\nk\n").out, listed)
        self.assertEqual(self.sent(), 0)
        # So many keys cost less as a listing.
        many = zlib.compress(b"".join(b"key %d\n" % i for i in range(20_000)) + b"k\nother\n", wbits=31)
        self.assertEqual(self.kv(*listing, "--cached", stdin=many).out, listed)
        self.assertEqual(self.sent(), 1)

    def test_a_list_of_named_keys_gets_no_value_twice(self):
        """The value of "k" is not UTF-8: to have it byte for byte takes another request."""
        self.kv("list")
        self.sent()
        self.kv("list", "--keys-file", self.file("keys", "k\n"), "--metadata")
        self.assertEqual(self.sent(), 1)
        self.kv("get", "k")
        self.assertEqual(self.sent(), 2)

    def test_not_offered_where_all_is_read_anew(self):
        for words in (["export"], ["copy", "--to", "memory:"], ["sync", "--to", "memory:"], ["stats"]):
            with self.subTest(words=words):
                result = self.kv(*words, "--cached", code=USAGE)
                self.assertIn("--cached", result.complaint)

    def test_what_sluice_writes_is_seen(self):
        entries = self.file("in.ndjson", Entry("k", "imported").line())
        for arguments, expected in ((["put", "k", "new"], b"new"),
                                    (["import", entries, "--yes"], b"imported")):
            with self.subTest(arguments=arguments):
                self.kv("get", "k", "--cached")
                self.kv("get", "other", "--cached")
                self.kv(*arguments)
                self.sent()
                self.assertEqual(self.kv("get", "k", "--cached").out, expected)
                self.assertGreater(self.sent(), 0)
                self.kv("get", "other", "--cached")
                self.assertEqual(self.sent(), 0, "a key that was not written stays")
        self.kv("delete", "k", "--yes")
        self.kv("get", "k", "--cached", code=NOT_FOUND)

    def test_no_time_is_no_cache(self):
        self.kv("get", "k", "--cached")
        self.sent()
        self.kv("get", "k", "--cached", "--cache-ttl", "0s")
        self.assertGreaterEqual(self.sent(), 2)

    def test_the_limits_are_kept(self):
        self.kv("get", "k", "--cached", "--cache-max-entries", "1", "--cache-max-size", "1MB")
        self.kv("get", "other", "--cached", "--cache-max-entries", "1", "--cache-max-size", "1MB")
        size = self.sluice("cache", "size", "--ns", "sluice-values", "--json").json()
        self.assertEqual((size["entries"], size["max_bytes"]), (1, 1_000_000))

    def test_settings_from_the_config_file(self):
        folder = self.home / "config" / "sluice"
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text('cache_ttl = "0s"\n')
        for _ in range(2):
            self.kv("get", "k", "--cached")
            self.assertGreaterEqual(self.sent(), 2)

    def test_a_damaged_cache_is_passed_over(self):
        self.kv("get", "k", "--cached")
        for path in (self.home / "cache" / "sluice" / "cache").rglob("cache.db*"):
            path.write_bytes(b"x" * 10_000)
        result = self.kv("get", "k", "--cached")
        self.assertEqual(result.out, self.entry.value)
        self.assertEqual(result.err, b"")
        self.assertIn("passed over", self.kv("get", "k", "--cached", "--log-level", "debug").complaint)


class Zones(Cached):
    flags = ("--zone", "example.com=pro", "--zone", "other.test")

    def purge(self, *arguments, **more):
        return self.sluice("purge", *arguments, env=self.env, **more)

    def test_a_zone_is_looked_up_once(self):
        for arguments in (("tags", "--zone", "example.com", "a"),
                          ("files", "https://www.example.com/logo.png", "https://other.test/x")):
            with self.subTest(arguments=arguments):
                self.purge(*arguments)
                self.assertGreaterEqual(self.sent("GET zones"), 1)
                report = self.purge(*arguments, "--json").json()
                self.assertEqual(self.sent("GET zones"), 0)
                self.assertTrue(report["complete"])
                plans = {zone["name"]: zone.get("plan") for zone in report["zones"]}
                self.assertEqual(plans["example.com"], "pro")
                self.purge(*arguments, "--cache-ttl", "0s")
                self.assertGreaterEqual(self.sent("GET zones"), 1)

    def test_zones_that_are_shown_are_fresh(self):
        for _ in range(2):
            self.sluice("zones", "get", "example.com", env=self.env)
            self.assertEqual(self.sent("GET zones"), 1)


class Redis(SluiceTest):
    def test_values_and_no_look_ups(self):
        redis = RedisServer()
        self.addCleanup(redis.close)
        kv = ("--store", redis.url)
        redis.cli("SET", "k", "1")
        self.assertEqual(self.sluice("kv", "get", *kv, "k", "--cached").out, b"1")
        redis.cli("SET", "k", "2")  # behind our back
        self.assertEqual(self.sluice("kv", "get", *kv, "k", "--cached").out, b"1")
        self.assertEqual(self.sluice("kv", "get", *kv, "k").out, b"2")
        self.sluice("kv", "put", *kv, "k", "3")
        self.assertEqual(self.sluice("kv", "get", *kv, "k", "--cached").out, b"3")
        # A namespace that is gone must not pass for an empty one.
        self.sluice("kv", "put", *kv, "--namespace", "other", "--create-namespace", "k", "v")
        self.sluice("kv", "list", *kv, "--namespace", "other")
        redis.cli("FLUSHALL")
        self.sluice("kv", "list", *kv, "--namespace", "other", code=NOT_FOUND)

    def test_a_list_of_named_keys(self):
        redis = RedisServer()
        self.addCleanup(redis.close)
        kv = ("--store", redis.url)
        entries = "".join(Entry(f"k{i}", str(i), f'{{"n": {i}}}').line() for i in range(3000))
        self.sluice("kv", "import", *kv, "--yes", self.file("in.ndjson", entries))
        redis.cli("RPUSH", "a-list", "x")  # no entry: it holds no text
        file = self.file("keys", "k7\na-list\nk2999\nabsent\nk10\nk7\n")
        everything = self.sluice("kv", "list", *kv, "--all", "--metadata", "--json").out.splitlines(True)
        expected = b"".join(line for line in everything
                            if json.loads(line)["key"] in ("k10", "k2999", "k7"))
        listing = ["kv", "list", *kv, "--keys-file", file, "--metadata", "--json"]
        result = self.sluice(*listing, "-v", "--log-level", "warn")
        self.assertEqual(result.out, expected)
        self.assertRegex(result.complaint, "written 3 of 3 matched, 5 listed.* [12] requests?,")
        file.write_text("k7\n")
        self.sluice("kv", "get", *kv, "k7", "--cached")
        redis.cli("DEL", "k7")  # behind our back
        self.assertEqual([json.loads(line)["key"] for line in self.sluice(*listing, "--cached").lines()],
                         ["k7"])
        self.assertEqual(self.sluice(*listing).out, b"")


class Postgres(SluiceTest):
    def test_values_by_table_and_no_look_ups(self):
        server = PostgresServer().start()
        self.addCleanup(server.close)
        database = server.database()
        kv = ("--store", server.url(database))
        behind_our_back = "UPDATE sluice_kv SET value = '{}' WHERE key = 'k'"
        self.sluice("kv", "put", *kv, "k", "1")
        self.assertEqual(self.sluice("kv", "get", *kv, "k", "--cached").out, b"1")
        server.sql(behind_our_back.format("2"), database)
        self.assertEqual(self.sluice("kv", "get", *kv, "k", "--cached").out, b"1")
        # The same URL, led to another table.
        server.sql("CREATE SCHEMA other; CREATE TABLE other.sluice_kv (LIKE sluice_kv INCLUDING ALL);"
                   "INSERT INTO other.sluice_kv (key, value) VALUES ('k', 'o')", database)
        other = {"PGOPTIONS": "-c search_path=other"}
        self.assertEqual(self.sluice("kv", "get", *kv, "k", "--cached", env=other).out, b"o")
        self.assertEqual(self.sluice("kv", "get", *kv, "k").out, b"2")
        self.sluice("kv", "put", *kv, "k", "3", "--metadata", '{"n": 1}')
        self.assertEqual(self.sluice("kv", "get", *kv, "k", "--cached").out, b"3")
        listing = ("kv", "list", *kv, "--keys-file", self.file("keys", "x\nk\n"), "--metadata", "--json")
        listed = self.sluice("kv", "list", *kv, "--metadata", "--json").out
        self.assertEqual(self.sluice(*listing).out, listed)
        server.sql("DELETE FROM sluice_kv WHERE key = 'k'", database)
        self.assertEqual(self.sluice(*listing, "--cached").out, listed)
        self.assertEqual(self.sluice(*listing).out, b"")
        # A namespace that is gone must not pass for an empty one.
        named = (*kv, "--namespace", "other")
        self.sluice("kv", "put", *named, "--create-namespace", "k", "v")
        self.assertEqual(self.sluice("kv", "get", *named, "k", "--cached").out, b"v")
        server.sql("DELETE FROM sluice_namespaces", database)
        self.sluice("kv", "list", *named, code=NOT_FOUND)


if __name__ == "__main__":
    unittest.main()
