"""`sluice cache batch`: many operations, in order, in one transaction and bounded memory."""

import base64
import json
import random
import subprocess
import threading
import unittest

from cache_case import CacheTest
from harness import NOT_FOUND, SLUICE, SOME_FAILED, USAGE


class Batch(CacheTest):
    def test_json_lines(self):
        lines = [{"op": "set", "key": "a", "value": "1", "ttl": 60, "tags": ["t"]},
                 {"op": "get", "key": "a"}, {"op": "get", "key": "none"},
                 {"op": "set", "key": "b", "value": base64.b64encode(b"\0\xff").decode(),
                  "base64": True},
                 {"op": "get", "key": "b"}, {"op": "delete", "key": "a"},
                 {"op": "delete", "key": "a"}]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        answers = [json.loads(line) for line in self.cache("batch", stdin=text).lines()]
        self.assertEqual(answers, [
            {"op": "set", "key": "a", "ok": True},
            {"op": "get", "key": "a", "ok": True, "found": True, "value": "1"},
            {"op": "get", "key": "none", "ok": True, "found": False},
            {"op": "set", "key": "b", "ok": True},
            {"op": "get", "key": "b", "ok": True, "found": True,
             "value": base64.b64encode(b"\0\xff").decode(), "base64": True},
            {"op": "delete", "key": "a", "ok": True, "found": True},
            {"op": "delete", "key": "a", "ok": True, "found": False}])

    def test_bad_lines_are_answered_in_their_place(self):
        text = ('{"op":"set","key":"a","value":"1"}\nnot json\n{"op":"frob","key":"a"}\n'
                '{"op":"set","key":""}\n{"op":"set","key":"","value":"x"}\n'
                '{"op":"set","key":"c","value":"x","colour":1}\n{"op":"get","key":"a"}')
        done = self.cache("batch", stdin=text, code=SOME_FAILED)
        answers = [json.loads(line) for line in done.lines()]
        self.assertEqual([a["ok"] for a in answers], [True] + [False] * 5 + [True])
        self.assertIn("line 2", answers[1]["error"])
        self.assertEqual(self.cache("list").lines(), ["a"])

    def test_nul_frames(self):
        fields = b"\0".join([b"set", b"line\nfeed", b"a\nb", b"get", b"line\nfeed", b"delete",
                             b"line\nfeed", b"get", b"line\nfeed", b""])
        self.assertEqual(self.cache("batch", "-0", stdin=fields).out,
                         b"ok\0\0hit\0a\nb\0ok\0\0miss\0\0")
        self.cache("batch", "-0", stdin=b"set\0k\0v\0frob\0", code=USAGE)
        self.assertEqual(self.cache("get", "k").out, b"v")
        self.cache("batch", "-0", stdin=b"set\0k2\0cut o", code=USAGE)
        self.cache("get", "k2", code=NOT_FOUND)

    def test_many(self):
        for count in (100, 25_000):
            keys = [f"key:{i:05}" for i in range(count)]
            text = b"".join(b"set\0%s\0value of %s\0" % (k.encode(), k.encode()) for k in keys)
            self.assertEqual(self.cache("batch", "-0", "--ns", f"n{count}", stdin=text).out,
                             b"ok\0\0" * count)
            asked = b"".join(b"get\0%s\0" % k.encode() for k in keys)
            answers = self.cache("batch", "-0", "--ns", f"n{count}", stdin=asked).out
            self.assertEqual(answers, b"".join(b"hit\0value of %s\0" % k.encode() for k in keys))
            size = self.size(env={"SLUICE_NS": f"n{count}"})
            self.assertEqual((size["entries"], size["bytes"]), (count, count * (9 + 18)))

    def test_answers_do_not_fill_memory(self):
        def value(key):
            if key.startswith("text"):
                return b"%s " % key.encode() * 200_000
            return random.Random(key).randbytes(60_000 if key.startswith("inline") else 100_000)
        # More files than a process may have open.
        keys = [f"inline:{i}" for i in range(1000)] + [f"file:{i}" for i in range(1200)]
        keys += [f"text:{i}" for i in range(20)]
        self.cache("limit", "--max-size", "1GB")
        for begin in range(0, len(keys), 100):
            self.cache("batch", stdin="".join(
                json.dumps({"op": "set", "key": key, "base64": True,
                            "value": base64.b64encode(value(key)).decode()}) + "\n"
                for key in keys[begin:begin + 100]))
        self.assertEqual(self.size()["entries"], len(keys))
        answers = self.folder / "answers"
        asked = self.file("asked", "".join(json.dumps({"op": "get", "key": key}) + "\n"
                                           for key in keys))
        # 220 MB of values.
        self.assertLess(self.peak_of(SLUICE, "cache", "batch", stdin=asked, out=answers), 64_000)
        with open(answers, "rb") as lines:
            for key, line in zip(keys, lines, strict=True):
                answer = json.loads(line)
                self.assertEqual((answer["key"], answer["found"]), (key, True))
                got = answer["value"]
                self.assertTrue(value(key) == (base64.b64decode(got) if answer.get("base64")
                                               else got.encode()), key)
        # Random bytes hold NUL: they cannot be answered so, and that is said in their place.
        asked.write_bytes(b"".join(b"get\0" + key.encode() + b"\0" for key in keys[900:]))
        done = self.cache("batch", "-0", stdin=asked.read_bytes(), code=SOME_FAILED)
        fields = done.out.split(b"\0")[:-1]
        self.assertEqual(fields[::2], [b"error"] * 1300 + [b"hit"] * 20)
        self.assertTrue(fields[-1] == value(keys[-1]))
        asked.write_bytes(b"".join(b"get\0" + key.encode() + b"\0" for key in keys[-20:] * 10))
        self.assertLess(self.peak_of(SLUICE, "cache", "batch", "-0", stdin=asked, out=answers),
                        32_000)
        self.assertEqual(answers.stat().st_size, 10 * sum(len(value(k)) + 5 for k in keys[-20:]))
        # What waited left nothing behind.
        self.assertEqual([path for path in self.folder_of().rglob("*spool*")], [])

    def test_a_large_value_in_json_does_not_fill_memory(self):
        asked, answers = self.file("asked", '{"op":"get","key":"k"}\n'), self.folder / "answers"
        # Characters lie across the ends of pieces, which are powers of 2 long.
        text = "xyz".encode() + "é\"\n".encode() * 5_000_000
        for tail in (b"", b"\xff", b"\xc3"):
            self.cache("set", "k", "--file", self.file("value", text + tail))
            for command in (["get", "k", "--json"], ["batch"]):
                peak = self.peak_of(SLUICE, "cache", *command, stdin=asked, out=answers)
                self.assertLess(peak, 48_000)
                line = json.loads(answers.read_bytes())
                self.assertTrue(text + tail == (base64.b64decode(line["value"]) if tail
                                                else line["value"].encode()))
                self.assertEqual(line.get("base64", False), tail != b"")

    def test_gets_need_nothing_but_reading(self):
        for lines, flags, answer in (('{"op":"get","key":"k"}\n', (), b'"found":false'),
                                     (b"get\0k\0", ("-0",), b"miss\0\0")):
            self.assertIn(answer, self.cache("batch", *flags, stdin=lines).out)
            self.assertIn(answer, self.cache("batch", "-n", *flags, stdin=lines).out)
        self.assertFalse(self.folder_of().exists())
        self.cache("batch", "-0", stdin=b"get\0k\0set\0k\0v\0get\0k\0get\0\0", code=SOME_FAILED)
        self.assertEqual(self.cache("batch", "-0", stdin=b"get\0k\0").out, b"hit\0v\0")

    def test_gets_of_a_value_that_is_being_replaced(self):
        def value(number):
            return b"%03d" % (number % 1000) + b"x" * 100_000
        self.cache("set", "k", stdin=value(0))
        done = threading.Event()

        def write():
            number = 0
            while not done.is_set():
                number += 1
                subprocess.run([SLUICE, "cache", "set", "k"], input=value(number), check=True,
                               env=self.environment())
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(50):
                fields = self.cache("batch", "-0", stdin=b"get\0k\0" * 20).out.split(b"\0")[:-1]
                self.assertEqual(fields[::2], [b"hit"] * 20)
                self.assertTrue(all(v == value(int(v[:3])) for v in fields[1::2]))
        finally:
            done.set()
            writer.join()

    def test_gets_in_one_batch_see_one_state(self):
        self.cache("batch", "-0", stdin=b"set\0a\0000\0set\0b\0000\0")
        done = threading.Event()

        def write():
            number = 0
            while not done.is_set():
                number += 1
                text = b"set\0a\0%03d\0set\0b\0%03d\0" % (number % 1000, number % 1000)
                subprocess.run([SLUICE, "cache", "batch", "-0"], input=text, check=True,
                               stdout=subprocess.DEVNULL, env=self.environment())
        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = set()
            for _ in range(100):
                fields = self.cache("batch", "-0", stdin=b"get\0a\0get\0b\0").out.split(b"\0")
                self.assertEqual(fields[1], fields[3])
                seen.add(fields[1])
        finally:
            done.set()
            writer.join()
        self.assertGreater(len(seen), 1)

    def test_dry_run_changes_nothing(self):
        self.cache("set", "k", "v")
        text = '{"op":"set","key":"x","value":"1"}\n{"op":"delete","key":"k"}\n'
        answers = [json.loads(line) for line in
                   self.cache("batch", "--dry-run", stdin=text).lines()]
        self.assertEqual(answers, [{"op": "set", "key": "x", "ok": True, "dry_run": True},
                                   {"op": "delete", "key": "k", "ok": True, "dry_run": True}])
        self.cache("batch", "-n", "-0", stdin=b"set\0x\0y\0")
        self.cache("set", "x", "y", "--dry-run")
        self.cache("clear", "--dry-run")
        self.cache("set", "other", "v")
        told = self.cache("limit", "-n", "--max-entries", "1", "--max-size", "2").complaint
        self.assertIn("at least 6 B and 1 entry would go", told)
        self.assertEqual(self.cache("list").lines(), ["k", "other"])


if __name__ == "__main__":
    unittest.main()
