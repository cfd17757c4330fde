"""`sluice serve`: what operators see of it: health, metrics, the access log."""

import json
import time
import unittest

from harness import PATIENCE
from wire import WireTest


class Watching(WireTest):
    def test_health(self):
        for path in ("/healthz", "/readyz"):
            answer = self.api.ask("GET", path)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(self.api.ask("HEAD", path).status, 200)

    def test_a_store_that_is_gone_is_not_ready(self):
        file = self.folder / "gone.db"
        server = self.serve(store=f"sqlite:{file}")
        server.create("test")
        self.assertEqual(server.ask("GET", "/readyz").status, 200)
        for part in self.folder.glob("gone.db*"):
            part.unlink()
        deadline = time.monotonic() + PATIENCE
        while (answer := server.ask("GET", "/readyz")).status == 200:  # its last answer, for a second
            self.assertLess(time.monotonic(), deadline, "a store that is gone stays ready")
        self.assertEqual(answer.status, 503, answer)
        self.assert_tells_nothing(answer)
        self.assertEqual(server.ask("GET", "/healthz").status, 200)

    def test_metrics(self):
        before = self.api.ask("GET", "/metrics")
        self.assertEqual(before.status, 200, before)
        self.assertIn("text/plain", before.headers["content-type"])

        def samples(answer):
            out = {}
            for line in answer.body.decode().splitlines():
                if line and not line.startswith("#"):
                    name, value = line.rsplit(" ", 1)
                    out[name] = float(value)
            return out

        def served(found):
            return sum(value for name, value in found.items() if name.split("{")[0].endswith("_count"))

        for _ in range(10):
            self.api.get(self.space, "key")
        self.api.kv("GET", f"/{self.space}/values/secret-key-name")
        after = self.api.ask("GET", "/metrics")
        self.assertGreaterEqual(served(samples(after)) - served(samples(before)), 11, after)
        for name in ('sluice_store_duration_seconds_count{operation="get"}', "sluice_http_connections",
                     "sluice_http_requests_in_flight", "sluice_http_request_bytes_total",
                     "sluice_http_response_bytes_total"):
            self.assertGreater(samples(after)[name], 0, name)
        # Routes, never paths: a label for each key would fill every client's memory.
        for word in ("secret-key-name", self.space, self.api.account):
            self.assertNotIn(word, after.body.decode())
        label = r'[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\.)*"'
        for name in samples(after):
            self.assertRegex(name, rf"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{{({label},?)*\}})?$")

    def test_access_log(self):
        path = self.folder / "access.log"
        server = self.serve("--access-log", path, "--threads", "1")  # so that the lines have an order
        space = server.create("logged")
        server.put(space, "a b", b"12345")
        server.get(space, "a b")
        server.kv("GET", f"/{space}/values/none")
        server.close()
        text = path.read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        self.assertEqual([(line["method"], line["status"]) for line in lines],
                         [("POST", 200), ("PUT", 200), ("GET", 200), ("GET", 404)])
        self.assertIn("a%20b", lines[1]["target"])
        self.assertEqual((lines[1]["received"], lines[2]["sent"]), (5, 5))
        self.assertNotIn(server.token, text)
        self.assertNotIn("Bearer", text)
        self.assertEqual(path.stat().st_mode & 0o077, 0)


if __name__ == "__main__":
    unittest.main()
