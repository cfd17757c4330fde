"""`sluice serve --cloudflare`: bulk put, get and delete."""

import base64
import json
import os
import unittest

from served_api import ApiTest

FOREVER = 4_102_444_800  # in 2100
KEYS_LIMIT = 10_000


class Bulk(ApiTest):
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


if __name__ == "__main__":
    unittest.main()
