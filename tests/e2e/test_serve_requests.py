"""`sluice serve` against requests that no client library would send."""

import threading
import unittest

from harness import PATIENCE
from wire import WireTest


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


if __name__ == "__main__":
    unittest.main()
