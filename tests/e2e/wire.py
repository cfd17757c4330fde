"""Connections that send a server bytes that no client library would send."""

import socket

from harness import PATIENCE
from sluice_server import Answer, ServeTest

# What a refusal may never tell: where the program was built, what it is made of, which version it is.
INSIDES = ("/src/", "/home/", "/tmp/", ".cc", ".h:", "boost", "beast", "asio", "sqlite", "std::",
           "0x", "exception", "sluice")


class Wire:
    """A connection that sends what it is told, byte for byte."""

    def __init__(self, server):
        self.socket = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def send(self, data):
        """Whether the server took all of it; it may close before it has read everything."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def _more(self):
        try:
            piece = self.socket.recv(1 << 20)
        except ConnectionResetError:
            piece = b""
        self.unread += piece
        return bool(piece)

    def head(self):
        """The status and headers of the next answer; None if the connection is closed instead."""
        while b"\r\n\r\n" not in self.unread:
            if not self._more():
                if self.unread:
                    raise AssertionError(f"an answer broke off: {self.unread!r}")
                return None
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        version, status, reason = lines[0].split(" ", 2)
        if version != "HTTP/1.1" or not reason:
            raise AssertionError(f"not a status line: {lines[0]}")
        return int(status), [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]

    def answer(self, method="GET"):
        """The next answer; None if the connection is closed instead."""
        head = self.head()
        if head is None:
            return None
        answer = Answer(*head, b"")
        if method != "HEAD" and answer.status >= 200:
            length = int(answer.headers["content-length"])
            while len(self.unread) < length:
                if not self._more():
                    raise AssertionError(f"the body of {answer} broke off after {len(self.unread)} bytes")
            answer.body, self.unread = self.unread[:length], self.unread[length:]
        return answer

    def ended(self):
        """Waits for the end of the connection. Whether nothing came before it."""
        while self._more():
            pass
        return self.unread == b""

    def close(self):
        self.socket.close()


class WireTest(ServeTest):
    """A server with one key, and what a refusal must be like."""

    flags = ()

    def setUp(self):
        super().setUp()
        self.api = self.serve(*self.flags)
        self.space = self.api.create("test")
        self.api.put(self.space, "key", b"value")
        self.path = self.api.namespaces + self.api.value_path(self.space, "key")
        self.keys_path = f"{self.api.namespaces}/{self.space}/keys"

    def wire(self, server=None):
        wire = Wire(server or self.api)
        self.addCleanup(wire.close)
        return wire

    def request(self, method, path, *lines, body=b""):
        """A request that is in order but for what `lines` and `body` add."""
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.api.token}", *lines]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    def alive(self):
        """The server answers as before, on a new connection."""
        self.assertIsNone(self.api.process.poll(), self.api.complaint)
        self.assertEqual(self.api.get(self.space, "key"), b"value")

    def assert_tells_nothing(self, answer):
        text = answer.body.decode().lower()
        for word in INSIDES:
            self.assertNotIn(word, text, answer)
        self.assertNotIn("server", answer.headers, answer)
        self.assertNotIn("x-powered-by", answer.headers, answer)

    def refused(self, data, statuses, closes=True, half_close=False):
        """Sends `data` and requires one refusal, then the end of the connection, so that nothing behind
        what was refused is taken for a request."""
        wire = self.wire()
        wire.send(data)
        if half_close:
            wire.half_close()
        answer = wire.answer()
        self.assertIsNotNone(answer, f"no answer to {data[:200]!r}")
        self.assertIn(answer.status, statuses, f"{data[:200]!r}: {answer}")
        self.assert_refused(answer, answer.status)
        self.assert_tells_nothing(answer)
        if closes:
            self.assertEqual(answer.headers.get("connection"), "close", f"{data[:200]!r}: {answer}")
            self.assertTrue(wire.ended(), f"more came after {answer}: {wire.unread!r}")
        wire.close()
        return answer
