"""`sluice serve` against bytes that no client library would send."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import INTERRUPTED, PATIENCE
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


class RequestLines(WireTest):
    def test_malformed(self):
        line_and_host = b" / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for data, statuses in [
                (b"GET\r\n\r\n", {400}),
                (b"GET /healthz\r\n\r\n", {400}),  # HTTP/0.9
                (b" GET" + line_and_host, {400}),
                (b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET /  HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n", {400}),
                (b"GET / x HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"G@T" + line_and_host, {400}),
                (b"G\x00T" + line_and_host, {400}),
                (b"\xff\xfe" + line_and_host, {400}),
                (b"GET / FTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET / HTTP/1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET / HTTP/1.10\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET / http/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", {505}),
                (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", {505}),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),  # the preface of HTTP/2
                (b"GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET /a\x00b HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"GET /a\x7fb HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
                (b"\r\n\r\n\r\nGET" + line_and_host, {400}),
                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n", {400}),  # somebody speaks TLS
                (b"*1\r\n$4\r\nPING\r\n\r\n", {400}),  # or Redis
        ]:
            with self.subTest(data=data):
                self.refused(data, statuses)
        self.alive()

    def test_an_empty_line_before_a_request_is_passed_over(self):
        wire = self.wire()
        wire.send(b"\r\n" + self.request("GET", self.path))
        self.assertEqual(wire.answer().body, b"value")

    def test_methods_that_a_path_does_not_have(self):
        """The method is wrong, the connection is not."""
        wire = self.wire()
        for method, path, allowed in [
                ("POST", self.path, {"GET", "PUT", "DELETE"}), ("PATCH", self.path, {"GET", "PUT", "DELETE"}),
                ("FROB", self.path, {"GET", "PUT", "DELETE"}), ("OPTIONS", self.path, {"GET", "PUT", "DELETE"}),
                ("TRACE", self.path, {"GET", "PUT", "DELETE"}), ("get", self.path, {"GET", "PUT", "DELETE"}),
                ("DELETE", self.keys_path, {"GET"}), ("PUT", self.api.namespaces, {"GET", "POST"}),
                ("GET", f"{self.api.namespaces}/{self.space}/bulk", {"PUT", "DELETE"}),
                ("PUT", f"{self.api.namespaces}/{self.space}/bulk/get", {"POST"}),
                ("DELETE", f"{self.api.namespaces}/{self.space}/bulk/delete", {"POST"}),
                ("POST", f"{self.api.namespaces}/{self.space}/metadata/key", {"GET"})]:
            with self.subTest(method=method, path=path):
                wire.send(self.request(method, path))
                answer = wire.answer()
                self.assert_refused(answer, 405)
                listed = {word.strip() for word in answer.headers["allow"].split(",")}
                self.assertEqual(listed - {"HEAD", "OPTIONS"}, allowed, answer)
        wire.send(self.request("GET", self.path))
        self.assertEqual(wire.answer().body, b"value")
        self.alive()

    def test_http_1_0(self):
        for keep in (False, True):
            wire = self.wire()
            connection = "Connection: keep-alive\r\n" if keep else ""
            data = f"GET {self.path} HTTP/1.0\r\n{connection}\r\n".encode()
            wire.send(data)
            answer = wire.answer()
            self.assertEqual((answer.status, answer.body), (200, b"value"))
            if keep:
                self.assertEqual(answer.headers["connection"], "keep-alive")
                wire.send(data)
                self.assertEqual(wire.answer().body, b"value")
            else:
                self.assertTrue(wire.ended())

    def test_a_whole_url_as_proxies_are_sent(self):
        wire = self.wire()
        wire.send(self.request("GET", "http://elsewhere.example" + self.path))
        self.assertEqual(wire.answer().body, b"value")

    def test_a_target_that_is_too_long(self):
        for length in (9_000, 70_000):
            self.refused(self.request("GET", self.path + "?x=" + "a" * length), {414})
        # A key of 512 bytes, each of them encoded, is not.
        path = self.api.value_path(self.space, b"\xe2\x82\xac" * 170)
        self.assertEqual(self.api.kv("GET", path).codes, [10009])
        self.alive()


class Headers(WireTest):
    def test_malformed(self):
        line = f"GET {self.path} HTTP/1.1\r\n".encode()
        for name, fields in {
                "no Host": b"", "two Hosts": b"Host: a\r\nHost: b\r\n", "twice the same": b"Host: a\r\nhost: a\r\n",
                "no colon": b"Host: a\r\nNonsense\r\n", "no name": b"Host: a\r\n: x\r\n",
                "space in a name": b"Host: a\r\nBad Name: x\r\n",
                "space before the colon": b"Host : a\r\n",
                "another before the colon": b"Host: a\r\nContent-Length : 5\r\n",
                "tab before the colon": b"Host: a\r\nTransfer-Encoding\t: chunked\r\n",
                "NUL in a value": b"Host: a\r\nX: a\x00b\r\n", "NUL in a name": b"Host: a\r\nX\x00: a\r\n",
                "control in a value": b"Host: a\r\nX: a\x08b\r\n",
                "CR alone": b"Host: a\r\nX: a\rY: b\r\n", "folded": b"Host: a\r\nX: a\r\n b\r\n",
                "folded first": b" X: a\r\nHost: a\r\n", "folded by a tab": b"Host: a\r\nX: a\r\n\tb\r\n",
                "bare LF": b"Host: a\nX: b\r\n", "bytes that are no name": b"Host: a\r\n\xc3\xa9: b\r\n",
        }.items():
            with self.subTest(name):
                self.refused(line + fields + b"\r\n", {400})
        self.refused(line + b"Host: a\n\n", {400})
        self.alive()

    def test_floods(self):
        many = b"".join(b"X-%d: y\r\n" % i for i in range(200))
        long = b"X: " + b"y" * 20_000 + b"\r\n"
        endless = b"X-Long-Name-%07d: y\r\n"
        line = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n".encode()
        self.refused(line + many + b"\r\n", {431})
        self.refused(line + long + b"\r\n", {431})
        # It never ends: what is refused is the beginning.
        self.refused(line + b"".join(endless % i for i in range(100_000)), {431})
        self.refused(line + b"X" * 1_000_000, {431})
        self.alive()


class Smuggling(WireTest):
    """What two readers could understand differently is refused, and what follows is no request."""

    def behind(self, data):
        return data + f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def test_lengths(self):
        chunks = b"5\r\nhello\r\n0\r\n\r\n"
        for name, lines, body in [
                ("both", ["Content-Length: 5", "Transfer-Encoding: chunked"], chunks),
                ("both, the other way", ["Transfer-Encoding: chunked", "Content-Length: 5"], chunks),
                ("two lengths", ["Content-Length: 5", "Content-Length: 6"], b"hello!"),
                ("one length twice", ["Content-Length: 5", "Content-Length: 5"], b"hello"),
                ("a list", ["Content-Length: 5, 5"], b"hello"), ("two in one", ["Content-Length: 5 6"], b"hello"),
                ("plus", ["Content-Length: +5"], b"hello"), ("minus", ["Content-Length: -5"], b"hello"),
                ("hexadecimal", ["Content-Length: 0x5"], b"hello"), ("float", ["Content-Length: 5.0"], b"hello"),
                ("exponent", ["Content-Length: 1e1"], b"hello"), ("nothing", ["Content-Length: "], b"hello"),
                ("word", ["Content-Length: five"], b"hello"), ("quoted", ['Content-Length: "5"'], b"hello"),
                ("too many digits", ["Content-Length: 18446744073709551621"], b"hello"),
                ("chunked and more", ["Transfer-Encoding: chunked, identity"], chunks),
                ("identity", ["Transfer-Encoding: identity"], b"hello"),
                ("identity, chunked", ["Transfer-Encoding: identity, chunked"], chunks),
                ("gzip, chunked", ["Transfer-Encoding: gzip, chunked"], chunks),
                ("xchunked", ["Transfer-Encoding: xchunked"], chunks),
                ("chunked;x", ["Transfer-Encoding: chunked;x=y"], chunks),
                ("chunked twice in one", ["Transfer-Encoding: chunked, chunked"], chunks),
                ("chunked twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], chunks),
                ("a disguise", ["Transfer-Encoding: \x0bchunked"], chunks),
                ("another", ["Transfer-Encoding: chunk ed"], chunks),
                ("empty coding", ["Transfer-Encoding: "], chunks),
                ("coding and empty length", ["Content-Length:", "Transfer-Encoding: chunked"], chunks)]:
            for method in ("PUT", "GET"):
                with self.subTest(name, method=method):
                    self.refused(self.behind(self.request(method, self.path, *lines, body=body)), {400, 501})
        with self.subTest("chunks in HTTP/1.0"):
            data = f"PUT {self.path} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunks
            self.refused(self.behind(data), {400})
        self.alive()

    def test_chunks(self):
        for name, chunks in {
                "no number": b"zz\r\nhello\r\n0\r\n\r\n", "nothing": b"\r\nhello\r\n0\r\n\r\n",
                "plus": b"+5\r\nhello\r\n0\r\n\r\n", "minus": b"-5\r\nhello\r\n0\r\n\r\n",
                "0x": b"0x5\r\nhello\r\n0\r\n\r\n", "space before": b" 5\r\nhello\r\n0\r\n\r\n",
                "overflow": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
                "just below": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
                "overflow to 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
                "bare LF": b"5\nhello\r\n0\r\n\r\n", "longer than it says": b"5\r\nhello!\r\n0\r\n\r\n",
                "shorter": b"6\r\nhello\r\n0\r\n\r\n", "LF behind": b"5\r\nhello\n0\r\n\r\n",
                "extension flood": b"5;" + b"x=y;" * 20_000 + b"\r\nhello\r\n0\r\n\r\n",
                "size flood": b"0" * 100_000 + b"5\r\nhello\r\n0\r\n\r\n",
                "trailer flood": b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
                "trailer without a colon": b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
        }.items():
            with self.subTest(name):
                self.refused(self.behind(self.request("PUT", self.path, "Transfer-Encoding: chunked",
                                                      body=chunks)), {400, 413, 431})
        self.alive()

    def test_chunks_that_are_right(self):
        for chunks in (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"B;name=value\r\nhello world\r\n0\r\n\r\n",
                       b"00b\r\nhello world\r\n000\r\nX-Trailer: y\r\n\r\n",
                       b"".join(b"1\r\n%c\r\n" % letter for letter in b"hello world") + b"0\r\n\r\n"):
            with self.subTest(chunks=chunks):
                wire = self.wire()
                data = self.behind(self.request("PUT", self.path, "Transfer-Encoding: Chunked", body=chunks))
                for at in range(0, len(data), 7):
                    wire.send(data[at:at + 7])
                self.assert_success(wire.answer())
                self.assertEqual(wire.answer().body, b"hello world")

    def test_a_body_that_a_get_has_is_no_request(self):
        hidden = self.request("DELETE", self.path)
        wire = self.wire()
        wire.send(self.request("GET", self.path, f"Content-Length: {len(hidden)}", body=hidden)
                  + self.request("GET", self.path))
        # Refused or read past; the second is a request of its own, if the connection goes on.
        self.assertIn(wire.answer().status, {200, 400})
        second = wire.answer()
        self.assertIn(second and second.body, {None, b"value"})
        self.alive()


class Bodies(WireTest):
    def test_too_large(self):
        """Refused by the head alone: nothing of the body has been sent."""
        bulk = f"{self.api.namespaces}/{self.space}/bulk"
        for method, path, length in [("PUT", self.path, 10**12), ("PUT", self.path, 27 << 20),
                                     ("PUT", bulk, 101_000_000), ("POST", bulk + "/delete", 101_000_000),
                                     ("POST", self.api.namespaces, 101_000_000)]:
            with self.subTest(path=path, length=length):
                self.refused(self.request(method, path, f"Content-Length: {length}"), {413})
        self.alive()

    def test_too_large_in_chunks(self):
        wire = self.wire()
        wire.send(self.request("PUT", self.path, "Transfer-Encoding: chunked"))
        sender = threading.Thread(target=lambda: all(
            wire.send(b"100000\r\n" + bytes(1 << 20) + b"\r\n") for _ in range(64)), daemon=True)
        sender.start()
        self.assert_refused(wire.answer(), 413)
        self.assertTrue(wire.ended())
        sender.join(PATIENCE)
        self.assertFalse(sender.is_alive())
        self.alive()

    def test_expect_continue(self):
        wire = self.wire()
        wire.send(self.request("PUT", self.path, "Content-Length: 5", "Expect: 100-continue"))
        self.assertEqual(wire.head()[0], 100)
        wire.send(b"hello")
        self.assert_success(wire.answer())
        # What is refused anyway is not sent at all.
        self.assert_refused(self.refused(self.request("PUT", self.path, "Content-Length: 900000000",
                                                      "Expect: 100-continue"), {413}), 413)
        self.refused(self.request("PUT", self.path, "Content-Length: 5", "Expect: something"), {417})

    def test_what_is_no_json(self):
        deep = b"[" * 100_000
        bulk = f"{self.api.namespaces}/{self.space}/bulk"
        bodies = [b"", b"{", b"[", b"null", b"1", b'"text"', b"[1,", b"{]", b"[}", b"nul", b"[1] x", b"[],[]",
                  b"{'key':1}", b'{"title":"a",}', b'["a",]', b"\xff\xfe", b'["\xff"]', b'["\\ud800"]',
                  b'["\\x"]', b'["a\nb"]', b"\x00", b"[01]", b"[NaN]", deep, b'{"a":' * 50_000,
                  b'[{"key":"a","value":1}]', b'[{"key":1,"value":"a"}]', b'[{"key":"a"}]', b'[{"value":"a"}]',
                  b'[{"key":"","value":"a"}]', b'[{"key":"a","value":"%","base64":true}]',
                  b'[{"key":"a","value":"a","base64":"yes"}]', b'[{"key":"a","value":"a","expiration":"x"}]',
                  b'[{"key":"a","value":"a","metadata":{"a":}}]', b'{"title":""}', b'{"title":1}', b'{"name":"x"}']
        connection = self.api.connection()
        self.addCleanup(connection.close)
        for method, path in [("PUT", bulk), ("POST", bulk + "/delete"), ("DELETE", bulk),
                             ("POST", bulk + "/get"), ("POST", self.api.namespaces),
                             ("PUT", f"{self.api.namespaces}/{self.space}")]:
            for body in bodies:
                with self.subTest(method=method, path=path, body=body[:40]):
                    answer = self.api.ask(method, path, body, connection=connection,
                                          headers={"Content-Type": "application/json"})
                    # A namespace's body may be too large before it is wrong.
                    self.assert_refused(answer, 413 if len(body) > 50_000 and answer.status == 413 else 400)
                    self.assert_tells_nothing(answer)
        self.assertEqual([key["name"] for key in self.api.result("GET", f"/{self.space}/keys")], ["key"])
        self.alive()


class Paths(WireTest):
    def test_tricks(self):
        here = f"{self.api.namespaces}/{self.space}"
        values = f"{here}/values"
        for path in ["/", "//", "/..", "/../../../etc/passwd", "/client/v4/../../etc/passwd", "/client/v4/..",
                     "/%2e%2e/%2e%2e/etc/passwd", "/client/v4/%2e%2e/metrics", "/client//v4", "/./metrics",
                     f"{values}/../keys", f"{values}/key/../../keys", f"{values}/%2e%2e", f"{values}/..",
                     f"{values}/.", f"{values}/%2E", f"{values}//key", f"/{values}/key", f"{values}/key/",
                     f"{values}/a/b", f"{values}/", values, f"{values}/%", f"{values}/%2", f"{values}/%zz",
                     f"{values}/%u0041", f"{values}/%00", f"{values}/%ff", f"{values}/%C0%AF",
                     f"{values}/%ED%A0%80", f"{values}/%F4%90%80%80", f"{values}/\u00ff", f"{values}/{'a' * 513}",
                     f"{here}/keys/", f"{here}/keys/x", f"{here}/bulk/", f"{here}/bulk/other", f"{here}/../x",
                     f"{self.api.namespaces}/", f"{self.api.namespaces}/%2e%2e/{self.space}/keys",
                     f"{self.api.namespaces}/{self.space}%00/keys", f"{self.api.namespaces}/{'0' * 32}/keys",
                     f"{self.api.namespaces}/x/keys", f"{self.api.namespaces}/{'z' * 5000}/keys",
                     "/client/v4/accounts//storage/kv/namespaces", "/client/v4/accounts/x/storage/kv",
                     "/client/v3" + self.path[10:], self.path.upper(), "/client/v4;x=y/accounts",
                     self.path + ";x", f"{here}/keys?limit=1%", f"{here}/keys?prefix=%zz",
                     f"{here}/keys?prefix=%ff"]:
            with self.subTest(path=path):
                wire = self.wire()
                wire.send(self.request("GET", path).decode().encode("latin-1"))
                answer = wire.answer()
                self.assertTrue(400 <= answer.status < 500, answer)
                self.assert_refused(answer, answer.status)
                self.assert_tells_nothing(answer)
                wire.close()
        self.alive()

    def test_the_name_of_a_key_leads_nowhere_else(self):
        """Keys that look like paths are keys, and stay what they are."""
        for key in ("../keys", "a/../b", "..%2fkeys", "%00", "?limit=10", "a#b", "//", "/", "/etc/passwd",
                    "..\\..\\x", "a+b", "a b", "...", "~", "'", "%"):
            with self.subTest(key=key):
                self.api.put(self.space, key, key.encode())
                self.assertEqual(self.api.get(self.space, key), key.encode())
        listed = {item["name"] for item in self.api.result("GET", f"/{self.space}/keys")}
        self.assertIn("../keys", listed)
        self.assertIn("..%2fkeys", listed)


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
        whole = self.request("PUT", self.path, "Content-Length: 100", body=b"x" * 100)
        for length in (1, 20, len(whole) - 100, len(whole) - 1):
            wire = self.wire()
            wire.send(whole[:length])
            wire.close()
        self.alive()  # and no half of a value was kept

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


class Memory(ServeTest):
    """However many clients, what the server holds for them stays within its budget."""

    CLIENTS, SIZE, BUDGET = 50, 20 << 20, 64 << 20
    BOUND = 400 << 20  # the budget, the program, and room for what an allocator keeps; not 50 × 20 MiB

    def setUp(self):
        super().setUp()
        # From a file: values in memory would be counted, too, and are shared by all who read them.
        self.api = self.serve("--body-memory", str(self.BUDGET), store=self.store)
        self.space = self.api.create("test")
        self.path = f"{self.api.namespaces}/{self.space}/values"

    def clients(self, head, body=b""):
        wires = []
        for i in range(self.CLIENTS):
            wire = Wire(self.api)
            self.addCleanup(wire.close)
            wire.send("\r\n".join([head.format(i=i), "Host: localhost", "", ""]).encode() + body)
            wires.append(wire)
        return wires

    def peak(self):
        with open(f"/proc/{self.api.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    def test_clients_that_ask_and_do_not_read(self):
        self.api.put(self.space, "large", os.urandom(self.SIZE))
        wires = self.clients(f"GET {self.path}/large HTTP/1.1")
        for _ in range(20):
            self.assertIsNone(self.api.get(self.space, "none"))
        # One after the other reads now; each has the value, or was told to come back.
        statuses = [wire.answer().status for wire in wires]
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertIn(200, statuses)
        self.assertLess(self.peak(), self.BOUND)

    def test_clients_that_ask_for_many_values_and_do_not_read(self):
        self.api.put(self.space, "large", bytes(range(32, 127)) * (self.SIZE // 95))
        body = b'{"keys":["large"]}'
        wires = self.clients(f"POST {self.api.namespaces}/{self.space}/bulk/get HTTP/1.1\r\n"
                             f"Content-Length: {len(body)}", body)
        self.assertIsNone(self.api.get(self.space, "none"))
        statuses = [wire.answer().status for wire in wires]
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertIn(200, statuses)
        self.assertLess(self.peak(), self.BOUND)

    def test_bodies_that_nobody_wants(self):
        """They need no token, and no room is kept for them."""
        before = self.peak()
        for _ in range(10):
            self.clients("PUT /nothing HTTP/1.1\r\nContent-Length: 65536", body=bytes(65_000))
        self.assertIsNone(self.api.get(self.space, "none"))
        self.assertLess(self.peak() - before, 10 * self.CLIENTS * 32 << 10)

    def test_clients_that_send_large_bodies_and_do_not_end(self):
        wires = self.clients(f"PUT {self.path}/{{i}} HTTP/1.1\r\nContent-Length: {self.SIZE}",
                             body=bytes(1 << 20))
        for _ in range(20):
            self.assertIsNone(self.api.get(self.space, "none"))
        for wire in wires:
            wire.close()
        self.api.put(self.space, "large", bytes(self.SIZE))  # the budget was given back
        self.assertLess(self.peak(), self.BOUND)


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


class Watching(WireTest):
    def test_health(self):
        for path in ("/healthz", "/readyz"):
            answer = self.api.ask("GET", path)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(self.api.ask("HEAD", path).status, 200)

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
