"""`sluice serve --cloudflare`: listings, their pages and cursors."""

import unittest
import urllib.parse

from harness import Entry, parse_ndjson
from served_api import ApiTest
from sluice_server import ServeTest


class Listing(ApiTest):
    COUNT = 2_500

    def setUp(self):
        super().setUp()
        self.names = sorted([f"a:{i:04}" for i in range(self.COUNT)] + ["b:1", "b/ü +", "c"])
        pairs = [{"key": name, "value": "v", "metadata": {"n": name}} for name in self.names]
        self.assert_success(self.bulk(pairs))

    def test_pages_hold_every_key_once(self):
        for query, pages in [("", 3), ("limit=1000", 3), ("limit=999", 3), ("limit=10", None), ("prefix=", 3),
                             ("prefix=a:&limit=500", 5), ("prefix=a:1&limit=1000", 1), ("prefix=nothing", 1),
                             ("prefix=b%2F%C3%BC+%2B", 1)]:
            with self.subTest(query=query):
                prefix = urllib.parse.parse_qs(query).get("prefix", [""])[0]
                wanted = [name for name in self.names if name.startswith(prefix)]
                names, seen = self.all_keys(query)
                self.assertEqual(sorted(names), wanted)
                if pages is not None:
                    self.assertLessEqual(seen, pages + 1)
        first = self.keys("?limit=10")["result"]
        self.assertEqual(len(first), 10)
        self.assertEqual(first[0], {"name": first[0]["name"], "metadata": {"n": first[0]["name"]}})

    def test_the_limit(self):
        for limit in ("9", "1001", "0", "-10", "x", "10x", "99999999999999999999"):
            with self.subTest(limit=limit):
                self.assert_refused(self.api.kv("GET", f"/{self.space}/keys?limit={limit}"), 400)

    def test_a_cursor_is_only_good_where_it_came_from(self):
        cursor = self.keys("?prefix=a:&limit=10")["result_info"]["cursor"]
        self.assertTrue(cursor)
        again = self.keys(f"?prefix=a:&limit=10&cursor={urllib.parse.quote(cursor)}")["result"]
        self.assertEqual(len(again), 10)
        other = self.api.create("other")
        flipped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
        for name, path in {
                "another prefix": f"/{self.space}/keys?prefix=b:&cursor={cursor}",
                "no prefix": f"/{self.space}/keys?cursor={cursor}",
                "another namespace": f"/{other}/keys?prefix=a:&cursor={cursor}",
                "cut off": f"/{self.space}/keys?prefix=a:&cursor={cursor[:-3]}",
                "changed": f"/{self.space}/keys?prefix=a:&cursor={flipped}",
                "longer": f"/{self.space}/keys?prefix=a:&cursor={cursor}AAAA",
                "made up": f"/{self.space}/keys?prefix=a:&cursor=hello",
                "no text": f"/{self.space}/keys?prefix=a:&cursor=%00%ff",
                "long": f"/{self.space}/keys?prefix=a:&cursor={'A' * 4000}"}.items():
            with self.subTest(name):
                self.assert_refused(self.api.kv("GET", path), 400)

    def test_what_is_deleted_meanwhile_loses_nothing_else(self):
        document = self.keys("?limit=1000")
        first = [item["name"] for item in document["result"]]
        cursor = urllib.parse.quote(document["result_info"]["cursor"])
        self.assert_success(self.api.kv("POST", f"/{self.space}/bulk/delete", first[500:]))
        second = [item["name"] for item in self.keys(f"?limit=1000&cursor={cursor}")["result"]]
        self.assertEqual(sorted(first + second), self.names[:2000])


class ListingOverSqlite(Listing):
    def store_url(self):
        return self.store

    def test_a_cursor_survives_a_restart(self):
        first = self.keys("?prefix=a:&limit=1000")
        cursor = urllib.parse.quote(first["result_info"]["cursor"])
        self.api.close()
        self.api = self.serve(store=self.store)
        names = [item["name"] for item in first["result"]]
        while cursor:
            page = self.keys(f"?prefix=a:&limit=1000&cursor={cursor}")
            names += [item["name"] for item in page["result"]]
            cursor = urllib.parse.quote(page["result_info"]["cursor"])
        self.assertEqual(sorted(names), [name for name in self.names if name.startswith("a:")])
        self.assertEqual(self.api.result("GET", f"/{self.space}")["title"], "test")


class Pieces(ServeTest):
    """What our server offers beyond Cloudflare's API: listings that begin at any key."""

    def test_a_listing_in_pieces_is_the_listing(self):
        api = self.serve(store=self.store)
        entries = [Entry(f"key/{i:05} \U0001F600", "v", f'{{"i":{i}}}') for i in range(20_000)]
        self.sluice("kv", "import", "--store", self.store, "--namespace", "default", "--yes", "-",
                    stdin="".join(entry.line() for entry in entries))

        def listed(*more):
            result = self.sluice("kv", "list", "--store", "cloudflare:", "--namespace", "default", "--all",
                                 "--metadata", "--format", "ndjson", "-v", *more, env=api.environment())
            return parse_ndjson(result.out), result.complaint

        serial, _ = listed("--list-partitions", "1")
        pieces, said = listed("--list-partitions", "7")
        self.assertEqual(len(serial), 20_000)
        self.assertEqual(pieces, serial)
        self.assertIn("7", said)
        some, _ = listed("--list-partitions", "3", "--prefix", "key/01")
        self.assertEqual(len(some), 1_000)


if __name__ == "__main__":
    unittest.main()
