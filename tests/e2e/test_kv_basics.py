"""Namespaces and single keys, on the embedded store and on the Cloudflare-shaped server."""

import json
import unittest

from harness import DONE, FAILED, NOT_FOUND, USAGE, SluiceTest


class OnSqlite(SluiceTest):
    def setUp(self):
        super().setUp()
        self.env = {}
        self.place = ["--store", self.store]

    def kv(self, *words, code=DONE, **more):
        return self.sluice("kv", *words, *self.place, code=code, env=self.env, **more)

    def titles(self):
        lines = self.kv("namespace", "list", "--json").text.splitlines()
        return [json.loads(line)["title"] for line in lines]

    def test_namespaces(self):
        before = set(self.titles())
        self.kv("namespace", "create", "My Namespace")
        self.kv("namespace", "create", "ключи / 2")
        self.assertEqual(set(self.titles()) - before, {"My Namespace", "ключи / 2"})
        again = self.run_sluice("kv", "namespace", "create", "My Namespace", *self.place, env=self.env)
        self.assertIn(again.code, (FAILED, USAGE), str(again))
        self.assertIn("My Namespace", again.complaint)
        self.kv("put", "--namespace", "My Namespace", "key", "value")
        self.kv("namespace", "rename", "My Namespace", "Renamed", "--yes")
        self.assertEqual(self.kv("get", "--namespace", "Renamed", "key").out, b"value")
        self.kv("list", "--namespace", "My Namespace", code=NOT_FOUND)
        # Without a terminal and without --yes, nothing is deleted.
        self.kv("namespace", "delete", "Renamed", code=USAGE)
        self.kv("namespace", "delete", "Renamed", "--dry-run")
        self.assertIn("Renamed", self.titles())
        self.kv("namespace", "delete", "Renamed", "--yes")
        self.assertNotIn("Renamed", self.titles())
        self.kv("namespace", "delete", "Renamed", "--yes", code=NOT_FOUND)

    def test_namespace_by_id(self):
        self.kv("namespace", "create", "by id")
        found = [json.loads(line) for line in self.kv("namespace", "list", "--json").lines()]
        identity = [n["id"] for n in found if n["title"] == "by id"][0]
        self.kv("put", "--namespace", str(identity), "k", "v")
        self.assertEqual(self.kv("get", "--namespace-id", str(identity), "k").out, b"v")
        self.assertEqual(self.kv("get", "--namespace", "by id", "k").out, b"v")

    def test_put_get_delete(self):
        self.kv("namespace", "create", "n")
        there = ["--namespace", "n"]
        value = bytes(range(256)) * 4
        self.kv("put", *there, "binary", "-", stdin=value)
        self.assertEqual(self.kv("get", *there, "binary").out, value)
        path = self.file("value", b"from a file\n")
        self.kv("put", *there, "file", "--file", path)
        self.assertEqual(self.kv("get", *there, "file").out, b"from a file\n")
        self.kv("put", *there, "encoded", "AP8=", "--base64")
        self.assertEqual(self.kv("get", *there, "encoded").out, b"\0\xff")
        self.kv("put", *there, "empty", "", "--metadata", '{"n": 1.0}')
        self.assertEqual(self.kv("get", *there, "empty").out, b"")
        self.assertIn('"metadata":{"n": 1.0}',
                      self.kv("list", *there, "--prefix", "empty", "--metadata", "--format",
                              "ndjson").text)
        # A put replaces everything, metadata included.
        self.kv("put", *there, "empty", "full")
        self.assertNotIn("metadata", self.kv("list", *there, "--prefix", "empty", "--metadata",
                                             "--format", "ndjson").text)
        self.kv("get", *there, "absent", code=NOT_FOUND)
        self.kv("delete", *there, "binary", "file", "absent", "--yes")
        self.kv("get", *there, "binary", code=NOT_FOUND)
        self.assertEqual(self.kv("get", *there, "encoded").out, b"\0\xff")

    def test_several_keys(self):
        self.kv("namespace", "create", "n")
        for key in ("a", "b"):
            self.kv("put", "--namespace", "n", key, "value of " + key)
        out = self.kv("get", "--namespace", "n", "a", "b").lines()
        self.assertEqual([json.loads(line)["value"] for line in out], ["value of a", "value of b"])
        partly = self.kv("get", "--namespace", "n", "a", "nothing", code=NOT_FOUND)
        self.assertIn("nothing", partly.complaint)
        self.assertIn("value of a", partly.text)

    def test_expiry(self):
        self.kv("namespace", "create", "n")
        self.kv("put", "--namespace", "n", "soon", "x", "--ttl", "1h")
        self.kv("put", "--namespace", "n", "seconds", "x", "--ttl", "3600")
        self.kv("put", "--namespace", "n", "late", "x", "--expiration", "4102444800")
        self.kv("put", "--namespace", "n", "date", "x", "--expiration", "2100-01-01T00:00:00Z")
        lines = self.kv("list", "--namespace", "n", "--all", "--format", "ndjson").lines()
        expires = {json.loads(line)["key"]: json.loads(line)["expiration"] for line in lines}
        self.assertEqual(expires["late"], 4102444800)
        self.assertEqual(expires["date"], 4102444800)
        self.assertLessEqual(abs(expires["soon"] - expires["seconds"]), 60)

    def test_dry_run_writes_nothing(self):
        self.kv("namespace", "create", "n")
        self.kv("put", "--namespace", "n", "key", "value", "--dry-run")
        self.kv("get", "--namespace", "n", "key", code=NOT_FOUND)
        self.kv("namespace", "create", "other", "--dry-run")
        self.assertNotIn("other", self.titles())

    def test_stats(self):
        self.kv("namespace", "create", "n")
        self.kv("put", "--namespace", "n", "four", "value")
        self.kv("put", "--namespace", "n", "é", "")
        stats = self.kv("stats", "--namespace", "n", "--json").json()
        self.assertEqual(stats["namespace"], "n")
        self.assertEqual(stats["entries"], 2)
        self.assertEqual(stats["key_bytes"], 6)
        self.assertIn("value_bytes", stats)


class OnCloudflare(OnSqlite):
    def setUp(self):
        super().setUp()
        self.fake = self.server("--namespaces", 25)
        self.env = self.fake.environment()
        self.place = ["--store", "cloudflare:"]

    def test_the_store_follows_from_the_token(self):
        self.fake.create("n")
        self.sluice("kv", "put", "--namespace", "n", "k", "v", env=self.env)
        self.assertEqual(self.fake.entries("n")[b"k"].value, b"v")

    def test_key_and_email(self):
        env = {**self.env, "CLOUDFLARE_EMAIL": "test@example.com", "CLOUDFLARE_API_KEY": "test-key"}
        del env["CLOUDFLARE_API_TOKEN"]
        self.assertIn("namespace-00000",
                      self.sluice("kv", "namespace", "list", *self.place, env=env).text)

    def test_account_in_the_url(self):
        env = dict(self.env)
        account = env.pop("CLOUDFLARE_ACCOUNT_ID")
        self.sluice("kv", "namespace", "list", "--store", f"cloudflare://{account}", env=env)
        self.refused("kv", "namespace", "list", "--store", "cloudflare:", env=env, code=USAGE,
                     mentions="CLOUDFLARE_ACCOUNT_ID")

    def test_a_namespace_beyond_the_first_page(self):
        fake = self.server("--namespaces", 2500)
        self.sluice("kv", "put", *self.place, "--namespace", "namespace-02499", "k", "v",
                    env=fake.environment())
        self.assertEqual(fake.entries("namespace-02499")[b"k"].value, b"v")


class InMemory(SluiceTest):
    def test_a_run_of_its_own(self):
        out = self.sluice("kv", "namespace", "list", "--store", "memory:").text
        self.assertIn("default", out)
        self.sluice("kv", "put", "--store", "memory:", "--namespace", "default", "k", "v")
        # Another process has another memory.
        self.sluice("kv", "get", "--store", "memory:", "--namespace", "default", "k", code=NOT_FOUND)


if __name__ == "__main__":
    unittest.main()
