"""`sluice serve --cloudflare`: who may do what, and how often."""

import hashlib
import unittest

from harness import FAILED, NOT_FOUND, ODD_ENTRIES, UNAUTHORIZED, USAGE
from sluice_server import ServeTest


class Credentials(ServeTest):
    OTHER = "f" * 32

    def setUp(self):
        super().setUp()
        text = ""
        for name, access, more in [("admin", "write", ""), ("reader", "read", ""),
                                   ("elsewhere", "write", f'accounts = ["{self.OTHER}"]'),
                                   ("narrow", "write", 'namespaces = ["mine"]'),
                                   ("narrow reader", "read", 'namespaces = ["mine"]')]:
            digest = hashlib.sha256(f"token-of-{name}".encode()).hexdigest()
            text += f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\naccess = "{access}"\n{more}\n'
        self.tokens = self.file("tokens.toml", text)
        self.tokens.chmod(0o600)
        self.api = self.serve("--token-file", self.tokens)
        self.api.token = "token-of-admin"
        self.mine, self.theirs = self.api.create("mine"), self.api.create("theirs")
        for space in (self.mine, self.theirs):
            self.api.put(space, "key", b"value")

    def as_(self, name, method, path, body=None):
        return self.api.kv(method, path, body, token=f"token-of-{name}")

    def calls(self, space):
        """(method, path, body, changes something) of every call on a namespace."""
        return [("GET", f"/{space}/keys", None, False), ("GET", f"/{space}/values/key", None, False),
                ("GET", f"/{space}/metadata/key", None, False), ("GET", f"/{space}", None, False),
                ("GET", f"/{space}/keys/split?parts=2", None, False),
                ("POST", f"/{space}/bulk/get", {"keys": ["key"]}, False),
                ("PUT", f"/{space}/values/key", b"value", True), ("DELETE", f"/{space}/values/no", None, True),
                ("PUT", f"/{space}/bulk", [{"key": "key", "value": "value"}], True),
                ("POST", f"/{space}/bulk/delete", ["no"], True), ("DELETE", f"/{space}/bulk", ["no"], True)]

    def test_no_and_wrong_credentials(self):
        for name, headers in {
                "none": {"Authorization": ""}, "wrong": {"Authorization": "Bearer wrong"},
                "no scheme": {"Authorization": "token-of-admin"}, "basic": {"Authorization": "Basic YTpi"},
                "empty": {"Authorization": "Bearer "}, "more": {"Authorization": "Bearer token-of-admin x"},
                "less": {"Authorization": "Bearer token-of-admi"},
                "the digest": {"Authorization": "Bearer "
                               + hashlib.sha256(b"token-of-admin").hexdigest()},
                "key": {"Authorization": "", "X-Auth-Email": "a@b.example", "X-Auth-Key": "x"}}.items():
            for method, path, body, _ in self.calls(self.mine) + [("GET", "", None, False),
                                                                  ("POST", "", {"title": "x"}, True)]:
                with self.subTest(name, method=method, path=path):
                    answer = self.api.kv(method, path, body, headers=headers)
                    self.assertIn(answer.status, (400, 401, 403), answer)
                    self.assert_refused(answer, answer.status)
                    self.assertIn(answer.codes[0], (6003, 9103, 9106, 9109, 10000, 10001), answer)
                    self.assertNotIn("admin", answer.body.decode())
        self.assertNotIn("token of", self.api.complaint)

    def test_a_large_body_without_credentials_is_not_read(self):
        answer = self.api.kv("PUT", f"/{self.mine}/values/key", bytes(20 << 20), token="wrong")
        self.assertIn(answer.status, (400, 401, 403), answer)

    def test_reading_and_writing(self):
        for name, space, may_read, may_write in [
                ("admin", self.theirs, True, True), ("reader", self.theirs, True, False),
                ("elsewhere", self.theirs, False, False), ("narrow", self.mine, True, True),
                ("narrow", self.theirs, False, False), ("narrow reader", self.mine, True, False)]:
            for method, path, body, changes in self.calls(space):
                with self.subTest(name, method=method, path=path):
                    answer = self.as_(name, method, path, body)
                    if may_write if changes else may_read:
                        self.assertEqual(answer.status, 200, answer)
                    else:
                        self.assert_refused(answer, 403, 10000)
        self.assertEqual(self.api.get(self.theirs, "key"), b"value")

    def test_namespaces_of_a_narrow_token(self):
        listed = self.assert_success(self.as_("narrow", "GET", "?per_page=1000"))
        self.assertEqual([item["title"] for item in listed["result"]], ["mine"])
        for method, path, body in [("POST", "", {"title": "new"}), ("PUT", f"/{self.theirs}", {"title": "x"}),
                                   ("DELETE", f"/{self.theirs}", None)]:
            self.assert_refused(self.as_("narrow", method, path, body), 403, 10000)
        # What there is not, and what there is but not for this token, look the same.
        there, nowhere = (self.as_("narrow", "GET", f"/{space}/keys") for space in (self.theirs, "0" * 32))
        self.assertEqual((there.status, there.codes), (nowhere.status, nowhere.codes))

    def test_other_accounts(self):
        path = self.api.base + f"/accounts/{self.OTHER}/storage/kv/namespaces"
        answer = self.api.ask("GET", path, token="token-of-elsewhere")
        self.assert_success(answer)

    def test_token_files_that_are_refused(self):
        good = self.tokens.read_text()
        serve = ("serve", "--cloudflare", "--store", "memory:", "--listen", "127.0.0.1:0")
        for name, text, mode, mentions in [
                ("readable", good, 0o644, ("bad.toml", "chmod 600")),
                ("writable", good, 0o620, ("bad.toml", "chmod 600")), ("empty", "", 0o600, ("bad.toml",)),
                ("no TOML", "[[token", 0o600, ("bad.toml:1:",)),
                ("unknown key", good.replace("access =", "acces =", 1), 0o600, ("acces", '"access"')),
                ("no digest", '[[token]]\nname = "x"\naccess = "read"\nsha256 = "abc"\n', 0o600, ("sha256",)),
                ("no access", '[[token]]\nname = "x"\nsha256 = "' + "a" * 64 + '"\n', 0o600, ("access",)),
                ("access", good.replace('"read"', '"admin"'), 0o600, ('"access"', '"write"'))]:
            with self.subTest(name):
                path = self.file("bad.toml", text)
                path.chmod(mode)
                result = self.run_sluice(*serve, "--token-file", path)
                self.assertIn(result.code, (FAILED, USAGE, UNAUTHORIZED), result)
                for word in mentions:
                    self.assertIn(word, result.complaint)
        self.refused(*serve, "--token-file", self.folder / "none.toml", code=NOT_FOUND, mentions="none.toml")

    def test_other_machines_need_a_token(self):
        self.refused("serve", "--cloudflare", "--store", "memory:", "--listen", "0.0.0.0:0",
                     mentions="--token-file")

    def test_sluice_itself(self):
        environment = {**self.api.environment(), "CLOUDFLARE_API_TOKEN": "token-of-narrow"}
        flags = ("--store", "cloudflare:", "--namespace", "mine")
        self.sluice("kv", "put", "new", "x", *flags, "--yes", env=environment)
        self.assertEqual(self.sluice("kv", "get", "new", *flags, env=environment).out, b"x")
        environment["CLOUDFLARE_API_TOKEN"] = "wrong"
        self.refused("kv", "get", "new", *flags, env=environment, code=5)


class TokensInTheConfig(ServeTest):
    def test_they_count_as_those_of_a_file_do(self):
        digest = hashlib.sha256(b"s3same").hexdigest()
        config = self.file("config.toml", "[[serve.tokens]]\nname = \"ci\"\naccess = \"read\"\n"
                                          f"sha256 = \"{digest}\"\n")
        config.chmod(0o600)
        api = self.serve("--config", config)
        self.assert_refused(api.kv("GET", "", token="other"), 403)
        self.assert_success(api.kv("GET", "", token="s3same"))
        self.assert_refused(api.kv("POST", "", b'{"title":"x"}', token="s3same"), 403, 10000)
        bad = self.file("bad.toml", "[[serve.tokens]]\nname = \"ci\"\n")
        bad.chmod(0o600)
        self.refused("serve", "--cloudflare", "--store", "memory:", "--config", bad, mentions="sha256")


class WithoutTokens(ServeTest):
    def test_a_name_that_only_leads_here_is_refused(self):
        """As a web page has, whose own name leads to the loopback by now."""
        api = self.serve()
        listing = f"/client/v4/accounts/{api.account}/storage/kv/namespaces"
        for host in ("evil.test", "evil.test:8787", "localhost.evil.test", "127.0.0.1.evil.test"):
            self.assert_refused(api.ask("GET", listing, headers={"Host": host}), 403)
        for host in ("localhost", f"localhost:{api.port}", "kv.localhost", "127.0.0.1", "[::1]:8787", "10.0.0.1"):
            self.assert_success(api.ask("GET", listing, headers={"Host": host}))

    def test_it_does_not_serve_itself(self):
        api = self.serve()
        self.refused("serve", "--cloudflare", "--store", "cloudflare:", "--listen", f"127.0.0.1:{api.port}",
                     env=api.environment(), mentions="itself")


class RateLimit(ServeTest):
    def test_headers_and_refusal(self):
        api = self.serve("--rate-limit", "5/1m")
        left = []
        for i in range(8):
            answer = api.kv("GET", "")
            self.assertEqual(answer.headers["ratelimit-policy"], '"default";q=5;w=60')
            self.assertRegex(answer.headers["ratelimit"], r'^"default";r=\d+;t=\d+$')
            left.append(int(answer.headers["ratelimit"].split(";")[1][2:]))
            if i < 5:
                self.assert_success(answer)
                self.assertNotIn("retry-after", answer.headers)
            else:
                self.assert_refused(answer, 429, 971)
                self.assertTrue(0 < int(answer.headers["retry-after"]) <= 60, answer)
        self.assertEqual(left, [4, 3, 2, 1, 0, 0, 0, 0])
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(api.ask("GET", path).status, 200)

    def test_off_unless_asked_for(self):
        api = self.serve()
        for _ in range(50):
            self.assertNotIn("ratelimit", api.kv("GET", "").headers)

    def test_sluice_stays_within_it(self):
        api = self.serve("--rate-limit", "20/2s")
        self.sluice("kv", "import", "--store", "cloudflare:", "--namespace", "test", "--create-namespace", "--yes",
                    "-", stdin="".join(entry.line() for entry in ODD_ENTRIES), env=api.environment())
        out = self.sluice("kv", "export", "--store", "cloudflare:", "--namespace", "test", "--exact",
                          "--format", "ndjson", env=api.environment())
        self.assertEqual(len(out.lines()), len(ODD_ENTRIES))


if __name__ == "__main__":
    unittest.main()
