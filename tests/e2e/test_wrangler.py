"""Cloudflare's own client against our server, and ours against both.

What wrangler puts, `sluice kv` must read, and the other way round; so each end is checked against one
that nobody here wrote. The answers that wrangler needs are listed in wrangler.py."""

import base64
import json
import os
import time
import unittest

import wrangler
from harness import ODD_ENTRIES, Entry, by_key, parse_ndjson
from sluice_server import ServeTest

ODD_KEY = "a b/c%d?e#f+g&h=i\n\"j'\U0001F600"
LONG_KEY = "é" * 256  # 512 bytes
VALUE_LIMIT = 25 << 20
FOREVER = 4_102_444_800  # in 2100
MANY = 25_000


def javascript(text):
    """JSON as wrangler understands it: every number is a double."""
    return json.loads(text, parse_int=float)


class Peers:
    """What is tried over every store. One wrangler run takes about a second."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.installed = wrangler.install()

    def setUp(self):
        super().setUp()
        self.url = self.store_url()
        self.api = self.serve(store=self.url)
        self.wrangler = wrangler.Wrangler(self.installed, self, self.api)

    def space(self):
        """A namespace, and the flags that tell wrangler of it."""
        namespace = self.api.create("test")
        return namespace, ("--namespace-id", namespace, "--remote")

    def through_api(self, *arguments, **more):
        """Runs `sluice kv` on the server."""
        return self.sluice("kv", *arguments, "--store", "cloudflare:", env=self.api.environment(), **more)

    def held(self, title="test"):
        """What `sluice kv` reads, by key, byte for byte."""
        return parse_ndjson(self.through_api("export", "--namespace", title, "--exact",
                                             "--format", "ndjson").out)

    def listed(self, flags, *more):
        """What wrangler lists: key → (metadata, expiration)."""
        keys = self.wrangler.document(self.wrangler.run("kv", "key", "list", *flags, *more))
        found = {item["name"]: (item.get("metadata"), item.get("expiration", 0)) for item in keys}
        self.assertEqual(len(found), len(keys), "a key is listed twice")
        return found

    def test_namespaces(self):
        def titles_of_sluice():
            lines = self.through_api("namespace", "list", "--json").lines()
            return {item["title"]: item["id"] for item in map(json.loads, lines)}

        before = titles_of_sluice()
        title = "wrangler's space / ü \U0001F600"
        self.wrangler.run("kv", "namespace", "create", title)
        after = titles_of_sluice()
        self.assertEqual(after.keys() - before.keys(), {title})
        namespace = after[title]
        self.assertRegex(namespace, "^[0-9a-f]{32}$")
        listed = self.wrangler.document(self.wrangler.run("kv", "namespace", "list"))
        self.assertEqual({item["title"]: item["id"] for item in listed}, after)

        refused = self.wrangler.run("kv", "namespace", "create", title, code=1)
        self.assertIn("already exists", refused.complaint)  # wrangler's words for the code 10014

        self.wrangler.run("kv", "namespace", "rename", title, "--new-name", "second")
        self.assertEqual(titles_of_sluice(), {**before, "second": namespace})
        self.wrangler.run("kv", "namespace", "rename", "--namespace-id", namespace, "--new-name", "third")
        self.assertEqual(titles_of_sluice(), {**before, "third": namespace})
        self.wrangler.run("kv", "namespace", "delete", "--namespace-id", namespace, "-y")
        self.assertEqual(titles_of_sluice(), before)

        # What sluice makes, wrangler sees.
        self.through_api("namespace", "create", "by sluice", "--yes")
        listed = self.wrangler.document(self.wrangler.run("kv", "namespace", "list"))
        self.assertEqual({item["title"]: item["id"] for item in listed}, titles_of_sluice())

    def test_what_wrangler_puts_sluice_reads(self):
        _, flags = self.space()
        binary = bytes(range(256)) * 3
        large = os.urandom(VALUE_LIMIT)

        def put(key, *more):
            self.wrangler.run("kv", "key", "put", key, *more, *flags)

        put(ODD_KEY, "odd \U0001F600 value", "--metadata", '{"tags":["a","ü"],"n":1.5}')
        put(LONG_KEY, "long key")
        put("binary", "--path", self.wrangler.file("binary", binary))
        put("form", "--path", self.wrangler.file("form", binary), "--metadata", '{"kind":"binary"}')
        put("empty", "--path", self.wrangler.file("empty", b""))
        put("large", "--path", self.wrangler.file("large", large))
        put("expires", "e", "--expiration", FOREVER)
        put("binary", "again", "--ttl", "3600")  # over the first value, now with an expiry
        latest = int(time.time()) + 3600

        held = self.held()
        expiration = held[b"binary"].expiration
        self.assertTrue(latest - 60 <= expiration <= latest, expiration)
        expected = by_key([
            Entry(ODD_KEY, "odd \U0001F600 value", '{"tags":["a","ü"],"n":1.5}'),
            Entry(LONG_KEY, "long key"), Entry("binary", "again", "", expiration),
            Entry("form", binary, '{"kind":"binary"}'), Entry("empty", b""), Entry("large", large),
            Entry("expires", "e", "", FOREVER)])
        self.same(held, expected)
        self.check_store(expected)

        def get(key, *more):
            return self.wrangler.run("kv", "key", "get", key, *flags, *more).out

        self.assertEqual(get(ODD_KEY, "--text"), "odd \U0001F600 value\n".encode())
        self.assertEqual(get("form"), binary)
        self.assertEqual(get("empty"), b"")
        self.assertEqual(get("large") == large, True, "25 MiB come back otherwise")
        self.assertIn("404", self.wrangler.run("kv", "key", "get", "absent", *flags, code=1).complaint)

        self.assertEqual(self.listed(flags, "--prefix", "a b/c%d?e#f+g&h=i\n"),
                         {ODD_KEY: ({"tags": ["a", "ü"], "n": 1.5}, 0)})
        for key in (ODD_KEY, LONG_KEY, "large"):
            self.wrangler.run("kv", "key", "delete", key, *flags)
            del expected[key.encode()]
        self.same(self.held(), expected)
        self.check_store(expected)

    def test_what_sluice_puts_wrangler_reads(self):
        _, flags = self.space()
        large = os.urandom(VALUE_LIMIT)
        entries = [*ODD_ENTRIES, Entry(ODD_KEY, "odd", '{"a":[1]}'),
                   Entry("large", large, '{"size":26214400}', FOREVER)]
        lines = "".join(entry.line() for entry in entries)
        self.through_api("import", "--namespace", "test", "--yes", "-", stdin=lines)
        self.check_store(by_key(entries))

        self.assertEqual(self.listed(flags), {
            entry.key.decode(): (javascript(entry.metadata or "null"), entry.expiration)
            for entry in entries})
        self.assertEqual(self.wrangler.run("kv", "key", "get", "large", *flags).out == large, True)
        self.assertEqual(self.wrangler.run("kv", "key", "get", ODD_KEY, *flags).out, b"odd")
        # A bulk get gives text; it is refused 25 MB and says nothing of what is no text.
        small = [entry for entry in entries if entry.key != b"large"]
        names = self.wrangler.file("keys.json", [entry.key.decode() for entry in small] + ["absent"])
        values = self.wrangler.document(self.wrangler.run("kv", "bulk", "get", names, *flags))
        # A byte-order mark at the beginning may be dropped by a decoder on either side.
        text = {entry.key.decode(): entry.value.decode(errors="replace").removeprefix("\ufeff")
                for entry in small}
        self.assertEqual({key: value if value is None else value.removeprefix("\ufeff")
                          for key, value in values.items()}, {**text, "absent": None})

        self.through_api("delete", "--namespace", "test", "--all-keys", "--yes")
        self.assertEqual(self.listed(flags), {})
        self.check_store({})

    def test_bulk(self):
        namespace, flags = self.space()
        # Its bulk put takes objects and arrays as metadata, and nothing else.
        odd = [entry for entry in ODD_ENTRIES if entry.metadata[:1] in ("", "{", "[")]
        entries = [Entry(f"bulk/{i:05} \U0001F600", f"value {i}", f'{{"i":{i}}}' if i % 3 == 0 else "",
                         FOREVER + i if i % 7 == 0 else 0) for i in range(MANY - len(odd))] + odd

        def pair(entry):
            out = {"key": entry.key.decode(), "value": base64.b64encode(entry.value).decode(), "base64": True}
            if entry.metadata:
                out["metadata"] = json.loads(entry.metadata)
            if entry.expiration:
                out["expiration"] = entry.expiration
            return out

        self.wrangler.run("kv", "bulk", "put", self.wrangler.file("put.json", [pair(e) for e in entries]),
                          *flags)

        def comparable(content):
            # wrangler writes metadata anew, as JSON.stringify does.
            return {key: (entry.value, javascript(entry.metadata or "null"), entry.expiration)
                    for key, entry in content.items() if key != b"mark"}

        held = parse_ndjson(self.through_api("export", "--namespace", "test", "--format", "ndjson").out)
        self.same(comparable(held), comparable(by_key(entries)))
        # The byte-order mark that no bulk get shows.
        self.assertEqual(self.api.get(namespace, "mark"), b"\xef\xbb\xbfafter a byte-order mark")

        some = [entry.key.decode() for entry in entries[:101]]
        values = self.wrangler.document(
            self.wrangler.run("kv", "bulk", "get", self.wrangler.file("get.json", some[:100]), *flags))
        self.assertEqual(values, {entry.key.decode(): entry.value.decode() for entry in entries[:100]})
        refused = self.wrangler.run("kv", "bulk", "get", self.wrangler.file("more.json", some), *flags,
                                    code=1)
        self.assertIn("10012", refused.complaint)

        left = next(entry for entry in odd if not entry.metadata)
        names = self.wrangler.file("delete.json", [entry.key.decode() for entry in entries if entry != left])
        self.wrangler.run("kv", "bulk", "delete", names, "--force", *flags)
        self.same(self.held(), by_key([left]))
        self.check_store(by_key([left]))

        # And the other client, the same way.
        lines = "".join(entry.line() for entry in entries)
        self.through_api("import", "--namespace", "test", "--yes", "-", stdin=lines)
        self.check_store(by_key(entries))
        listed = self.listed(flags)
        self.assertEqual(listed.keys(), {entry.key.decode() for entry in entries})
        self.through_api("delete", "--namespace", "test", "--prefix", "bulk/", "--yes")
        self.check_store(by_key(odd))


class OverMemory(Peers, ServeTest):
    def store_url(self):
        return "memory:"

    def check_store(self, expected):
        """Nobody else can look into this store."""


class OverSqlite(Peers, ServeTest):
    def store_url(self):
        return self.store

    def check_store(self, expected):
        """What the file itself holds, beside the server that has it open."""
        self.same(self.content(), expected)


if __name__ == "__main__":
    unittest.main()
