"""The gate, with real programs: a budget is used up to its end and never beyond, by one process and by
several; nothing is sent while a Retry-After runs; concurrency settles where the service is busy."""

import signal
import time
import unittest

from harness import DONE, INTERRUPTED, SluiceTest

MADE_UP = "made-up"
REMOTE = ("--store", "cloudflare:", "--namespace", MADE_UP)

REQUESTS, WINDOW = 1200, 2  # Cloudflare's, in a window of seconds instead of minutes


def least_seconds(requests):
    """What nobody can go below: the last request leaves when as many windows are over."""
    return (-(-requests // REQUESTS) - 1) * WINDOW


class Budget(SluiceTest):
    def fake_with(self, *flags):
        self.fake = self.server("--rate-limit", f"{REQUESTS}/{WINDOW}s", *flags)
        self.env = self.fake.environment()

    def delete(self, digit_range, *more, env=None):
        """Starts deleting the made-up keys that end so, ten a request."""
        return self.start("kv", "delete", *REMOTE, "--pattern", f"[{digit_range}]$", "--batch-size", "10",
                          "--yes", "--json", *more, env={**self.env, **(env or {})})

    def done(self, running, code=DONE):
        result = running.end()
        self.assertEqual(result.code, code, str(result))
        return result.json()

    def no_refusal(self):
        stats = self.fake.stats()
        self.assertEqual(stats["rate_limited"], 0)
        self.assertEqual(stats["during_retry_after"], 0)
        self.assertEqual(stats["faults"], {})
        return stats

    def in_time(self, began, stats):
        """Far above the least, since the machine may be busy with other things: bench/run measures it.
        What waits a window too long every time does not pass."""
        took = time.monotonic() - began
        self.assertGreaterEqual(stats["total"], 7 * REQUESTS, "the windows must be what counts")
        self.assertLess(took, 1.8 * least_seconds(stats["total"]))

    def test_one_process_uses_the_budget_up_and_never_more(self):
        self.fake_with("--keys", 94_000)
        began = time.monotonic()
        report = self.done(self.delete("0-9"))
        stats = self.no_refusal()
        self.in_time(began, stats)
        self.assertEqual(report["done"], 94_000)
        self.assertEqual(stats["keys_erased"], 94_000)
        self.assertEqual(report["throttled"], 0)
        self.assertEqual(report["requests"], stats["total"])

    def test_two_processes_share_it(self):
        self.fake_with("--keys", 93_000)
        began = time.monotonic()
        low, high = self.delete("0-4"), self.delete("5-9")
        reports = [self.done(low), self.done(high)]
        stats = self.no_refusal()
        self.in_time(began, stats)
        self.assertEqual([report["done"] for report in reports], [46_500, 46_500])
        self.assertEqual(stats["keys_erased"], 93_000)

    def test_a_process_that_is_killed_holds_nobody_up(self):
        self.fake_with("--keys", 93_000)
        began = time.monotonic()
        low, high = self.delete("0-4"), self.delete("5-9")
        # Again and again while the other works: in the middle of what they share, sooner or later.
        for pause in (0.4, 0.05, 1.1, 0.2, 2.3, 0.1):
            time.sleep(pause)
            low.send(signal.SIGKILL)
            low.end()
            low = self.delete("0-4")
        reports = [self.done(low), self.done(high)]
        stats = self.no_refusal()
        self.in_time(began, stats)
        self.assertEqual(reports[1]["done"], 46_500)
        self.assertEqual(stats["keys_erased"], 93_000)

    def test_other_credentials_have_a_budget_of_their_own(self):
        self.fake = self.server("--keys", 20)
        self.env = self.fake.environment()
        two_an_hour = ("--rate", "2/h")
        self.sluice("kv", "list", *REMOTE, *two_an_hour, env=self.env)  # two requests: all there are
        # The same again, and it waits for an hour.
        waiting = self.start("kv", "list", *REMOTE, *two_an_hour, env=self.env)
        self.sluice("kv", "list", *REMOTE, *two_an_hour,
                    env={**self.env, "CLOUDFLARE_API_TOKEN": "", "CLOUDFLARE_EMAIL": "test@example.com",
                         "CLOUDFLARE_API_KEY": "test-key"})
        self.assertIsNone(waiting.process.poll())
        waiting.send(signal.SIGINT)
        self.assertEqual(waiting.end().code, INTERRUPTED)
        self.assertEqual(self.fake.stats()["total"], 4)

    def test_without_a_folder_it_works_alone(self):
        self.fake = self.server("--keys", 20)
        self.env = self.fake.environment()
        (self.runtime / "sluice").write_text("in the way")
        result = self.sluice("kv", "list", *REMOTE, "--log-level", "info", env=self.env)
        self.assertIn("is not shared", result.complaint)
        self.assertIn("user:000000007", result.text)

    def test_without_a_runtime_folder_the_temporary_one_does(self):
        self.fake = self.server("--keys", 20)
        self.env = {**self.fake.environment(), "XDG_RUNTIME_DIR": ""}
        self.sluice("kv", "list", *REMOTE, env=self.env)
        folders = [path for path in self.folder.iterdir() if path.name.startswith("sluice-")]
        self.assertEqual(len(folders), 1)
        self.assertEqual(folders[0].stat().st_mode & 0o777, 0o700)
        files = list(folders[0].iterdir())
        self.assertEqual([path.stat().st_mode & 0o777 for path in files], [0o600])
        self.assertNotIn(self.fake.token.encode(), files[0].read_bytes() + files[0].name.encode())


class RetryAfter(SluiceTest):
    def test_holds_for_the_other_process_too(self):
        fake = self.server("--keys", 60_000, "--latency", "5ms", "--seed", 5)
        fake.faults(rates={"429": 0.2, "503": 0.2}, retry_after=1)
        began = [self.start("kv", "delete", *REMOTE, "--pattern", f"[{digits}]$", "--batch-size", "10", "--yes",
                            "--json", env=fake.environment()) for digits in ("0-4", "5-9")]
        reports = []
        for running in began:
            result = running.end()
            self.assertEqual(result.code, DONE, str(result))
            reports.append(result.json())
        stats = fake.stats()
        self.assertEqual([report["done"] for report in reports], [30_000, 30_000])
        self.assertGreaterEqual(sum(stats["faults"].values()), 3)
        self.assertGreater(min(report["waited_milliseconds"] for report in reports), 0)
        self.assertEqual(stats["during_retry_after"], 0)


class Concurrency(SluiceTest):
    """A service that works on eight requests at once, each for 20 ms: whatever more is in flight only
    queues."""

    CAPACITY = 8

    def delete(self, keys, *flags, capacity=CAPACITY, concurrency=50):
        fake = self.server("--keys", keys, "--latency", "20ms", "--capacity", capacity)
        report = self.sluice("kv", "delete", *REMOTE, "--all-keys", "--batch-size", "10", "--yes", "--json",
                             "--concurrency", concurrency, env=fake.environment()).json()
        self.assertEqual(fake.stats()["keys_erased"], keys)
        return report, fake.stats()

    def test_settles_where_the_service_is_busy(self):
        keys = 25_000
        report, stats = self.delete(keys)
        self.assertGreaterEqual(report["concurrency"], self.CAPACITY)
        self.assertLess(report["concurrency"], 3 * self.CAPACITY)
        # And the service was busy: at its capacity, all of them take this long.
        self.assertLess(report["milliseconds"], 2 * 20 * stats["total"] / self.CAPACITY + 1000)

    def test_reaches_the_ceiling_of_a_service_that_stands_it(self):
        report, stats = self.delete(10_000, capacity=1000, concurrency=20)
        self.assertEqual(report["concurrency"], 20)
        self.assertEqual(stats["max_simultaneous"], 20)


if __name__ == "__main__":
    unittest.main()
