"""`kv import`: formats, compression, bad records, and that nothing is half done in silence."""

import gzip
import json
import shutil
import subprocess
import time
import unittest

from harness import DATA, DONE, FAILED, SOME_FAILED, USAGE, Entry, SluiceTest, by_key, sample


class Import(SluiceTest):
    def setUp(self):
        super().setUp()
        self.to = ["--store", self.store, "--namespace", "test", "--create-namespace", "--yes"]

    def do_import(self, *arguments, code=DONE, **more):
        return self.sluice("kv", "import", *self.to, *arguments, code=code, **more)

    def lines(self, count):
        return "".join(entry.line() for entry in sample(count))

    def test_stdin_and_file(self):
        self.do_import("-", stdin=self.lines(20))
        self.same(self.content(), by_key(sample(20)))
        self.do_import(self.file("more.ndjson", self.lines(30)))
        self.same(self.content(), by_key(sample(30)))
        self.do_import(stdin=self.lines(35))
        self.same(self.content(), by_key(sample(35)))

    def test_gzip_and_zstd(self):
        text = self.lines(5000).encode()
        half = len(text) // 2
        self.do_import(self.file("one.gz", gzip.compress(text)))
        self.same(self.content(), by_key(sample(5000)))
        # Several members make one stream.
        self.do_import("-", stdin=gzip.compress(text[:half]) + gzip.compress(text[half:]))
        if shutil.which("zstd") is None:
            self.skipTest("there is no zstd program")
        packed = subprocess.run(["zstd", "-c"], input=text, stdout=subprocess.PIPE, check=True).stdout
        self.do_import(self.file("one.zst", packed))
        self.same(self.content(), by_key(sample(5000)))

    def test_truncated_compression(self):
        packed = gzip.compress(self.lines(5000).encode())
        result = self.run_sluice("kv", "import", *self.to, self.file("cut.gz", packed[:-200]))
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertIn("cut.gz", result.complaint)
        if shutil.which("zstd"):
            packed = subprocess.run(["zstd", "-c"], input=self.lines(5000).encode(),
                                    stdout=subprocess.PIPE, check=True).stdout
            result = self.run_sluice("kv", "import", *self.to, self.file("cut.zst", packed[:-50]))
            self.assertNotEqual(result.code, DONE, str(result))

    def test_wrangler_array(self):
        path = DATA / "wrangler-bulk.json"
        now = time.time()
        self.do_import(path)
        content = self.content()
        items = json.loads(path.read_text())
        self.assertEqual(len(content), len(items))
        for item in items:
            entry = content[item["key"].encode()]
            if not item.get("base64"):
                self.assertEqual(entry.value.decode(), item["value"])
            self.assertEqual(json.loads(entry.metadata) if entry.metadata else None,
                             item.get("metadata"))
            if "expiration_ttl" in item:
                self.assertAlmostEqual(entry.expiration, now + item["expiration_ttl"], delta=60)
            else:
                self.assertEqual(entry.expiration, item.get("expiration", 0))
        self.assertEqual(content[b"path/with/slashes"].value, b"\0\xff\x80\x01\x02\x80\xff")
        # The spelling of numbers in metadata survives.
        self.assertIn('12345678901234567890', content[b'quote"back\\slash'].metadata)

    def test_json_array_on_one_line_and_pretty(self):
        items = [json.loads(entry.line()) for entry in sample(300)]
        for text in (json.dumps(items), json.dumps(items, indent=4), " \n" + json.dumps(items) + "\n"):
            self.do_import("-", stdin=text)
            self.assertEqual(len(self.content()), 300)
        self.do_import("-", stdin="[]")

    def test_csv(self):
        text = ('metadata,value,key,expiration\r\n'
                '"{""a"":""b,c""}","two\r\nlines",k1,4102444800\r\n'
                ',plain,"k,2",\r\n')
        self.do_import("-", "--format", "csv", stdin=text)
        self.same(self.content(), by_key([
            Entry("k1", "two\r\nlines", '{"a":"b,c"}', 4102444800), Entry("k,2", "plain")]))
        self.refused("kv", "import", *self.to, "-", "--format", "csv",
                     stdin="key,valu\r\na,b\r\n", mentions=["valu"], code=USAGE)

    BAD = [
        ('{"key":"x"}', "value"),
        ('{"value":"x"}', "key"),
        ('{"key":1,"value":"x"}', "key"),
        ('{"key":"","value":"x"}', "key"),
        ('{"key":"x","value":1}', "value"),
        ('{"key":"x","value":"?","base64":true}', "base64"),
        ('{"key":"x","value":"x","expiration":"soon"}', "expiration"),
        ('{"key":"x","value":"x","metadata":{"a":}}', ""),
        ('{"key":"x","value":"x"} {}', ""),
        ('not json', ""),
        ('["x"]', ""),
    ]

    def test_bad_records_are_named_by_their_line(self):
        for bad, word in self.BAD:
            with self.subTest(bad=bad):
                text = sample(3)[0].line() + sample(3)[1].line() + bad + "\n" + sample(3)[2].line()
                result = self.run_sluice("kv", "import", *self.to, "--format", "ndjson", "-", stdin=text)
                self.assertIn(result.code, (FAILED, USAGE, SOME_FAILED), str(result))
                self.assertIn("line 3", result.complaint, str(result))
                self.assertIn(word, result.complaint, str(result))

    def test_bad_csv_and_array_records(self):
        result = self.run_sluice("kv", "import", *self.to, "--format", "csv", "-",
                                 stdin='key,value,expiration\na,"two\nlines",\nb,c,soon\n')
        self.assertNotEqual(result.code, DONE)
        self.assertIn("line 4", result.complaint)
        result = self.run_sluice("kv", "import", *self.to, "-",
                                 stdin='[{"key":"a","value":"b"},\n{"key":"b"}]')
        self.assertNotEqual(result.code, DONE)
        self.assertRegex(result.complaint, r"byte 2[56]")

    def test_skip_bad(self):
        bad = [bad for bad, _ in self.BAD]
        text = "".join(f"{line}\n{entry.line()}" for line, entry in zip(bad, sample(len(bad))))
        enough = self.run_sluice("kv", "import", *self.to, "--skip-bad", len(bad), "--format", "ndjson",
                                 "-", stdin=text)
        self.assertIn(enough.code, (DONE, SOME_FAILED), str(enough))
        self.same(self.content(), by_key(sample(len(bad))))
        self.assertIn("line 1", enough.complaint)
        few = self.run_sluice("kv", "import", *self.to, "--skip-bad", len(bad) - 1, "--format",
                              "ndjson", "-", stdin=text)
        self.assertNotEqual(few.code, DONE, str(few))

    def test_truncated_input(self):
        for text in ('[{"key":"a","value":"b"}', '[{"key":"a","value":"b"},', '[{"key":"a","val',
                     self.lines(2)[:-20], '"unclosed'):
            with self.subTest(text=text):
                result = self.run_sluice("kv", "import", *self.to, "-", stdin=text)
                self.assertNotEqual(result.code, DONE, str(result))
                self.assertTrue(result.complaint.strip())

    def test_dry_run(self):
        self.load([])
        self.do_import("-", "--dry-run", stdin=self.lines(10))
        self.assertEqual(self.content(), {})
        # A dry run finds bad records, too.
        result = self.run_sluice("kv", "import", *self.to, "-n", "-", stdin="{}\n")
        self.assertNotEqual(result.code, DONE, str(result))

    def test_the_last_of_a_key_stays(self):
        self.do_import("-", stdin=Entry("k", "first", "1").line() + Entry("k", "second").line())
        self.same(self.content(), by_key([Entry("k", "second")]))

    def test_json_result(self):
        result = self.do_import("-", "--json", stdin=self.lines(12)).json()
        self.assertIn(12, result.values(), result)

    def test_cloudflare_refuses_what_it_cannot_hold(self):
        """Bad entries fail one by one; the others are written; nothing is lost in silence."""
        fake = self.server()
        fake.create("test")
        good = sample(3)
        text = (good[0].line() + Entry("..", "x").line() + good[1].line() +
                Entry("k" * 513, "x").line() + Entry("big", "x", '"' + "m" * 1100 + '"').line() +
                Entry("past", "x", "", 1000).line() + good[2].line())
        failures = self.folder / "failed"
        result = self.sluice("kv", "import", "--store", "cloudflare:", "--namespace", "test", "--yes",
                             "--failures", failures, "-", stdin=text, env=fake.environment(),
                             code=SOME_FAILED)
        self.same(fake.entries("test"), by_key(good))
        failed = [json.loads(line)["key"] for line in failures.read_text().splitlines()]
        self.assertEqual(sorted(failed), sorted(["..", "k" * 513, "big", "past"]), str(result))


if __name__ == "__main__":
    unittest.main()
