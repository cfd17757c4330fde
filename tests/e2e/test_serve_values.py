"""`sluice serve --cloudflare`: single keys, with their limits, forms, metadata and expirations."""

import json
import os
import time
import unittest

from served_api import ApiTest

VALUE_LIMIT = 25 << 20
FOREVER = 4_102_444_800  # in 2100


class Values(ApiTest):
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


if __name__ == "__main__":
    unittest.main()
