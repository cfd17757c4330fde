"""Every wrong input gets one clear sentence, the right exit code, and leaves nothing half done."""

import os
import unittest

from harness import (DONE, FAILED, NOT_FOUND, UNAUTHORIZED, USAGE, SluiceTest, by_key, sample)


class CommandLine(SluiceTest):
    def test_unknown_words_name_the_nearest(self):
        self.refused("kv", "lst", mentions="list")
        self.refused("kx", "list", mentions="kv")
        self.refused("kv", "list", "--namespac", "x", mentions="--namespace")
        self.refused("kv", "namespace", "lisst", mentions="list")
        self.refused("frobnicate")

    def test_wrong_values_name_their_flag(self):
        for flag, value in (("--concurrency", "many"), ("--concurrency", "-1"), ("--concurrency", "0"),
                            ("--limit", "x"), ("--limit", "-5"), ("--timeout", "soon"), ("--timeout", "5"),
                            ("--rate", "fast"), ("--rate", "0/s"), ("--deadline", "-1s"),
                            ("--format", "xml"), ("--batch-size", "0"), ("--progress", "loud"),
                            ("--color", "pink"), ("--log-level", "chatty")):
            with self.subTest(flag=flag, value=value):
                self.refused("kv", "list", "--store", self.store, "--namespace", "default",
                             f"{flag}={value}", mentions=flag.lstrip("-"))

    def test_missing_values_and_arguments(self):
        self.refused("kv", "list", "--namespace", mentions="--namespace")
        self.refused("kv", "put", "--store", self.store, "--namespace", "n", mentions="key")
        self.refused("kv", "get", "--store", self.store, "--namespace", "n")
        self.refused("completion", "tcsh", mentions="tcsh")
        self.refused("kv", "namespace", "create", "--store", self.store)
        self.refused("kv", "list", "too", "many", "--store", self.store)

    def test_wrong_environment_names_its_variable(self):
        self.refused("kv", "list", "--store", self.store, env={"SLUICE_CONCURRENCY": "many"},
                     mentions="SLUICE_CONCURRENCY")

    def test_unknown_store_scheme(self):
        result = self.refused("kv", "list", "--store", "sqlit:/x.db", mentions=["sqlit", "sqlite:"])
        self.assertIn("cloudflare:", result.complaint)
        self.refused("kv", "list", "--store", "x", mentions="x")
        self.refused("kv", "list", "--store", "", "--namespace", "n")

    def test_bare_words_show_help(self):
        for words in ([], ["kv"], ["kv", "namespace"]):
            with self.subTest(words=words):
                result = self.run_sluice(*words)
                self.assertIn(result.code, (DONE, USAGE), str(result))
                self.assertIn(b"list" if words else b"kv", result.out + result.err)
        self.assertIn("Examples", self.sluice("kv", "list", "--help").text.title())

    def test_help_of_every_command(self):
        """Each command of the tree has a help with an example."""
        out = self.sluice("tree", "--json").text
        self.assertIn("namespace", out)
        for words in (["kv", "delete"], ["kv", "namespace", "create"], ["jobs", "list"], ["doctor"],
                      ["config", "init"], ["completion"], ["demo"], ["version"], ["tree"]):
            with self.subTest(words=words):
                self.assertIn("sluice " + " ".join(words), self.sluice(*words, "--help").text)


class Entries(SluiceTest):
    def setUp(self):
        super().setUp()
        self.fake = self.server()
        self.env = self.fake.environment()
        self.fake.create("test")
        self.fake.reset()
        self.there = ["--store", "cloudflare:", "--namespace", "test"]

    def refuse_put(self, *arguments, **more):
        self.refused("kv", "put", *self.there, *arguments, env=self.env, **more)
        self.assertEqual(self.fake.entries("test"), {})

    def test_keys(self):
        for key in ("", ".", "..", "k" * 513, "é" * 257):
            with self.subTest(key=key[:10]):
                self.refuse_put("--", key, "value", mentions="key")

    def test_key_that_is_not_utf8(self):
        self.refuse_put(os.fsdecode(b"bad\xff"), "value", mentions="UTF-8")

    def test_metadata(self):
        for metadata in ("{", "not json", '{"a":1} x', ""):
            with self.subTest(metadata=metadata):
                self.refuse_put("key", "value", "--metadata", metadata, mentions="metadata")
        self.refuse_put("key", "value", "--metadata", '"' + "m" * 1023 + '"', mentions="1024")
        self.sluice("kv", "put", *self.there, "key", "value", "--metadata", '"' + "m" * 1022 + '"',
                    env=self.env)

    def test_expiry(self):
        for ttl in ("59s", "1", "0", "-1", "soon"):
            with self.subTest(ttl=ttl):
                self.refuse_put("key", "value", f"--ttl={ttl}")
        self.refuse_put("key", "value", "--expiration", "1000")
        self.refuse_put("key", "value", "--expiration", "tomorrow")

    def test_base64(self):
        self.refuse_put("key", "?", "--base64", mentions="base64")

    def test_value_beyond_the_limit(self):
        self.refuse_put("key", "--file", self.file("big", bytes((25 << 20) + 1)), mentions="26214400")


class Places(SluiceTest):
    def test_unknown_namespace(self):
        self.load(sample(2))
        for words in (["list"], ["get", "key"], ["export"], ["stats"], ["delete", "key", "--yes"],
                      ["put", "key", "value"]):
            with self.subTest(words=words):
                self.refused("kv", *words, "--store", self.store, "--namespace", "absent",
                             code=NOT_FOUND, mentions="absent")

    def test_unreadable_files(self):
        self.load(sample(2))
        there = ["--store", self.store, "--namespace", "test"]
        missing = self.folder / "missing"
        for words in (["import", missing, "--yes"], ["put", "key", "--file", missing],
                      ["delete", "--keys-file", missing, "--yes"], ["list", "--keys-file", missing]):
            with self.subTest(words=words):
                result = self.run_sluice("kv", *words, *there)
                self.assertIn(result.code, (FAILED, USAGE, NOT_FOUND), str(result))
                self.assertIn("missing", result.complaint)
        result = self.run_sluice("kv", "import", self.folder, "--yes", *there)
        self.assertNotEqual(result.code, DONE, str(result))
        self.same(self.content(), by_key(sample(2)))

    def test_output_that_cannot_be_written(self):
        self.load(sample(2))
        result = self.run_sluice("kv", "export", "--store", self.store, "--namespace", "test", "-o",
                                 self.folder / "no such folder" / "x")
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertIn("no such folder", result.complaint)

    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full")
    def test_full_disk(self):
        self.load(sample(5000))
        there = ["--store", self.store, "--namespace", "test"]
        for words in (["export"], ["list", "--all"]):
            result = self.run_sluice("kv", *words, *there, "-o", "/dev/full")
            self.assertEqual(result.code, FAILED, str(result))
            self.assertRegex(result.complaint.lower(), "full|space")
            with open("/dev/full", "wb") as full:
                result = self.run_sluice("kv", *words, *there, stdout=full)
            self.assertEqual(result.code, FAILED, str(result))
            self.assertRegex(result.complaint.lower(), "full|space")

    def test_a_store_that_is_none(self):
        text = self.file("text.db", "this is no database, but a text that is long enough\n" * 100)
        result = self.run_sluice("kv", "list", "--store", f"sqlite:{text}", "--namespace", "n")
        self.assertEqual(result.code, FAILED, str(result))
        self.assertIn("text.db", result.complaint)
        self.assertEqual(text.read_text()[:4], "this")
        result = self.run_sluice("kv", "list", "--store", f"sqlite:{self.folder}", "--namespace", "n")
        self.assertNotEqual(result.code, DONE, str(result))

    def test_a_foreign_database_is_not_written_into(self):
        import sqlite3
        path = self.folder / "foreign.db"
        with sqlite3.connect(path) as database:
            database.execute("create table mine(a)")
        database.close()
        before = path.read_bytes()
        result = self.run_sluice("kv", "put", "--store", f"sqlite:{path}", "--namespace", "default",
                                 "k", "v")
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertIn("foreign.db", result.complaint)
        self.assertEqual(path.read_bytes(), before)

    def test_a_newer_store_is_refused(self):
        import sqlite3
        self.load(sample(1))
        with sqlite3.connect(self.db) as database:
            database.execute("pragma user_version = 9999")
        database.close()
        result = self.run_sluice("kv", "list", "--store", self.store, "--namespace", "test")
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertRegex(result.complaint.lower(), "newer|version")

    def test_missing_credentials(self):
        self.refused("kv", "list", "--store", "cloudflare://0123456789abcdef0123456789abcdef",
                     "--namespace", "n", code=UNAUTHORIZED, mentions="CLOUDFLARE_API_TOKEN")

    def test_bad_patterns(self):
        self.load(sample(1))
        for pattern in ("a(b", "[", "*", "(?=x)"):
            with self.subTest(pattern=pattern):
                self.refused("kv", "list", "--store", self.store, "--namespace", "test", "--pattern",
                             pattern, mentions="pattern")


if __name__ == "__main__":
    unittest.main()
