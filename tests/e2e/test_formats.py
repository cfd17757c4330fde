"""What `--format` writes, and that every format leads back to the same entries."""

import base64
import csv
import io
import json
import unittest

from harness import ODD_ENTRIES, SluiceTest, by_key, parse_ndjson, sample


class Formats(SluiceTest):
    def setUp(self):
        super().setUp()
        self.there = ["--store", self.store, "--namespace", "test"]

    def list(self, *flags):
        return self.sluice("kv", "list", *self.there, "--all", *flags)

    def export(self, *flags):
        return self.sluice("kv", "export", *self.there, *flags)

    def test_ndjson(self):
        self.load(ODD_ENTRIES)
        self.same(parse_ndjson(self.export("--format", "ndjson").out), by_key(ODD_ENTRIES))
        listed = parse_ndjson(self.list("--format", "ndjson", "--metadata").out)
        for entry in ODD_ENTRIES:
            self.assertIsNone(listed[entry.key].value)
            self.assertEqual(listed[entry.key].metadata, entry.metadata)
            self.assertEqual(listed[entry.key].expiration, entry.expiration)

    def test_list_without_metadata_leaves_it_out(self):
        self.load(sample(3))
        for line in self.list("--format", "ndjson").lines():
            self.assertNotIn("metadata", json.loads(line))

    def test_base64_only_where_it_is_needed(self):
        self.load(ODD_ENTRIES)
        for line in self.export("--format", "ndjson").lines():
            item = json.loads(line)
            entry = by_key(ODD_ENTRIES)[item["key"].encode()]
            try:
                entry.value.decode()
                self.assertNotIn("base64", item)
            except UnicodeDecodeError:
                self.assertIs(item["base64"], True)
                self.assertEqual(base64.b64decode(item["value"], validate=True), entry.value)

    def test_json_is_what_wrangler_takes(self):
        self.load(ODD_ENTRIES)
        items = self.export("--format", "json").json()
        self.assertEqual(len(items), len(ODD_ENTRIES))
        for item in items:
            # The check that wrangler 4 makes before it uploads.
            self.assertIsInstance(item["key"], str)
            self.assertIsInstance(item["value"], str)
            self.assertIsInstance(item.get("base64", False), bool)
            self.assertIsInstance(item.get("expiration", 0), int)
        self.assertEqual({i["key"].encode() for i in items}, set(by_key(ODD_ENTRIES)))

    def test_empty_store(self):
        self.sluice("kv", "namespace", "create", "test", "--store", self.store)
        self.assertEqual(self.export("--format", "json").json(), [])
        self.assertEqual(self.export("--format", "ndjson").out, b"")
        self.assertEqual(self.list("--format", "keys").out, b"")
        self.assertEqual(len(list(csv.reader(io.StringIO(self.export("--format", "csv").text)))), 1)

    def test_csv(self):
        self.load(ODD_ENTRIES)
        out = self.export("--format", "csv").text
        rows = list(csv.DictReader(io.StringIO(out, newline="")))
        self.assertEqual(list(rows[0]), ["key", "value", "base64", "metadata", "expiration"])
        expected = by_key(ODD_ENTRIES)
        self.assertEqual(len(rows), len(expected))
        for row in rows:
            entry = expected[row["key"].encode()]
            value = row["value"].encode()
            if row["base64"] == "true":
                value = base64.b64decode(value, validate=True)
            self.assertEqual(value, entry.value)
            self.assertEqual(row["metadata"], entry.metadata)
            self.assertEqual(row["expiration"], str(entry.expiration or ""))

    def test_keys(self):
        self.load(sample(12))
        expected = [entry.key.decode() for entry in sample(12)]
        self.assertEqual(self.list("--format", "keys").lines(), expected)
        self.assertEqual(self.list("--format", "keys", "-0").out,
                         b"".join(k.encode() + b"\0" for k in expected))

    def test_keys_come_back_whole(self):
        """Whatever a key looks like, the list of keys names it for --keys-file."""
        for flags in ([], ["-0"]):
            with self.subTest(flags=flags):
                self.load(ODD_ENTRIES)
                keys = self.list("--format", "keys", *flags).out
                self.sluice("kv", "delete", *self.there, "--keys-file", "-", *flags, "--yes",
                            stdin=keys)
                self.assertEqual(self.list("--format", "keys").out, b"")

    def test_every_format_leads_back(self):
        self.load(ODD_ENTRIES)
        for name in ("ndjson", "json", "csv"):
            with self.subTest(format=name):
                path = self.folder / f"export.{name}"
                self.export("--format", name, "-o", path)
                self.sluice("kv", "import", "--store", self.store, "--namespace", name,
                            "--create-namespace", "--yes", path)
                self.same(self.content(name), by_key(ODD_ENTRIES))

    def test_the_name_of_the_output_says_the_format(self):
        self.load(sample(3))
        for name, form in (("x.csv", "csv"), ("X.CSV", "csv"), ("x.json", "json"), ("x.ndjson", "ndjson"),
                           ("x.jsonl", "ndjson"), ("x.keys", "keys"), ("x.txt", "ndjson"), ("x", "ndjson"),
                           ("csv", "ndjson"), ("x.csv/y", "ndjson")):
            with self.subTest(name=name):
                path = self.folder / "named" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                for command, flags in (("export", []), ("list", ["--all", "--metadata"]),
                                       ("get", ["--all", "--metadata"])):
                    words = ["kv", command, *self.there, *flags]
                    expected = self.sluice(*words, "--format", form).out
                    self.sluice(*words, "-o", path)
                    self.assertEqual(path.read_bytes(), expected, command)
                    path.unlink()
                if path.parent.name == "x.csv":
                    path.parent.rmdir()
        # What is said by a flag counts for more than a name.
        path = self.folder / "x.csv"
        self.export("--format", "json", "-o", path)
        self.assertEqual(path.read_bytes(), self.export("--format", "json").out)
        self.list("--json", "-o", path)
        self.assertEqual(path.read_bytes(), self.list("--format", "ndjson").out)
        # The report of an export is JSON; its file is what its name says.
        self.assertEqual(self.export("--json", "-o", path).json()["done"], 3)
        self.assertEqual(path.read_bytes(), self.export("--format", "csv").out)
        # One key's bare value is a value, whatever its file is called.
        for name in ("x.csv", "x.gz"):
            self.sluice("kv", "get", *self.there, "item:0001", "-o", self.folder / name)
            self.assertEqual((self.folder / name).read_bytes(), b"value 1")

    def test_a_name_that_promises_compression_is_refused(self):
        self.load(sample(3))
        for ending, program in ((".gz", "gzip"), (".zst", "zstd"), (".xz", "xz"), (".bz2", "bzip2"),
                                (".ZST", "zstd")):
            for words in (["export"], ["export", "--resume"], ["export", "--format", "csv"], ["list"],
                          ["get", "--all"]):
                with self.subTest(ending=ending, words=words):
                    self.refused("kv", *words, *self.there, "-o", "x.ndjson" + ending,
                                 mentions=[f"sluice kv {words[0]} … | {program} > x.ndjson{ending}"])
                    self.assertFalse((self.folder / ("x.ndjson" + ending)).exists())
        # Before the store is asked for anything, and without a journal.
        self.refused("kv", "export", "--store", self.store, "--namespace", "nope", "-o", "x.gz")
        self.assertEqual(self.sluice("jobs", "list", "--json").out, b"")

    def test_table_is_for_people(self):
        self.load(sample(3))
        out = self.list("--format", "table", "--metadata").text
        for entry in sample(3):
            self.assertIn(entry.key.decode(), out)
        self.assertIn("archived", out)

    def test_control_characters_do_not_reach_the_terminal(self):
        self.sluice("kv", "put", *self.there, "--create-namespace", "bell\x07\x1b[31mred", "v")
        shown = self.on_terminal("kv", "list", *self.there, "--all", "--format", "table",
                                 "--color", "never", "-P", "off", whole=True)
        self.assertEqual(shown.code, 0, str(shown))
        self.assertIn(b"red", shown.err)
        self.assertNotIn(b"\x1b[31mred", shown.err)
        self.assertNotIn(b"\x07", shown.err)

    def test_output_file_appears_complete(self):
        self.load(sample(50))
        path = self.folder / "out.ndjson"
        result = self.export("-o", path)
        self.assertEqual(result.out, b"")
        self.same(parse_ndjson(path.read_bytes()), by_key(sample(50)))
        self.assertEqual([p.name for p in self.folder.iterdir() if "out.ndjson" in p.name],
                         ["out.ndjson"])
        # A run that fails leaves what was there.
        self.run_sluice("kv", "export", "--store", self.store, "--namespace", "absent", "-o", path)
        self.same(parse_ndjson(path.read_bytes()), by_key(sample(50)))


if __name__ == "__main__":
    unittest.main()
