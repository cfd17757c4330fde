"""Requests are the cost, and an answer that is not a proven success is never taken for one."""

import json
import unittest

from harness import (DONE, FAILED, NOT_FOUND, SOME_FAILED, THROTTLED, UNAUTHORIZED, Entry, SluiceTest,
                     by_key, parse_ndjson, sample)

MADE_UP = "made-up"


class Cloudflare(SluiceTest):
    def fake_with(self, *flags):
        self.fake = self.server(*flags)
        self.env = self.fake.environment()
        return self.fake

    def kv(self, command, *arguments, namespace=MADE_UP, code=DONE, **more):
        return self.sluice("kv", command, "--store", "cloudflare:", "--namespace", namespace, "--rate",
                           "off", *arguments, code=code, env=self.env, **more)

    def total(self):
        return self.fake.stats()["total"]


class Requests(Cloudflare):
    """The bounds of the design; resolving the namespace's title is among the two extra requests."""

    COUNT = 25_000

    def setUp(self):
        super().setUp()
        self.fake_with("--keys", self.COUNT, "--metadata")

    def test_list(self):
        out = self.kv("list", "--all", "--metadata", "--format", "ndjson").out
        self.assertEqual(len(parse_ndjson(out)), self.COUNT)
        self.assertLessEqual(self.total(), self.COUNT // 1000 + 2)

    def test_search_never_asks_key_by_key(self):
        for flags, expected in ((["--search", "old-data"], self.COUNT // 10),
                                (["--tag-field", "tags", "--tag-value", "t3"], self.COUNT // 10),
                                (["--search", "archived", "--metadata"], self.COUNT // 4)):
            with self.subTest(flags=flags):
                self.fake.reset()
                self.assertEqual(len(self.kv("list", *flags, "--format", "keys").lines()), expected)
                requests = self.fake.stats()["requests"]
                self.assertLessEqual(set(requests), {"GET namespaces", "GET keys"})
                self.assertLessEqual(self.total(), self.COUNT // 1000 + 2)

    def test_limit_does_not_list_on(self):
        self.assertEqual(len(self.kv("list", "--limit", "5", "--format", "keys").lines()), 5)
        self.assertLessEqual(self.total(), 3)

    def test_namespace_id_skips_the_look_up(self):
        identity = self.fake.namespace_id(MADE_UP)
        self.fake.reset()
        self.sluice("kv", "list", "--store", "cloudflare:", "--namespace-id", identity, env=self.env)
        self.assertNotIn("GET namespaces", self.fake.stats()["requests"])

    def test_delete(self):
        self.kv("delete", "--all-keys", "--yes")
        stats = self.fake.stats()
        self.assertEqual(stats["keys_erased"], self.COUNT)
        self.assertLessEqual(self.total(), self.COUNT // 1000 + 2 + self.COUNT // 10_000 + 2)

    def test_delete_of_few_among_many(self):
        self.kv("delete", "--search", "old-data", "--yes")
        stats = self.fake.stats()
        self.assertEqual(stats["keys_erased"], self.COUNT // 10)
        self.assertLessEqual(self.total(), self.COUNT // 1000 + 2 + 2)

    def test_export(self):
        out = self.folder / "out"
        self.kv("export", "-o", out)
        entries = parse_ndjson(out.read_bytes())
        self.assertEqual(len(entries), self.COUNT)
        self.assertTrue(entries[b"user:000000007"].value.startswith(b"value 7 "))
        self.assertLessEqual(self.total(), self.COUNT // 1000 + 2 + self.COUNT // 100 + 2)
        self.assertNotIn("GET values", self.fake.stats()["requests"])

    def test_import(self):
        self.fake.create("target")
        self.fake.reset()
        self.kv("import", "--yes", "-", namespace="target",
                stdin="".join(entry.line() for entry in sample(25_000)))
        stats = self.fake.stats()
        self.assertEqual(stats["keys_put"], 25_000)
        self.assertLessEqual(self.total(), 25_000 // 10_000 + 2)

    def test_copy_within(self):
        self.fake.create("target")
        self.fake.reset()
        self.kv("copy", "--to-namespace", "target", "--yes")
        count = self.COUNT
        self.assertEqual(len(self.fake.entries("target")), count)
        self.assertLessEqual(self.total(), count // 1000 + count // 100 + count // 10_000 + 8)

    def test_concurrency_is_a_ceiling(self):
        self.kv("export", "--concurrency", "3", "-o", self.folder / "out")
        self.assertLessEqual(self.fake.stats()["max_simultaneous"], 3)

    def test_dry_run_never_changes(self):
        self.kv("delete", "--all-keys", "--dry-run")
        self.kv("import", "--dry-run", "-", stdin=sample(1)[0].line())
        self.kv("put", "key", "value", "--dry-run")
        self.assertEqual({route.split()[0] for route in self.fake.stats()["requests"]}, {"GET"})


class Faults(Cloudflare):
    """Each fault heals; then the end is right, whatever the way there was."""

    COUNT = 3000

    def setUp(self):
        super().setUp()
        self.fake_with("--seed", 7)
        self.entries = sample(self.COUNT)
        self.fake.fill("test", self.entries)

    def list_is_right(self):
        out = self.kv("list", "--all", "--metadata", "--format", "ndjson", namespace="test").out
        expected = {e.key: Entry(e.key, None, e.metadata, e.expiration) for e in self.entries}
        self.same(parse_ndjson(out), expected)

    def test_list_through_every_fault(self):
        for fault in ("429", "429_html", "500", "503", "524", "cut_before", "cut_after", "cut_middle",
                      "close_idle", "empty_page", "success_false", "malformed"):
            with self.subTest(fault=fault):
                self.fake.faults(script=[{"route": "GET keys", "nth": 2, "fault": fault}],
                                 retry_after=1)
                self.list_is_right()
                self.assertEqual(self.fake.stats()["faults"].get(fault), 1)

    def test_retry_after_is_kept(self):
        self.fake.faults(rates={"429": 10, "429_html": 10}, retry_after=1)
        out = self.folder / "out"
        self.kv("export", "-o", out, namespace="test", code=DONE)
        self.same(parse_ndjson(out.read_bytes()), by_key(self.entries))
        self.assertEqual(self.fake.stats()["during_retry_after"], 0)

    def test_export_through_a_storm(self):
        self.fake.faults(rates={"500": 3, "503": 3, "cut_before": 3, "cut_middle": 3, "524": 2,
                                "malformed": 2, "close_idle": 5, "empty_page": 5})
        out = self.folder / "out"
        self.kv("export", "-o", out, namespace="test")
        self.same(parse_ndjson(out.read_bytes()), by_key(self.entries))

    def test_delete_through_every_fault(self):
        for fault in ("429", "500", "503", "524", "524_applied", "cut_before", "cut_after",
                      "cut_middle", "success_false", "malformed", "fail_some_keys"):
            with self.subTest(fault=fault):
                self.fake.fill("test", self.entries)
                self.fake.faults(script=[{"route": "POST bulk/delete", "nth": 1, "fault": fault}])
                self.kv("delete", "--tag-field", "tags", "--tag-value", "even", "--yes",
                        namespace="test")
                left = {e.key: e for i, e in enumerate(self.entries) if i % 2}
                self.same(self.fake.entries("test"), left)

    def test_import_through_every_fault(self):
        text = "".join(entry.line() for entry in self.entries)
        for fault in ("429", "500", "503", "524", "524_applied", "cut_before", "cut_after",
                      "cut_middle", "success_false", "malformed", "fail_some_keys"):
            with self.subTest(fault=fault):
                title = "into " + fault
                self.fake.create(title)
                self.fake.faults(script=[{"route": "PUT bulk", "nth": 1, "fault": fault}])
                self.kv("import", "--yes", "-", namespace=title, stdin=text)
                self.same(self.fake.entries(title), by_key(self.entries))

    def test_few_more_requests_under_faults(self):
        """At most 1 % more than the requests and the repetitions themselves."""
        out = self.folder / "out"
        self.kv("export", "-o", out, namespace="test")
        calm = self.total()
        self.fake.reset()
        self.fake.faults(rates={"500": 3, "503": 2})
        self.kv("export", "-o", self.folder / "again", namespace="test")
        stats = self.fake.stats()
        self.assertGreater(sum(stats["faults"].values()), 0, "the seed gave no fault: choose another")
        self.assertLessEqual(stats["total"], calm * 1.01 + sum(stats["faults"].values()) + 1)

    def test_too_large_a_batch_is_made_smaller(self):
        self.fake.faults(max_batch=40)
        out = self.folder / "out"
        self.kv("export", "-o", out, namespace="test")
        self.same(parse_ndjson(out.read_bytes()), by_key(self.entries))
        self.fake.create("target")
        self.fake.faults(max_batch=700)
        self.kv("import", "--yes", out, namespace="target")
        self.same(self.fake.entries("target"), by_key(self.entries))
        self.kv("delete", "--all-keys", "--yes", namespace="target")
        self.assertEqual(self.fake.entries("target"), {})

    def test_a_stall_ends_with_the_timeout(self):
        self.fake.faults(script=[{"route": "GET keys", "nth": 2, "fault": "stall"}], stall_ms=60_000)
        self.sluice("kv", "list", "--store", "cloudflare:", "--namespace", "test", "--all", "--timeout",
                    "1s", "--format", "keys", env=self.env)

    def test_the_modelled_limit_is_kept(self):
        fake = self.fake_with("--keys", 12_000, "--rate-limit", "8/2s")
        out = self.sluice("kv", "list", "--store", "cloudflare:", "--namespace", MADE_UP, "--all",
                          "--format", "keys", env=self.env).lines()
        self.assertEqual(len(out), 12_000)
        stats = fake.stats()
        self.assertEqual(stats["during_retry_after"], 0)
        # The headers told the quota with the first answer, so it is not overrun afterwards.
        self.assertLessEqual(stats["rate_limited"], 1)


class Failures(Cloudflare):
    """What does not heal is reported, key by key, with a true count."""

    def setUp(self):
        super().setUp()
        self.fake_with()
        self.entries = sample(250)
        self.fake.fill("test", self.entries)

    def test_single_keys_that_always_fail(self):
        self.fake.faults(fail_keys={"item:0007": -1, "item:0123": -1})
        result = self.kv("delete", "--all-keys", "--yes", namespace="test", code=SOME_FAILED)
        self.assertEqual(set(self.fake.entries("test")), {b"item:0007", b"item:0123"})
        words = [word.strip("'\"`.,;:()") for word in result.complaint.split()]
        paths = [word for word in words if word.startswith(str(self.folder))]
        self.assertTrue(paths, f"the message does not name the file of failed keys\n{result}")
        failures = paths[0]
        with open(failures, encoding="utf-8") as file:
            named = [json.loads(line) for line in file]
        self.assertEqual(sorted(item["key"] for item in named), ["item:0007", "item:0123"], str(result))
        self.assertTrue(all(item["error"] for item in named))
        # The file is what --keys-file takes.
        self.fake.faults()
        self.kv("delete", "--keys-file", failures, "--yes", namespace="test")
        self.assertEqual(self.fake.entries("test"), {})

    def test_partial_failure_under_4xx(self):
        self.fake.faults(fail_keys={"item:0007": 1}, partial_status=400)
        self.kv("delete", "--all-keys", "--yes", namespace="test")
        self.assertEqual(self.fake.entries("test"), {})

    def test_forbidden_on_every_call(self):
        self.fake.faults(rates={"403": 100})
        self.kv("delete", "--all-keys", "--yes", namespace="test", code=UNAUTHORIZED)
        self.kv("list", namespace="test", code=UNAUTHORIZED)
        self.assertEqual(len(self.fake.entries("test")), 250)
        # Nothing else can succeed either, so it is not tried again and again.
        self.assertLessEqual(self.total(), 4)

    def test_forbidden_in_the_middle(self):
        self.fake.faults(script=[{"route": "POST bulk/delete", "first": 1, "last": 99, "fault": "403"}])
        self.kv("delete", "--all-keys", "--yes", namespace="test", code=UNAUTHORIZED)
        self.assertEqual(len(self.fake.entries("test")), 250)

    def test_wrong_token(self):
        env = {**self.env, "CLOUDFLARE_API_TOKEN": "a-wrong-secret-token"}
        result = self.sluice("kv", "list", "--store", "cloudflare:", "--namespace", "test", env=env,
                             code=UNAUTHORIZED)
        self.assertNotIn("a-wrong-secret-token", result.complaint)
        self.assertIn("CLOUDFLARE_API_TOKEN", result.complaint)

    def test_success_false_for_ever(self):
        self.fake.faults(rates={"success_false": 100}, routes=["POST bulk/delete"])
        # Down to the single key takes longer than a test may: the deadline cuts it short.
        result = self.run_sluice("kv", "delete", "--store", "cloudflare:", "--namespace", "test",
                                 "--prefix", "item:000", "--yes", "--deadline", "10s", "--json",
                                 env=self.env)
        self.assertIn(result.code, (FAILED, SOME_FAILED, THROTTLED), str(result))
        self.assertEqual(result.json()["done"], 0)
        self.assertEqual(len(self.fake.entries("test")), 250)

    def test_a_count_that_does_not_add_up(self):
        self.fake.faults(rates={"wrong_count": 100})
        result = self.run_sluice("kv", "delete", "--store", "cloudflare:", "--namespace", "test",
                                 "--all-keys", "--yes", env=self.env)
        self.assertIn(result.code, (FAILED, SOME_FAILED), str(result))

    def test_throttled_for_ever(self):
        # The deadline holds from the first request, the look-up of the namespace's title included.
        self.fake.faults(rates={"429": 100}, retry_after=5)
        result = self.sluice("kv", "list", "--store", "cloudflare:", "--namespace", "test",
                             "--deadline", "2s", env=self.env, code=THROTTLED)
        self.assertIn("deadline", result.complaint)
        self.assertEqual(self.total(), 1)

    def test_unknown_namespace(self):
        self.kv("list", namespace="absent", code=NOT_FOUND)
        self.sluice("kv", "list", "--store", "cloudflare:", "--namespace-id", "0" * 32, env=self.env,
                    code=NOT_FOUND)

    def test_no_server(self):
        self.fake.close()
        result = self.run_sluice("kv", "list", "--store", "cloudflare:", "--namespace", "test",
                                 "--deadline", "3s", env=self.env)
        self.assertIn(result.code, (FAILED, THROTTLED), str(result))
        self.assertIn("127.0.0.1", result.complaint)

    def test_plain_http_to_elsewhere_gets_no_credentials(self):
        env = {**self.env, "CLOUDFLARE_API_BASE_URL": "http://192.0.2.1/client/v4"}
        result = self.run_sluice("kv", "list", "--store", "cloudflare:", "--namespace", "test",
                                 "--deadline", "5s", env=env)
        self.assertNotIn(result.code, (DONE, THROTTLED), str(result))
        self.assertIn("https", result.complaint)


if __name__ == "__main__":
    unittest.main()
