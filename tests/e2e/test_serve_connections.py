"""`sluice serve`: many requests on one connection, slow clients and idle ones."""

import contextlib
import os
import resource
import socket
import threading
import time
import unittest

from harness import PATIENCE
from wire import WireTest


class Connections(WireTest):
    def test_pipelined_requests_are_answered_in_order(self):
        for i in range(100):
            self.api.put(self.space, f"key{i}", f"value {i}".encode() * (1 if i % 10 else 5_000))
        wire = self.wire()
        expected, data = [], b""
        for i in range(100):
            if i % 7 == 3:
                data += self.request("GET", self.api.namespaces + "/x/nothing")
                expected.append(None)
            elif i % 7 == 5:
                value = f"new {i}".encode()
                data += self.request("PUT", f"{self.api.namespaces}/{self.space}/values/key{i}",
                                     f"Content-Length: {len(value)}", body=value)
                expected.append(True)
            else:
                data += self.request("GET", f"{self.api.namespaces}/{self.space}/values/key{i}")
                expected.append(f"value {i}".encode() * (1 if i % 10 else 5_000))
        sender = threading.Thread(target=wire.send, args=(data,), daemon=True)
        sender.start()
        for i, wanted in enumerate(expected):
            answer = wire.answer()
            if wanted is None:
                self.assert_refused(answer, 404)
            elif wanted is True:
                self.assert_success(answer)
            else:
                self.assertEqual(answer.body, wanted, f"answer {i}")
        sender.join(PATIENCE)

    def test_bytes_that_come_one_by_one(self):
        wire = self.wire()
        value = b"a value"
        data = self.request("PUT", self.path, f"Content-Length: {len(value)}", body=value)
        for byte in data + self.request("GET", self.path):
            wire.send(bytes([byte]))
        self.assert_success(wire.answer())
        self.assertEqual(wire.answer().body, value)

    def test_a_client_that_has_said_all_is_answered(self):
        wire = self.wire()
        wire.send(self.request("GET", self.path) * 3)
        wire.half_close()
        for _ in range(3):
            self.assertEqual(wire.answer().body, b"value")
        self.assertTrue(wire.ended())

    def test_a_client_that_goes_away_in_the_middle(self):
        for key in ("key", "new"):
            path = self.api.namespaces + self.api.value_path(self.space, key)
            whole = self.request("PUT", path, "Content-Length: 100", body=b"x" * 100)
            for length in (1, 20, len(whole) - 100, len(whole) - 99, len(whole) - 1):
                wire = self.wire()
                wire.send(whole[:length])
                wire.half_close()
                wire.ended()  # the server has seen it, and done with it what it does
                gone = self.wire()
                gone.send(whole[:length])
                gone.close()
        # No half of a value was kept, neither in place of another one nor under a new key.
        self.alive()
        self.assertEqual([key["name"] for key in self.api.result("GET", f"/{self.space}/keys")], ["key"])

    def test_head(self):
        wire = self.wire()
        wire.send(self.request("HEAD", self.path) + self.request("GET", self.path))
        answer = wire.answer("HEAD")
        self.assertEqual((answer.status, answer.headers["content-length"]), (200, "5"))
        self.assertEqual(wire.answer().body, b"value")
        wire.send(self.request("HEAD", self.path + "x") + self.request("GET", self.path))
        self.assertEqual(wire.answer("HEAD").status, 404)
        self.assertEqual(wire.answer().body, b"value")

    def test_connection_close(self):
        wire = self.wire()
        wire.send(self.request("GET", self.path, "Connection: close") + self.request("GET", self.path))
        answer = wire.answer()
        self.assertEqual((answer.body, answer.headers["connection"]), (b"value", "close"))
        self.assertTrue(wire.ended())


class Room(WireTest):
    flags = ("--idle-timeout", "1h")  # so that nothing goes by itself

    def test_the_connection_that_is_idle_for_longest_makes_room(self):
        server = self.serve("--max-connections", "1", "--threads", "1", *self.flags)
        first = self.wire(server)
        for _ in range(3):  # it stays for as long as nobody else comes
            first.send(self.request("GET", "/healthz"))
            self.assertEqual(first.answer().status, 200)
        second = self.wire(server)
        second.send(self.request("GET", "/healthz"))
        self.assertEqual(second.answer().status, 200)
        self.assertTrue(first.ended())

    def test_also_when_no_descriptor_is_left(self):
        resource.prlimit(self.api.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        wires = [self.wire() for _ in range(100)]
        self.alive()
        self.assertEqual(len(wires), 100)


class Slow(WireTest):
    """Time-outs made short. Nothing here sleeps: the server's closing is what is waited for."""

    flags = ("--header-timeout", "1s", "--body-timeout", "1s", "--idle-timeout", "1s")

    def test_clients_that_stand_still_are_left_and_the_others_served(self):
        idle, used, header, body = (self.wire() for _ in range(4))
        used.send(self.request("GET", self.path))
        self.assertEqual(used.answer().body, b"value")
        header.send(self.request("GET", self.path)[:-2])
        body.send(self.request("PUT", self.path, "Content-Length: 100", body=b"x" * 50))
        self.alive()
        for wire in (header, body):
            self.assert_refused(wire.answer(), 408)
            self.assertTrue(wire.ended())
        for wire in (idle, used):
            self.assertTrue(wire.ended())
        self.alive()

    def test_a_byte_now_and_then_does_not_count(self):
        """The head as a whole has its time, not each of its bytes."""
        wire = self.wire()
        wire.send(f"GET {self.path} HTTP/1.1\r\n".encode())
        begun = time.monotonic()
        while wire.send(b"X-Slow: y\r\n"):
            wire.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                answer = wire.answer()
                break
            self.assertLess(time.monotonic() - begun, PATIENCE, "the server waits for ever")
        wire.socket.settimeout(PATIENCE)
        self.assert_refused(answer, 408)
        self.alive()

    def test_a_slow_reader_blocks_only_itself(self):
        self.api.put(self.space, "large", os.urandom(20 << 20))
        wire = self.wire()
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(self.request("GET", self.path[:-3] + "large") * 4)
        for _ in range(50):
            self.alive()


if __name__ == "__main__":
    unittest.main()
