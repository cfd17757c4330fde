"""Cloudflare's KV API as `sluice serve --cloudflare` offers it: each call with its limits and shapes."""

import base64
import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
import unittest
import urllib.parse

from harness import (DONE, FAILED, NOT_FOUND, ODD_ENTRIES, UNAUTHORIZED, USAGE, Entry, by_key,
                     parse_ndjson)
from sluice_server import ServeTest

VALUE_LIMIT = 25 << 20
FOREVER = 4_102_444_800  # in 2100
KEYS_LIMIT = 10_000


class Api(ServeTest):
    def setUp(self):
        super().setUp()
        self.api = self.serve(store=self.store_url())
        self.space = self.api.create("test")

    def store_url(self):
        return "memory:"

    def bulk(self, pairs, **more):
        return self.api.kv("PUT", f"/{self.space}/bulk", pairs, **more)

    def keys(self, query=""):
        return self.assert_success(self.api.kv("GET", f"/{self.space}/keys{query}"))

    def put(self, key, value=b"value", query=""):
        return self.api.kv("PUT", self.api.value_path(self.space, key) + query, value)

    def all_keys(self, query=""):
        """Pages to the end, and requires what a listing promises."""
        names, cursor, pages = [], "", 0
        while True:
            document = self.keys(f"?{query}" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
            info = document["result_info"]
            self.assertEqual(info["count"], len(document["result"]))
            names += [item["name"] for item in document["result"]]
            pages += 1
            cursor = info["cursor"]
            if not cursor:
                self.assertEqual(len(names), len(set(names)), "a key is listed twice")
                return names, pages


class Namespaces(Api):
    def test_create_get_rename_delete(self):
        made = self.api.result("POST", "", {"title": "one ü"})
        self.assertEqual(made["title"], "one ü")
        self.assertRegex(made["id"], "^[0-9a-f]{32}$")
        self.assertIs(made["supports_url_encoding"], True)
        self.assertEqual(self.api.result("GET", f"/{made['id']}"), made)
        self.assert_refused(self.api.kv("POST", "", {"title": "one ü"}), 400, 10014)
        self.api.put(made["id"], "key", b"kept")
        self.assert_success(self.api.kv("PUT", f"/{made['id']}", {"title": "two"}))
        self.assertEqual(self.api.result("GET", f"/{made['id']}")["title"], "two")
        self.assertEqual(self.api.get(made["id"], "key"), b"kept")
        self.assert_refused(self.api.kv("PUT", f"/{made['id']}", {"title": "test"}), 400, 10014)
        self.assert_success(self.api.kv("DELETE", f"/{made['id']}"))
        for method, path, body in [("GET", "", None), ("DELETE", "", None), ("PUT", "", {"title": "x"}),
                                   ("GET", "/keys", None), ("GET", "/values/key", None),
                                   ("PUT", "/values/key", b"x"), ("DELETE", "/values/key", None),
                                   ("GET", "/metadata/key", None), ("PUT", "/bulk", [{"key": "a", "value": "b"}]),
                                   ("POST", "/bulk/delete", ["a"]), ("DELETE", "/bulk", ["a"]),
                                   ("POST", "/bulk/get", {"keys": ["a"]})]:
            with self.subTest(method=method, path=path):
                self.assert_refused(self.api.kv(method, f"/{made['id']}{path}", body), 404, 10013)

    def test_titles(self):
        self.assertEqual(self.api.result("POST", "", {"title": "t" * 512})["title"], "t" * 512)
        for title in ("", "t" * 513, None, 5, ["x"]):
            with self.subTest(title=title):
                self.assert_refused(self.api.kv("POST", "", {"title": title}), 400)
                self.assert_refused(self.api.kv("PUT", f"/{self.space}", {"title": title}), 400)

    def test_pages(self):
        before = {item["title"] for item in self.api.result("GET", "?per_page=1000")}
        made = {f"space {i:02}" for i in range(45)}
        for title in made:
            self.api.create(title)
        everything = made | before
        for query, size in [("", 20), ("per_page=7", 7), ("per_page=1000", 1000),
                            ("per_page=10&order=title&direction=asc", 10), ("order=id&direction=desc", 20)]:
            with self.subTest(query=query):
                found, page = [], 1
                while True:
                    document = self.assert_success(self.api.kv("GET", f"?{query}&page={page}"))
                    info, items = document["result_info"], document["result"]
                    self.assertEqual((info["page"], info["per_page"], info["count"], info["total_count"]),
                                     (page, size, len(items), len(everything)))
                    if not items:  # how wrangler sees the end
                        break
                    self.assertLessEqual(len(items), size)
                    found += items
                    page += 1
                self.assertEqual(len(found), len(everything))
                self.assertEqual({item["title"] for item in found}, everything)
                by = "title" if "order=title" in query else "id"
                if "order" in query:
                    listed = [item[by] for item in found]
                    self.assertEqual(listed, sorted(listed, reverse="desc" in query))
        for query in ("page=0", "page=x", "page=-1", "per_page=0", "per_page=1001", "per_page=x", "order=size",
                      "direction=up"):
            with self.subTest(query=query):
                self.assert_refused(self.api.kv("GET", f"?{query}"), 400)


class Values(Api):
    def test_put_get_delete(self):
        value = bytes(range(256))
        self.assertIn(self.assert_success(self.put("key", value))["result"], (None, {}))
        answer = self.api.kv("GET", f"/{self.space}/values/key")
        self.assertEqual((answer.status, answer.body), (200, value))
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertNotIn("expiration", answer.headers)
        self.assert_success(self.put("key", b""))
        self.assertEqual(self.api.get(self.space, "key"), b"")
        for _ in range(2):  # what is gone can be deleted again
            self.assertIn(self.assert_success(self.api.kv("DELETE", f"/{self.space}/values/key"))["result"],
                          (None, {}))
            self.assert_refused(self.api.kv("GET", f"/{self.space}/values/key"), 404, 10009)

    def test_keys(self):
        for key in ("k" * 512, "é" * 256, "\U0001F600" * 128, "...", " ", "a/b?c#d%e+f\n\"'"):
            self.assert_success(self.put(key, key.encode()))
            self.assertEqual(self.api.get(self.space, key), key.encode())
        for key in ("k" * 513, "é" * 256 + "x", ".", ".."):
            for method, body in (("PUT", b"x"), ("GET", None), ("DELETE", None)):
                with self.subTest(key=key[:5], method=method):
                    answer = self.api.kv(method, self.api.value_path(self.space, key), body)
                    self.assertIn(answer.status, (400, 414), answer)
                    self.assert_refused(answer, answer.status)
            self.assert_refused(self.bulk([{"key": "fine", "value": "x"}, {"key": key, "value": "x"}]), 400)
        self.assertIsNone(self.api.get(self.space, "fine"), "a refused call wrote something")

    def test_the_largest_value(self):
        value = os.urandom(VALUE_LIMIT)
        self.assert_success(self.put("large", value))
        self.assertEqual(self.api.get(self.space, "large") == value, True)
        self.assert_refused(self.put("larger", value + b"x"), 413)
        self.assertIsNone(self.api.get(self.space, "larger"))
        form = self.form([("value", value), ("metadata", b'{"a":1}')])
        self.assert_success(self.put_form("form", form))
        self.assertEqual(self.api.get(self.space, "form") == value, True)
        self.assert_refused(self.put_form("form", self.form([("value", value + b"x"),
                                                             ("metadata", b"{}")])), 413)

    BOUNDARY = "----boundary'()+_,-./:=?x"

    def form(self, parts):
        out = b""
        for name, content in parts:
            out += f'--{self.BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
            out += content + b"\r\n"
        return out + f"--{self.BOUNDARY}--\r\n".encode()

    def put_form(self, key, form, content_type=None):
        return self.api.kv("PUT", self.api.value_path(self.space, key), form, headers={
            "Content-Type": content_type or f'multipart/form-data; boundary="{self.BOUNDARY}"'})

    def test_forms(self):
        tricky = b"--" + self.BOUNDARY.encode()[:-1] + b"\r\n\r\n--\r\n" + bytes(range(256))
        metadata = b'{"b": 1, "a":[2.50, "\xc3\xa9"]}'
        self.assert_success(self.put_form("a", self.form([("value", tricky), ("metadata", metadata)])))
        self.assertEqual(self.api.get(self.space, "a"), tricky)
        self.assertEqual(self.api.result("GET", f"/{self.space}/metadata/a"), json.loads(metadata))
        self.assert_success(self.put_form("a", self.form([("metadata", b"[1]"), ("value", b"")])))
        self.assertEqual(self.api.get(self.space, "a"), b"")
        self.assertEqual(self.api.result("GET", f"/{self.space}/metadata/a"), [1])
        self.assert_success(self.put_form("a", self.form([("value", b"x")])))
        self.assertIsNone(self.api.result("GET", f"/{self.space}/metadata/a"))
        good = self.form([("value", b"x")])
        for name, form, content_type in [
                ("no value", self.form([("metadata", b"{}")]), None),
                ("nothing", b"", None), ("no parts", f"--{self.BOUNDARY}--\r\n".encode(), None),
                ("bad metadata", self.form([("value", b"x"), ("metadata", b"{")]), None),
                ("not closed", good[:-6], None), ("no end", good[:20], None),
                ("no boundary", good, "multipart/form-data"),
                ("an empty boundary", good, "multipart/form-data; boundary="),
                ("another boundary", good, "multipart/form-data; boundary=other"),
                ("a long boundary", good, "multipart/form-data; boundary=" + "x" * 71),
                ("no disposition", good.replace(b"Content-Disposition", b"X-Other"), None)]:
            with self.subTest(name):
                self.assert_refused(self.put_form("b", form, content_type), 400)
        self.assertIsNone(self.api.get(self.space, "b"))

    def test_metadata(self):
        fits = json.dumps({"m": "x" * (1024 - 8)}, separators=(",", ":"))
        self.assertEqual(len(fits), 1024)
        for metadata, status in ((fits, 200), (fits[:-2] + 'x"}', 413)):
            with self.subTest(length=len(metadata)):
                for answer in (self.put_form("m", self.form([("value", b"v"), ("metadata", metadata.encode())])),
                               self.bulk([{"key": "m", "value": "v", "metadata": json.loads(metadata)}])):
                    if status == 200:
                        self.assert_success(answer)
                    else:
                        self.assertIn(answer.status, (400, 413), answer)
                        self.assert_refused(answer, answer.status)
        self.assertEqual(self.api.result("GET", f"/{self.space}/metadata/m"), json.loads(fits))
        self.assert_refused(self.api.kv("GET", f"/{self.space}/metadata/none"), 404, 10009)

    def test_expiration(self):
        now = int(time.time())
        for query, low, high in [(f"?expiration={FOREVER}", FOREVER, FOREVER),
                                 ("?expiration_ttl=60", now + 60, now + 120),
                                 (f"?expiration={FOREVER}&expiration_ttl=100", now + 100, now + 160)]:  # ttl wins
            with self.subTest(query=query):
                self.assert_success(self.put("e", query=query))
                answer = self.api.kv("GET", f"/{self.space}/values/e")
                self.assertTrue(low <= int(answer.headers["expiration"]) <= high, answer)
                listed = self.keys()["result"]
                self.assertEqual([item["expiration"] for item in listed], [int(answer.headers["expiration"])])
        self.assert_success(self.put("e"))
        self.assertEqual(self.keys()["result"], [{"name": "e"}])
        for query in ("?expiration_ttl=59", "?expiration_ttl=0", "?expiration_ttl=-60", "?expiration_ttl=x",
                      f"?expiration={now}", f"?expiration={now + 30}", "?expiration=-1", "?expiration=1e99",
                      "?expiration=99999999999999999999"):
            with self.subTest(query=query):
                self.assert_refused(self.put("f", query=query), 400)
        for pair in ({"expiration_ttl": 59}, {"expiration": now}, {"expiration": "x"}, {"expiration_ttl": -1}):
            with self.subTest(pair=pair):
                self.assert_refused(self.bulk([{"key": "f", "value": "x", **pair}]), 400)
        self.assertIsNone(self.api.get(self.space, "f"))
        self.assert_success(self.bulk([{"key": "g", "value": "x", "expiration_ttl": 100, "expiration": FOREVER},
                                       {"key": "h", "value": "x", "expiration": FOREVER}]))
        listed = {item["name"]: item.get("expiration") for item in self.keys()["result"]}
        self.assertTrue(now + 100 <= listed["g"] <= now + 160, listed)
        self.assertEqual(listed["h"], FOREVER)


class Listing(Api):
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


class Bulk(Api):
    def test_put(self):
        result = self.assert_success(self.bulk([
            {"key": "text", "value": "é\n\u0000"}, {"key": "binary", "value": "AP+A", "base64": True},
            {"key": "plain", "value": "AP+A", "base64": False}, {"key": "twice", "value": "1"},
            {"key": "twice", "value": "2"}, {"key": "none", "value": "x", "metadata": None},
            {"key": "extra", "value": "x", "unknown": [1]}]))["result"]
        self.assertEqual((result["successful_key_count"], result["unsuccessful_keys"]), (7, []))
        for key, value in [("text", "é\n\0".encode()), ("binary", b"\0\xff\x80"), ("plain", b"AP+A"),
                           ("twice", b"2"), ("none", b"x"), ("extra", b"x")]:
            self.assertEqual(self.api.get(self.space, key), value)
        self.assertIsNone(self.api.result("GET", f"/{self.space}/metadata/none"))
        self.assert_success(self.bulk([]))

    def test_one_bad_pair_refuses_the_call(self):
        for bad in ({"key": "", "value": "x"}, {"key": "x"}, {"value": "x"}, {"key": "x", "value": 1},
                    {"key": "x", "value": "*", "base64": True}, {"key": "x", "value": "AA=A", "base64": True}):
            with self.subTest(bad=bad):
                self.assert_refused(self.bulk([{"key": "good", "value": "x"}, bad]), 400)
        self.assertEqual(self.keys()["result"], [])

    def test_the_number_of_keys(self):
        names = [f"k{i:05}" for i in range(KEYS_LIMIT + 1)]
        pairs = [{"key": name, "value": name} for name in names]
        self.assert_refused(self.bulk(pairs), 400, 10012)
        self.assertEqual(self.keys()["result"], [])
        for _ in range(2):
            result = self.assert_success(self.bulk(pairs[:-1]))["result"]
            self.assertEqual(result["successful_key_count"], KEYS_LIMIT)
        self.assertEqual(sorted(self.all_keys()[0]), names[:-1])
        for method, path in (("POST", "/bulk/delete"), ("DELETE", "/bulk")):
            with self.subTest(method=method):
                self.assert_refused(self.api.kv(method, f"/{self.space}{path}", names), 400, 10012)
                self.assertEqual(len(self.all_keys()[0]), KEYS_LIMIT)
                result = self.assert_success(self.api.kv(method, f"/{self.space}{path}", names[:-1]))["result"]
                self.assertEqual((result["successful_key_count"], result["unsuccessful_keys"]), (KEYS_LIMIT, []))
                self.assertEqual(self.keys()["result"], [])
                self.assert_success(self.bulk(pairs[:-1]))

    def test_a_body_of_nearly_100_mb(self):
        values = [base64.b64encode(os.urandom(17 << 20)).decode() for _ in range(4)]
        body = json.dumps([{"key": f"k{i}", "value": value, "base64": True}
                           for i, value in enumerate(values)]).encode()
        self.assertLess(len(body), 100_000_000)
        self.assertEqual(self.assert_success(self.bulk(body))["result"]["successful_key_count"], 4)
        for i, value in enumerate(values):
            self.assertEqual(self.api.get(self.space, f"k{i}") == base64.b64decode(value), True)

    def test_get(self):
        self.assert_success(self.bulk([
            {"key": "a", "value": "1", "metadata": {"m": [1]}, "expiration": FOREVER},
            {"key": "b", "value": "{\"x\":2}"}, {"key": "empty", "value": ""},
            {"key": "binary", "value": "Yf/+Yg==", "base64": True}]))

        def get(**body):
            return self.api.kv("POST", f"/{self.space}/bulk/get", body)

        def values(**body):
            return self.assert_success(get(**body))["result"]["values"]

        keys = ["a", "b", "empty", "binary", "none"]
        text = {"a": "1", "b": '{"x":2}', "empty": "", "binary": "a\ufffd\ufffdb", "none": None}
        self.assertEqual(values(keys=keys), text)
        self.assertEqual(values(keys=keys, type="text", withMetadata=False), text)
        self.assertEqual(values(keys=["a", "b", "none"], withMetadata=True), {
            "a": {"value": "1", "metadata": {"m": [1]}, "expiration": FOREVER},
            "b": {"value": '{"x":2}', "metadata": None}, "none": None})
        self.assertEqual(values(keys=["a", "b", "none"], type="json"), {"a": 1, "b": {"x": 2}, "none": None})
        self.assert_refused(get(keys=["binary"], type="json"), 400)
        self.assert_refused(get(keys=["a"], type="other"), 400)
        for keys in (["k" * 513], ["a", 1], "a", None, {}, [""]):
            with self.subTest(keys=keys):
                self.assert_refused(get(keys=keys), 400)

    def test_get_has_its_limits(self):
        names = [f"k{i}" for i in range(101)]
        self.assert_success(self.bulk([{"key": name, "value": name} for name in names]))
        answer = self.api.kv("POST", f"/{self.space}/bulk/get", {"keys": names[:100]})
        self.assertEqual(self.assert_success(answer)["result"]["values"], {name: name for name in names[:100]})
        answer = self.api.kv("POST", f"/{self.space}/bulk/get", {"keys": names})
        self.assert_refused(answer, 400, 10012)
        for i in range(2):
            self.assert_success(self.put(f"large{i}", b"x" * (14 << 20)))
        answer = self.api.kv("POST", f"/{self.space}/bulk/get", {"keys": ["large0"]})
        self.assertEqual(len(self.assert_success(answer)["result"]["values"]["large0"]), 14 << 20)
        answer = self.api.kv("POST", f"/{self.space}/bulk/get", {"keys": ["large0", "large1"]})
        self.assert_refused(answer, 413)


class Credentials(ServeTest):
    OTHER = "f" * 32

    def setUp(self):
        super().setUp()
        text = ""
        for name, access, more in [("admin", "write", ""), ("reader", "read", ""),
                                   ("elsewhere", "write", f'accounts = ["{self.OTHER}"]'),
                                   ("narrow", "write", 'namespaces = ["mine"]'),
                                   ("narrow reader", "read", 'namespaces = ["mine"]')]:
            digest = hashlib.sha256(f"token-of-{name}".encode()).hexdigest()
            text += f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\naccess = "{access}"\n{more}\n'
        self.tokens = self.file("tokens.toml", text)
        self.tokens.chmod(0o600)
        self.api = self.serve("--token-file", self.tokens)
        self.api.token = "token-of-admin"
        self.mine, self.theirs = self.api.create("mine"), self.api.create("theirs")
        for space in (self.mine, self.theirs):
            self.api.put(space, "key", b"value")

    def as_(self, name, method, path, body=None):
        return self.api.kv(method, path, body, token=f"token-of-{name}")

    def calls(self, space):
        """(method, path, body, changes something) of every call on a namespace."""
        return [("GET", f"/{space}/keys", None, False), ("GET", f"/{space}/values/key", None, False),
                ("GET", f"/{space}/metadata/key", None, False), ("GET", f"/{space}", None, False),
                ("GET", f"/{space}/keys/split?parts=2", None, False),
                ("POST", f"/{space}/bulk/get", {"keys": ["key"]}, False),
                ("PUT", f"/{space}/values/key", b"value", True), ("DELETE", f"/{space}/values/no", None, True),
                ("PUT", f"/{space}/bulk", [{"key": "key", "value": "value"}], True),
                ("POST", f"/{space}/bulk/delete", ["no"], True), ("DELETE", f"/{space}/bulk", ["no"], True)]

    def test_no_and_wrong_credentials(self):
        for name, headers in {
                "none": {"Authorization": ""}, "wrong": {"Authorization": "Bearer wrong"},
                "no scheme": {"Authorization": "token-of-admin"}, "basic": {"Authorization": "Basic YTpi"},
                "empty": {"Authorization": "Bearer "}, "more": {"Authorization": "Bearer token-of-admin x"},
                "less": {"Authorization": "Bearer token-of-admi"},
                "the digest": {"Authorization": "Bearer "
                               + hashlib.sha256(b"token-of-admin").hexdigest()},
                "key": {"Authorization": "", "X-Auth-Email": "a@b.example", "X-Auth-Key": "x"}}.items():
            for method, path, body, _ in self.calls(self.mine) + [("GET", "", None, False),
                                                                  ("POST", "", {"title": "x"}, True)]:
                with self.subTest(name, method=method, path=path):
                    answer = self.api.kv(method, path, body, headers=headers)
                    self.assertIn(answer.status, (400, 401, 403), answer)
                    self.assert_refused(answer, answer.status)
                    self.assertIn(answer.codes[0], (6003, 9103, 9106, 9109, 10000, 10001), answer)
                    self.assertNotIn("admin", answer.body.decode())
        self.assertNotIn("token of", self.api.complaint)

    def test_a_large_body_without_credentials_is_not_read(self):
        answer = self.api.kv("PUT", f"/{self.mine}/values/key", bytes(20 << 20), token="wrong")
        self.assertIn(answer.status, (400, 401, 403), answer)

    def test_reading_and_writing(self):
        for name, space, may_read, may_write in [
                ("admin", self.theirs, True, True), ("reader", self.theirs, True, False),
                ("elsewhere", self.theirs, False, False), ("narrow", self.mine, True, True),
                ("narrow", self.theirs, False, False), ("narrow reader", self.mine, True, False)]:
            for method, path, body, changes in self.calls(space):
                with self.subTest(name, method=method, path=path):
                    answer = self.as_(name, method, path, body)
                    if may_write if changes else may_read:
                        self.assertEqual(answer.status, 200, answer)
                    else:
                        self.assert_refused(answer, 403, 10000)
        self.assertEqual(self.api.get(self.theirs, "key"), b"value")

    def test_namespaces_of_a_narrow_token(self):
        listed = self.assert_success(self.as_("narrow", "GET", "?per_page=1000"))
        self.assertEqual([item["title"] for item in listed["result"]], ["mine"])
        for method, path, body in [("POST", "", {"title": "new"}), ("PUT", f"/{self.theirs}", {"title": "x"}),
                                   ("DELETE", f"/{self.theirs}", None)]:
            self.assert_refused(self.as_("narrow", method, path, body), 403, 10000)
        # What there is not, and what there is but not for this token, look the same.
        there, nowhere = (self.as_("narrow", "GET", f"/{space}/keys") for space in (self.theirs, "0" * 32))
        self.assertEqual((there.status, there.codes), (nowhere.status, nowhere.codes))

    def test_other_accounts(self):
        path = self.api.base + f"/accounts/{self.OTHER}/storage/kv/namespaces"
        answer = self.api.ask("GET", path, token="token-of-elsewhere")
        self.assert_success(answer)

    def test_token_files_that_are_refused(self):
        good = self.tokens.read_text()
        serve = ("serve", "--cloudflare", "--store", "memory:", "--listen", "127.0.0.1:0")
        for name, text, mode, mentions in [
                ("readable", good, 0o644, ("bad.toml", "chmod 600")),
                ("writable", good, 0o620, ("bad.toml", "chmod 600")), ("empty", "", 0o600, ("bad.toml",)),
                ("no TOML", "[[token", 0o600, ("bad.toml:1:",)),
                ("unknown key", good.replace("access =", "acces =", 1), 0o600, ("acces", '"access"')),
                ("no digest", '[[token]]\nname = "x"\naccess = "read"\nsha256 = "abc"\n', 0o600, ("sha256",)),
                ("no access", '[[token]]\nname = "x"\nsha256 = "' + "a" * 64 + '"\n', 0o600, ("access",)),
                ("access", good.replace('"read"', '"admin"'), 0o600, ('"access"', '"write"'))]:
            with self.subTest(name):
                path = self.file("bad.toml", text)
                path.chmod(mode)
                result = self.run_sluice(*serve, "--token-file", path)
                self.assertIn(result.code, (FAILED, USAGE, UNAUTHORIZED), result)
                for word in mentions:
                    self.assertIn(word, result.complaint)
        self.refused(*serve, "--token-file", self.folder / "none.toml", code=NOT_FOUND, mentions="none.toml")

    def test_other_machines_need_a_token(self):
        self.refused("serve", "--cloudflare", "--store", "memory:", "--listen", "0.0.0.0:0",
                     mentions="--token-file")

    def test_sluice_itself(self):
        environment = {**self.api.environment(), "CLOUDFLARE_API_TOKEN": "token-of-narrow"}
        flags = ("--store", "cloudflare:", "--namespace", "mine")
        self.sluice("kv", "put", "new", "x", *flags, "--yes", env=environment)
        self.assertEqual(self.sluice("kv", "get", "new", *flags, env=environment).out, b"x")
        environment["CLOUDFLARE_API_TOKEN"] = "wrong"
        self.refused("kv", "get", "new", *flags, env=environment, code=5)


class RateLimit(ServeTest):
    def test_headers_and_refusal(self):
        api = self.serve("--rate-limit", "5/1m")
        left = []
        for i in range(8):
            answer = api.kv("GET", "")
            self.assertEqual(answer.headers["ratelimit-policy"], '"default";q=5;w=60')
            self.assertRegex(answer.headers["ratelimit"], r'^"default";r=\d+;t=\d+$')
            left.append(int(answer.headers["ratelimit"].split(";")[1][2:]))
            if i < 5:
                self.assert_success(answer)
                self.assertNotIn("retry-after", answer.headers)
            else:
                self.assert_refused(answer, 429, 971)
                self.assertTrue(0 < int(answer.headers["retry-after"]) <= 60, answer)
        self.assertEqual(left, [4, 3, 2, 1, 0, 0, 0, 0])
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(api.ask("GET", path).status, 200)

    def test_off_unless_asked_for(self):
        api = self.serve()
        for _ in range(50):
            self.assertNotIn("ratelimit", api.kv("GET", "").headers)

    def test_sluice_stays_within_it(self):
        api = self.serve("--rate-limit", "20/2s")
        self.sluice("kv", "import", "--store", "cloudflare:", "--namespace", "test", "--create-namespace", "--yes",
                    "-", stdin="".join(entry.line() for entry in ODD_ENTRIES), env=api.environment())
        out = self.sluice("kv", "export", "--store", "cloudflare:", "--namespace", "test", "--exact",
                          "--format", "ndjson", env=api.environment())
        self.assertEqual(len(out.lines()), len(ODD_ENTRIES))


class Threads(ServeTest):
    def test_all_loops_serve_one_store(self):
        """Many connections, so that each of four loops has some; each sees what the others wrote."""
        for store in ("memory:", self.store):
            with self.subTest(store=store):
                api = self.serve("--threads", "4", store=store)
                space = api.create("test")
                connections = [api.connection() for _ in range(32)]
                for i, connection in enumerate(connections):
                    path = api.value_path(space, f"key{i}")
                    self.assert_success(api.kv("PUT", path, str(i).encode(), connection=connection))
                for i in range(32):
                    answer = api.kv("GET", api.value_path(space, f"key{i}"),
                                    connection=connections[(i * 7 + 3) % 32])
                    self.assertEqual(answer.body, str(i).encode())
                self.assertEqual(len(api.result("GET", f"/{space}/keys")), 32)
                # A namespace that one loop deletes is gone for all.
                api.result("DELETE", f"/{space}", connection=connections[0])
                for connection in connections:
                    self.assert_refused(api.kv("GET", f"/{space}/keys", connection=connection), 404, 10013)
                for connection in connections:
                    connection.close()


class Tls(ServeTest):
    def test_https(self):
        key, certificate = self.folder / "key.pem", self.folder / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=test",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        flags = ("--tls-cert", certificate, "--tls-key", key)
        api = self.serve(*flags)
        self.assertEqual(api.scheme, "https")
        trusted = ssl.create_default_context(cafile=str(certificate))
        api.connection = lambda: http.client.HTTPSConnection(api.host, api.port, context=trusted, timeout=60)
        space = api.create("test")
        value = os.urandom(3 << 20)
        api.put(space, "key", value)
        self.assertEqual(api.get(space, "key") == value, True)
        # Who speaks no TLS gets nothing, and disturbs nobody.
        with socket.create_connection((api.host, api.port), timeout=60) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while piece := plain.recv(4096):
                self.assertNotIn(b"HTTP/1.1 200", piece)
        self.assertEqual(api.ask("GET", "/healthz").status, 200)
        self.refused("serve", "--cloudflare", "--store", "memory:", "--tls-cert", certificate,
                     mentions="--tls-key")


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


class TokensInTheConfig(ServeTest):
    def test_they_count_as_those_of_a_file_do(self):
        digest = hashlib.sha256(b"s3same").hexdigest()
        config = self.file("config.toml", "[[serve.tokens]]\nname = \"ci\"\naccess = \"read\"\n"
                                          f"sha256 = \"{digest}\"\n")
        config.chmod(0o600)
        api = self.serve("--config", config)
        self.assert_refused(api.kv("GET", "", token="other"), 403)
        self.assert_success(api.kv("GET", "", token="s3same"))
        self.assert_refused(api.kv("POST", "", b'{"title":"x"}', token="s3same"), 403, 10000)
        bad = self.file("bad.toml", "[[serve.tokens]]\nname = \"ci\"\n")
        bad.chmod(0o600)
        self.refused("serve", "--cloudflare", "--store", "memory:", "--config", bad, mentions="sha256")


class WithoutTokens(ServeTest):
    def test_a_name_that_only_leads_here_is_refused(self):
        """As a web page has, whose own name leads to the loopback by now."""
        api = self.serve()
        listing = f"/client/v4/accounts/{api.account}/storage/kv/namespaces"
        for host in ("evil.test", "evil.test:8787", "localhost.evil.test", "127.0.0.1.evil.test"):
            self.assert_refused(api.ask("GET", listing, headers={"Host": host}), 403)
        for host in ("localhost", f"localhost:{api.port}", "kv.localhost", "127.0.0.1", "[::1]:8787", "10.0.0.1"):
            self.assert_success(api.ask("GET", listing, headers={"Host": host}))

    def test_it_does_not_serve_itself(self):
        api = self.serve()
        self.refused("serve", "--cloudflare", "--store", "cloudflare:", "--listen", f"127.0.0.1:{api.port}",
                     env=api.environment(), mentions="itself")


class Start(ServeTest):
    def test_what_cannot_be_served(self):
        self.refused("serve", "--store", "memory:", mentions="--cloudflare")
        self.refused("serve", "--cloudflare", "--listen", "nowhere", "--store", "memory:")
        self.refused("serve", "--cloudflare", "--rate-limit", "many", "--store", "memory:", mentions="many")
        api = self.serve()
        self.refused("serve", "--cloudflare", "--listen", f"127.0.0.1:{api.port}", "--store", "memory:",
                     code=FAILED, mentions=str(api.port))

    def test_the_store_is_there_after_a_restart(self):
        api = self.serve(store=self.store)
        space = api.create("test")
        for entry in ODD_ENTRIES:
            api.put(space, entry.key, entry.value)
        api.close()
        api = self.serve(store=self.store)
        for entry in ODD_ENTRIES:
            self.assertEqual(api.get(space, entry.key), entry.value)
        content = {key: entry.value for key, entry in self.content().items()}
        self.assertEqual(content, {key: entry.value for key, entry in by_key(ODD_ENTRIES).items()})

    def test_done_is_the_end_of_a_server_that_was_told_to_stop(self):
        api = self.serve()
        api.send(15)
        self.assertEqual(api.wait(), DONE)


if __name__ == "__main__":
    unittest.main()
