"""`sluice serve` as a process: how it starts, listens, stops."""

import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
import unittest

from harness import DONE, FAILED, INTERRUPTED, ODD_ENTRIES, PATIENCE, UNAUTHORIZED, by_key
from sluice_server import ServeTest
from wire import WireTest


class Start(ServeTest):
    def test_what_cannot_be_served(self):
        self.refused("serve", "--store", "memory:", mentions="--cloudflare")
        self.refused("serve", "--cloudflare", "--listen", "nowhere", "--store", "memory:")
        self.refused("serve", "--cloudflare", "--rate-limit", "many", "--store", "memory:", mentions="many")
        api = self.serve()
        self.refused("serve", "--cloudflare", "--listen", f"127.0.0.1:{api.port}", "--store", "memory:",
                     code=FAILED, mentions=str(api.port))

    def test_a_file_that_is_made_is_told(self):
        """It may be a mistyped name."""
        for check in (self.assertIn, self.assertNotIn):
            api = self.serve(store=self.store)
            api.send(signal.SIGTERM)
            self.assertEqual(api.wait(), DONE)
            check("there was no", api.complaint)

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
        self.refused("serve", "--cloudflare", "--store", "memory:", "--tls-cert", key,
                     "--tls-key", certificate, mentions="no certificate")
        key.chmod(0o644)
        self.refused("serve", "--cloudflare", "--store", "memory:", *flags, code=UNAUTHORIZED,
                     mentions="chmod 600")


class Ends(WireTest):
    def stop_while(self, *flags):
        """A server that was told to stop while a request is on its way; the connection it comes by, and
        one that is idle."""
        server = self.serve(*flags)
        space = server.create("test")
        idle = self.wire(server)
        idle.send(self.request("GET", f"{server.namespaces}/{space}/values/none"))
        self.assertEqual(idle.answer().status, 404)
        wire = self.wire(server)
        wire.send(self.request("PUT", f"{server.namespaces}/{space}/values/slow", "Content-Length: 10",
                               "Expect: 100-continue"))
        self.assertEqual(wire.head()[0], 100)  # so the request has been begun
        wire.send(b"hello")
        server.send(signal.SIGTERM)
        self.assertTrue(idle.ended(), "an idle connection stays open")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection((server.host, server.port), timeout=PATIENCE).close()
            except ConnectionRefusedError:
                break
            except ConnectionResetError:
                pass  # between the kernel's accepting and the server's
            self.assertLess(time.monotonic(), deadline, "new connections are still accepted")
        return server, wire

    def test_a_stop_lets_requests_end(self):
        server, wire = self.stop_while("--grace", "60s")
        wire.send(b"world")
        answer = wire.answer()
        self.assert_success(answer)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(wire.ended())
        self.assertEqual(server.wait(), 0, server.complaint)

    def test_but_not_for_ever(self):
        server, wire = self.stop_while("--grace", "1s")
        self.assertTrue(wire.ended())
        self.assertGreaterEqual(server.wait(), 0, server.complaint)

    def test_interrupt_stops_too(self):
        server = self.serve()
        server.send(signal.SIGINT)
        self.assertGreaterEqual(server.wait(), 0, server.complaint)

    def test_the_second_signal_ends_it_at_once(self):
        server, wire = self.stop_while("--grace", "1h", "--body-timeout", "1h")
        deadline = time.monotonic() + PATIENCE
        while server.process.poll() is None:
            self.assertLess(time.monotonic(), deadline, "it waits for the grace to end")
            # One that follows at once is taken for the same, as timeout(1) sends it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(timeout=0.3)
                break
            server.send(signal.SIGTERM)
        self.assertEqual(server.wait(), INTERRUPTED, server.complaint)
        self.assertTrue(wire.ended())


if __name__ == "__main__":
    unittest.main()
