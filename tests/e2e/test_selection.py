"""Selection flags mean the same in every command."""

import json
import unittest

from harness import DONE, FAILED, NOT_FOUND, SOME_FAILED, SluiceTest, parse_ndjson, sample

ENTRIES = sample(25)
KEYS = [entry.key.decode() for entry in ENTRIES]


def meta(entry):
    return json.loads(entry.metadata)


CASES = [
    # (flags, which of the entries)
    (["--prefix", "item:001"], lambda i, m: 10 <= i < 20),
    (["--prefix", "nothing"], lambda i, m: False),
    (["--pattern", "[05]$"], lambda i, m: i % 5 == 0),
    (["--pattern", "^item:00(0|1)1$"], lambda i, m: i in (1, 11)),
    (["--search", "old-DATA"], lambda i, m: i % 5 == 0),
    (["--search", "archived"], lambda i, m: i % 3 == 0),
    (["--search", "note"], lambda i, m: False),  # the name of a field is not a value
    (["--tag-field", "status"], lambda i, m: True),
    (["--tag-field", "absent"], lambda i, m: False),
    (["--tag-field", "status", "--tag-value", "active"], lambda i, m: i % 3 != 0),
    (["--tag-field", "tags", "--tag-value", "even"], lambda i, m: i % 2 == 0),
    (["--tag-field", "size", "--tag-value", "7"], lambda i, m: i == 7),
    (["--prefix", "item:000", "--search", "old-data", "--tag-field", "tags", "--tag-value", "odd"],
     lambda i, m: i == 5),
    (["--all"], lambda i, m: True),
    (["--all-keys"], lambda i, m: True),
]


class Selection(SluiceTest):
    def setUp(self):
        super().setUp()
        self.load(ENTRIES)
        self.there = ["--store", self.store, "--namespace", "test"]

    def expected(self, chosen):
        return [KEYS[i] for i, entry in enumerate(ENTRIES) if chosen(i, meta(entry))]

    def test_the_same_in_list_export_get_and_copy(self):
        for number, (flags, chosen) in enumerate(CASES):
            with self.subTest(flags=flags):
                expected = self.expected(chosen)
                self.assertEqual(self.keys(*flags), expected)
                export = self.sluice("kv", "export", *self.there, *flags)
                self.assertEqual([k.decode() for k in parse_ndjson(export.out)], expected)
                get = self.sluice("kv", "get", *self.there, *flags, "--format", "ndjson")
                self.assertEqual([k.decode() for k in parse_ndjson(get.out)], expected)
                stats = self.sluice("kv", "stats", *self.there, *flags, "--json").json()
                self.assertEqual(stats["entries"], len(expected))
                self.sluice("kv", "copy", *self.there, "--to-namespace", f"copy{number}",
                            "--create-namespace", "--yes", *flags)
                self.assertEqual(self.keys("--all", namespace=f"copy{number}"), expected)

    def test_the_same_in_delete(self):
        for number, (flags, chosen) in enumerate(CASES):
            with self.subTest(flags=flags):
                namespace = f"delete{number}"
                self.load(ENTRIES, namespace)
                self.sluice("kv", "delete", "--store", self.store, "--namespace", namespace, "--yes",
                            *flags)
                gone = set(self.expected(chosen))
                self.assertEqual(self.keys("--all", namespace=namespace),
                                 [key for key in KEYS if key not in gone])

    def test_limit(self):
        self.assertEqual(self.keys("--limit", "3"), KEYS[:3])
        self.assertEqual(self.keys("--limit", "2", "--tag-field", "tags", "--tag-value", "odd"),
                         [KEYS[1], KEYS[3]])
        self.sluice("kv", "delete", *self.there, "--all", "--limit", "4", "--yes")
        self.assertEqual(self.keys("--all"), KEYS[4:])

    def test_keys_file(self):
        path = self.file("keys", "\n".join([KEYS[3], KEYS[1], "absent", ""]))
        export = self.run_sluice("kv", "export", *self.there, "--keys-file", path)
        # Whether a named key that does not exist is a failure is not part of the contract.
        self.assertIn(export.code, (DONE, SOME_FAILED, NOT_FOUND), str(export))
        self.assertEqual(set(parse_ndjson(export.out)), {KEYS[3].encode(), KEYS[1].encode()})
        self.sluice("kv", "delete", *self.there, "--keys-file", "-", "-0", "--yes",
                    stdin="\0".join([KEYS[0], KEYS[24]]))
        self.assertEqual(self.keys("--all"), KEYS[1:24])

    def test_a_key_that_is_named_twice_is_one_key(self):
        where = self.there
        twice = ["item:0001", "item:0001", "item:0002", "item:0001"]
        self.assertEqual(len(self.sluice("kv", "get", *where, *twice).lines()), 2)
        self.refused("kv", "delete", *where, *twice, "--max-delete", "1", "--yes", code=FAILED,
                     mentions="2 keys match")
        report = self.sluice("kv", "delete", *where, *twice, "--max-delete", "2", "--yes", "--json").json()
        self.assertEqual((report["selected"], report["done"]), (2, 2))
        path = self.file("keys", "item:0003\nitem:0004\nitem:0003\n")
        self.refused("kv", "delete", *where, "--keys-file", path, "--max-delete", "1", "--yes", code=FAILED,
                     mentions="2 keys match")
        report = self.sluice("kv", "delete", *where, "--keys-file", path, "--max-delete", "2", "--yes",
                             "--json").json()
        self.assertEqual((report["listed"], report["selected"], report["done"]), (3, 2, 2))
        path = self.file("keys", "item:0005\nitem:0006\nitem:0005\n")
        self.assertEqual(len(self.sluice("kv", "export", *where, "--keys-file", path).lines()), 2)
        report = self.sluice("kv", "delete", *where, "--keys-file", path, "--yes", "--json").json()
        self.assertEqual((report["listed"], report["selected"], report["done"]), (3, 2, 2))

    def test_keys_file_and_pattern_combine(self):
        path = self.file("keys", "\n".join(KEYS[:10]))
        self.sluice("kv", "delete", *self.there, "--keys-file", path, "--pattern", "[02468]$", "--yes")
        self.assertEqual(self.keys("--all"), [k for i, k in enumerate(KEYS) if i >= 10 or i % 2])

    def test_list_stops_at_a_thousand_and_says_so(self):
        self.load(sample(1005), "many")
        stopped = self.sluice("kv", "list", "--store", self.store, "--namespace", "many", "--format",
                              "keys")
        self.assertEqual(len(stopped.lines()), 1000)
        self.assertIn("--all", stopped.complaint)
        self.assertEqual(len(self.keys("--all", namespace="many")), 1005)
        # A selection is not cut off.
        self.assertEqual(len(self.keys("--prefix", "item", namespace="many")), 1005)

    def test_export_means_all_without_a_selection(self):
        self.load(sample(1005), "many")
        self.assertEqual(len(self.content("many")), 1005)

    def test_unicode_search(self):
        self.load([sample(1)[0]], "u")
        self.sluice("kv", "put", "--store", self.store, "--namespace", "u", "k", "v", "--metadata",
                    '{"a":{"b":["\\u00c9TUDE", "Straße"]}}')
        for text in ("étude", "ÉTUDE", "STRASSE"):
            self.assertEqual(self.keys("--search", text, namespace="u"), ["k"], text)


if __name__ == "__main__":
    unittest.main()
