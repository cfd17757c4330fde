"""A fifth of all requests fails, in every way that a service fails in: the end is the same."""

import hashlib
import json
import unittest

from harness import SOME_FAILED, SluiceTest

# Percent of the requests, 20 in all. A Retry-After closes the budget for a second at least, so that
# the two kinds of 429 decide how long a test takes.
STORM = {"429": 1, "429_html": 1, "500": 2, "503": 2, "524": 2, "524_applied": 2, "cut_before": 2.5,
         "cut_after": 2.5, "cut_middle": 1, "stall": 2, "fail_some_keys": 2}
# A stalled answer comes after the client has given up on it; the call was applied.
STALL = 600
TIMEOUT = "300ms"

# What a listing never meets, since it changes nothing.
OF_WRITES_ONLY = {"fail_some_keys"}


def key(i):
    return f"item:{i:07}"


def line(i):
    """Two of three entries are stale."""
    tag = "fresh" if i % 3 == 0 else "stale"
    return (f'{{"key":"{key(i)}","value":"value {i} of an item",'
            f'"metadata":{{"tags":["{tag}","n{i % 7}"],"size":{i}}}}}\n')


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Weather(SluiceTest):
    def setUp(self):
        super().setUp()
        self.assertEqual(sum(STORM.values()), 20)
        self.fake = self.server("--seed", 11)
        self.env = self.fake.environment()

    def kv(self, command, *arguments, namespace="test", **more):
        return self.sluice("kv", command, "--store", "cloudflare:", "--namespace", namespace, "--rate",
                           "off", "--progress", "off", *arguments, env=self.env, **more)

    def fill(self, count):
        """Fills the namespace `test` in fair weather."""
        self.fake.create("test")
        self.kv("import", "--yes", "-", stdin="".join(map(line, range(count))))

    def storm(self, route):
        """Each fault comes at least once, to a request of this route, and then by its rate."""
        script = [{"route": route, "nth": 3 + 4 * i, "fault": fault} for i, fault in enumerate(STORM)
                  if fault not in OF_WRITES_ONLY or route != "POST bulk/get"]
        self.fake.faults(rates=STORM, script=script, stall_ms=STALL, retry_after=1)
        self.fake.reset()

    def calm(self):
        self.fake.faults()

    def weathered(self, report, selected, listed, faults=frozenset(STORM)):
        """The counts add up, no request came during a Retry-After, and there was a storm indeed: each
        of the faults happened, and no less than a tenth of the requests failed."""
        self.assertTrue(report["complete"], report)
        self.assertEqual(report["selected"], selected, report)
        self.assertEqual(report["listed"], listed, report)
        self.assertEqual((report["done"], report["failed"], report["skipped"]), (selected, 0, 0), report)
        stats = self.fake.stats()
        self.assertEqual(stats["during_retry_after"], 0, stats)
        self.assertEqual(faults - set(stats["faults"]), set(), stats)
        self.assertGreater(sum(stats["faults"].values()), stats["total"] / 10, stats)
        self.assertEqual(report["throttled"], stats["faults"]["429"] + stats["faults"]["429_html"])
        return stats

    def keys_left(self, namespace="test"):
        self.calm()
        return self.kv("list", "--all", "--format", "keys", namespace=namespace).lines()


class Storm(Weather):
    def test_delete_200_000_of_300_000(self):
        count = 300_000
        self.fill(count)
        self.storm("POST bulk/delete")
        self.fake.count_applied()
        # Smaller batches than the service takes: more requests for the storm to hit.
        report = self.kv("delete", "--tag-field", "tags", "--tag-value", "stale", "--yes", "--json",
                         "--batch-size", "1000", "--timeout", TIMEOUT).json()
        self.weathered(report, selected=200_000, listed=count)
        applied = self.fake.applied()
        self.assertEqual(applied["erased"]["keys"], 200_000)
        self.assertEqual(applied["put"]["keys"], 0)
        # Applied calls whose answer got lost are the only ones to be repeated.
        lost = self.fake.stats()["faults"]
        lost = sum(lost[name] for name in ("524_applied", "cut_after", "cut_middle", "stall"))
        self.assertLessEqual(applied["erased"]["again"], lost * 1000)
        self.assertEqual(self.keys_left(), [key(i) for i in range(0, count, 3)])

    def test_import_of_50_000(self):
        self.fake.create("test")
        path = self.file("in.ndjson", "".join(map(line, range(50_000))))
        self.storm("PUT bulk")
        report = self.kv("import", "--yes", "--json", "--batch-size", "250", "--timeout", TIMEOUT,
                         path).json()
        self.weathered(report, selected=50_000, listed=50_000)
        self.calm()
        out = self.folder / "out"
        self.kv("export", "-o", out)
        self.assertEqual(digest(out), digest(path))

    def test_export_of_20_000(self):
        self.fill(20_000)
        calm = self.folder / "calm"
        self.kv("export", "-o", calm)
        self.storm("POST bulk/get")
        stormy = self.folder / "stormy"
        report = self.kv("export", "--json", "--timeout", TIMEOUT, "-o", stormy).json()
        self.weathered(report, selected=20_000, listed=20_000,
                       faults=frozenset(STORM) - OF_WRITES_ONLY)
        self.assertEqual(calm.read_text().splitlines(keepends=True), list(map(line, range(20_000))))
        self.assertEqual(digest(stormy), digest(calm))

    def test_copy(self):
        self.fill(10_000)
        self.fake.create("target")
        self.storm("PUT bulk")
        report = self.kv("copy", "--to-namespace", "target", "--yes", "--json", "--batch-size", "100",
                         "--timeout", TIMEOUT).json()
        self.weathered(report, selected=10_000, listed=10_000)
        self.calm()
        out = self.folder / "out"
        self.kv("export", "-o", out, namespace="target")
        self.assertEqual(out.read_text().splitlines(keepends=True), list(map(line, range(10_000))))

    def test_a_batch_that_fails_as_a_whole_is_halved_down_to_its_key(self):
        """The service refuses each batch of more than one key; all go all the same."""
        self.fill(200)
        self.fake.faults(max_batch=1)
        report = self.kv("delete", "--all-keys", "--yes", "--json", "--batch-size", "64").json()
        self.assertEqual((report["selected"], report["done"]), (200, 200))
        self.assertEqual(self.keys_left(), [])


class Stubborn(Weather):
    """Keys that the service refuses for ever, in a lighter storm. Each is tried until all attempts are
    used up, which takes its time: the three commands run at once."""

    COUNT = 3000
    KEYS = tuple(key(i) for i in range(7, COUNT, 400))

    def begin(self, command, *arguments, namespace):
        return self.start("kv", command, "--store", "cloudflare:", "--namespace", namespace, "--rate",
                          "off", "--progress", "off", "--yes", "--json", "--batch-size", "500",
                          *arguments, env=self.env)

    def failures(self, running):
        """Waits for the end, and looks at what is told. Returns the file of failed keys."""
        result = running.end()
        self.assertEqual(result.code, SOME_FAILED, str(result))
        report = result.json()
        self.assertTrue(report["complete"], report)
        self.assertEqual((report["selected"], report["done"], report["failed"], report["skipped"]),
                         (self.COUNT, self.COUNT - len(self.KEYS), len(self.KEYS), 0), report)
        self.assertEqual(sum(reason["keys"] for reason in report["reasons"]), len(self.KEYS), report)
        self.assertTrue(all(reason["error"].strip() for reason in report["reasons"]), report)
        failures = report["failed_keys_file"]
        self.assertIn(failures, result.complaint)
        self.assertIn(f"{len(self.KEYS)} failed", result.complaint)
        with open(failures, encoding="utf-8") as file:
            told = [json.loads(text) for text in file]
        self.assertEqual(sorted(item["key"] for item in told), sorted(self.KEYS))
        self.assertTrue(all(item["error"].strip() for item in told), told)
        return failures

    def test_exit_3_reasons_and_a_file_that_finishes_the_rest(self):
        everything = [key(i) for i in range(self.COUNT)]
        all_but = [k for k in everything if k not in self.KEYS]
        path = self.file("in.ndjson", "".join(map(line, range(self.COUNT))))
        for title in ("deleted", "source"):
            self.fake.create(title)
            self.kv("import", "--yes", path, namespace=title)
        for title in ("imported", "target"):
            self.fake.create(title)
        self.fake.faults(rates={"500": 4, "cut_after": 4, "fail_some_keys": 4},
                         fail_keys={k: -1 for k in self.KEYS})
        delete = self.begin("delete", "--all-keys", namespace="deleted")
        copy = self.begin("copy", "--to-namespace", "target", namespace="source")
        load = self.begin("import", path, namespace="imported")
        failures = self.failures(delete)
        failures_of_copy = self.failures(copy)
        self.failures(load)
        self.assertEqual(self.keys_left("deleted"), list(self.KEYS))
        self.assertEqual(self.keys_left("target"), all_but)
        self.assertEqual(self.keys_left("imported"), all_but)
        # The service is well again.
        report = self.kv("delete", "--keys-file", failures, "--yes", "--json", namespace="deleted").json()
        self.assertEqual((report["selected"], report["done"]), (len(self.KEYS), len(self.KEYS)))
        self.assertEqual(self.keys_left("deleted"), [])
        self.kv("copy", "--to-namespace", "target", "--keys-file", failures_of_copy, "--yes",
                namespace="source")
        self.kv("import", "--yes", path, namespace="imported")
        for title in ("target", "imported"):
            out = self.folder / title
            self.kv("export", "-o", out, namespace=title)
            self.assertEqual(digest(out), digest(path))


if __name__ == "__main__":
    unittest.main()
