"""`sluice serve --cloudflare` for the end-to-end tests: a real process on a free port of the loopback."""

import collections
import contextlib
import http.client
import json
import re
import signal
import subprocess
import threading
import urllib.parse

from harness import PATIENCE, SLUICE, SluiceTest
from redis_server import end_with_parent


class Answer:
    """What the server said. Header names are in lower case; a name that came twice is an error, but
    for those that may."""

    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {}
        for name, value in headers:
            if name.lower() in self.headers:
                raise AssertionError(f"the header {name} comes twice: {headers}")
            self.headers[name.lower()] = value

    def json(self):
        return json.loads(self.body)

    @property
    def codes(self):
        """The codes of a refusal."""
        return [error["code"] for error in self.json()["errors"]]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:1000]!r}"


class SluiceServer:
    """A server that has begun to listen. Without a token file it takes any credentials."""

    account = "0123456789abcdef0123456789abcdef"
    token = "test-token"

    def __init__(self, arguments, environment, cwd):
        self.process = subprocess.Popen(
            [SLUICE, "serve", "--cloudflare", "--listen", "127.0.0.1:0", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            cwd=cwd, preexec_fn=end_with_parent)
        first = self.process.stderr.readline().decode(errors="replace")
        found = re.search(r"listening on (https?)://(127\.0\.0\.1):(\d+)", first)
        # Only the last lines: an access log may be long.
        self.said = collections.deque([first], maxlen=2000)
        self.printed = collections.deque(maxlen=20000)
        self.readers = [
            threading.Thread(target=self._drain, args=args, daemon=True)
            for args in ((self.process.stderr, self.said), (self.process.stdout, self.printed))]
        for reader in self.readers:
            reader.start()
        if not found:
            self.kill()
            raise AssertionError(f"sluice serve did not start: {self.complaint}")
        self.scheme, self.host, self.port = found[1], found[2], int(found[3])
        self.url = f"{self.scheme}://{self.host}:{self.port}"
        self.base = "/client/v4"
        self.namespaces = f"{self.base}/accounts/{self.account}/storage/kv/namespaces"

    @staticmethod
    def _drain(pipe, lines):
        for line in pipe:
            lines.append(line.decode(errors="replace"))

    @property
    def complaint(self):
        return "".join(self.said)

    def environment(self):
        """What makes a client of Cloudflare's API a client of this server."""
        return {"CLOUDFLARE_API_BASE_URL": self.url + self.base, "CLOUDFLARE_API_TOKEN": self.token,
                "CLOUDFLARE_ACCOUNT_ID": self.account}

    # --- requests

    def connection(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def ask(self, method, path, body=None, headers=None, connection=None, token=None):
        """One request, by default on a connection of its own. A body that is no bytes is sent as JSON."""
        headers = dict(headers or {})
        headers.setdefault("Authorization", f"Bearer {token or self.token}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        mine = connection or self.connection()
        try:
            # A server that refuses a body closes before it has read all of it; its answer is there.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                mine.request(method, path, body, headers)
            answer = mine.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            if connection is None:
                mine.close()

    def kv(self, method, path, body=None, **more):
        """A request below …/storage/kv/namespaces."""
        return self.ask(method, self.namespaces + path, body, **more)

    def result(self, method, path, body=None, **more):
        """The result of a request that must succeed."""
        answer = self.kv(method, path, body, **more)
        if answer.status != 200 or answer.json()["success"] is not True:
            raise AssertionError(f"{method} {path}: {answer}")
        return answer.json()["result"]

    def create(self, title):
        return self.result("POST", "", {"title": title})["id"]

    @staticmethod
    def value_path(namespace, key):
        key = key.encode() if isinstance(key, str) else key
        return f"/{namespace}/values/{urllib.parse.quote(key, safe='')}"

    def put(self, namespace, key, value, query=""):
        self.result("PUT", self.value_path(namespace, key) + query, value)

    def get(self, namespace, key):
        """The value, or None if there is no such key."""
        answer = self.kv("GET", self.value_path(namespace, key))
        if answer.status == 404 and answer.codes == [10009]:
            return None
        if answer.status != 200:
            raise AssertionError(f"get of {key!r}: {answer}")
        return answer.body

    # --- its end

    def send(self, signal_number):
        self.process.send_signal(signal_number)

    def wait(self):
        """The exit code, after the end."""
        code = self.process.wait(timeout=PATIENCE)
        for reader in self.readers:
            reader.join(timeout=PATIENCE)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def close(self):
        """Stops it as an operator does, and requires that this went well."""
        running = self.process.poll() is None
        if running:
            self.send(signal.SIGTERM)
        try:
            code = self.wait()
        finally:
            self.kill()
        if running and code != 0:
            raise AssertionError(f"the server ended with {code}: {self.complaint}")
        if code < 0:
            raise AssertionError(f"the server was killed by signal {-code}: {self.complaint}")


class ServeTest(SluiceTest):
    """A test with servers, which have to end well."""

    def serve(self, *flags, store="memory:", env=None):
        server = SluiceServer(["--store", store, *flags], self.environment(env), self.folder)
        self.addCleanup(server.close)
        return server

    def assert_refused(self, answer, status, code=None, mentions=()):
        """A refusal in Cloudflare's envelope: the status, one error at least with a code and a
        sentence, and no result. `code`: the first error's; none: any."""
        self.assertEqual(answer.status, status, answer)
        self.assertIn("application/json", answer.headers.get("content-type", ""), answer)
        document = answer.json()
        self.assertIs(document["success"], False, answer)
        self.assertIsNone(document["result"], answer)
        self.assertEqual(document["messages"], [], answer)
        self.assertTrue(document["errors"], answer)
        for error in document["errors"]:
            self.assertIsInstance(error["code"], int, answer)
            self.assertIsInstance(error["message"], str, answer)
            self.assertTrue(error["message"], answer)
        if code is not None:
            self.assertEqual(answer.codes[0], code, answer)
        for word in ([mentions] if isinstance(mentions, str) else mentions):
            self.assertIn(word.lower(), document["errors"][0]["message"].lower(), answer)

    def assert_success(self, answer, status=200):
        """An answer in Cloudflare's envelope. Gives the whole document."""
        self.assertEqual(answer.status, status, answer)
        self.assertIn("application/json", answer.headers.get("content-type", ""), answer)
        document = answer.json()
        self.assertIs(document["success"], True, answer)
        self.assertEqual(document["errors"], [], answer)
        self.assertEqual(document["messages"], [], answer)
        self.assertIn("result", document, answer)
        return document
