"""What the end-to-end tests share: a home of their own, the programs, and readers of what they write."""

import base64
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
DATA = TESTS / "data"
SLUICE = os.environ.get("SLUICE_BIN", str(ROOT / "build/release/bin/sluice"))
FAKE = os.environ.get("SLUICE_FAKE", str(ROOT / "build/release/tests/cloudflare/cloudflare-fake"))

DONE, FAILED, USAGE, SOME_FAILED, NOT_FOUND, UNAUTHORIZED, THROTTLED, INTERRUPTED = (
    0, 1, 2, 3, 4, 5, 6, 130)

# A hang must end the test, not the test run; far above what any of these runs needs.
PATIENCE = 240

ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78]")


UNKNOWN_HOST = "no-such-host.invalid"  # RFC 6761: there is none


def code_of_unknown_host():
    """How a run with UNKNOWN_HOST ends: at once where the resolver says that there is no such name,
    at the deadline where it cannot answer now (no network), since it may later."""
    try:
        socket.getaddrinfo(UNKNOWN_HOST, None)
    except socket.gaierror as error:
        return THROTTLED if error.errno == socket.EAI_AGAIN else FAILED
    raise AssertionError(f"this machine's resolver invents an address for {UNKNOWN_HOST}")


class Result:
    """How a run ended: its exit code and both streams, as bytes."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def complaint(self):
        return self.err.decode(errors="replace")

    def lines(self):
        return self.text.splitlines()

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return (f"sluice {' '.join(map(str, self.arguments))}\nexit {self.code}\n"
                f"stdout: {self.out[-2000:]!r}\nstderr:\n{self.complaint[-4000:]}")


class Entry:
    """An entry as bytes, so that a comparison sees everything that could get lost."""

    def __init__(self, key, value=None, metadata="", expiration=0):
        self.key = key.encode() if isinstance(key, str) else key
        self.value = value.encode() if isinstance(value, str) else value
        self.metadata, self.expiration = metadata, expiration

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return f"Entry({self.key!r}, {self.value!r}, {self.metadata!r}, {self.expiration})"

    def line(self):
        """As a line of NDJSON."""
        out = '{"key":' + json.dumps(self.key.decode(), ensure_ascii=False)
        try:
            out += ',"value":' + json.dumps(self.value.decode(), ensure_ascii=False)
        except UnicodeDecodeError:
            out += f',"value":"{base64.b64encode(self.value).decode()}","base64":true'
        if self.metadata:
            out += ',"metadata":' + self.metadata
        if self.expiration:
            out += f',"expiration":{self.expiration}'
        return out + "}\n"


def fields(text):
    """The fields of a JSON object: name → (value, its text). The text tells whether metadata was
    kept byte for byte, which a parsed value cannot."""
    decoder, at, result = json.JSONDecoder(), text.index("{") + 1, {}
    skip = re.compile(r"[\s,:]*")
    while True:
        at = skip.match(text, at).end()
        if text[at] == "}":
            return result
        name, at = decoder.raw_decode(text, at)
        at = skip.match(text, at).end()
        value, end = decoder.raw_decode(text, at)
        if name in result:
            raise AssertionError(f"the field {name} is there twice: {text}")
        result[name] = (value, text[at:end])
        at = end


def parse_entry(line):
    found = fields(line)
    key = found["key"][0]
    key = base64.b64decode(key) if "key_base64" in found else key.encode()
    value = found["value"][0] if "value" in found else None
    if value is not None:
        value = base64.b64decode(value) if "base64" in found else value.encode()
    unknown = set(found) - {"key", "key_base64", "value", "base64", "metadata", "expiration"}
    if unknown:
        raise AssertionError(f"fields that the contract does not know: {unknown} in {line}")
    return Entry(key, value, found["metadata"][1] if "metadata" in found else "",
                 found["expiration"][0] if "expiration" in found else 0)


def parse_ndjson(out):
    """Entries by key. A key that comes twice is an error."""
    entries = {}
    for line in out.decode().split("\n"):
        if not line:
            continue
        entry = parse_entry(line)
        if entry.key in entries:
            raise AssertionError(f"the key {entry.key!r} comes twice")
        entries[entry.key] = entry
    return entries


def by_key(entries):
    return {entry.key: entry for entry in entries}


class FakeServer:
    """The Cloudflare-shaped server, on a free port."""

    account = "0123456789abcdef0123456789abcdef"
    token = "test-token"

    def __init__(self, *flags):
        self.process = subprocess.Popen([FAKE, *map(str, flags)], stdout=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening "):
            self.close()
            raise AssertionError(f"{FAKE} did not start: {line!r}")
        self.url = line.split()[1]

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def environment(self):
        return {"CLOUDFLARE_API_BASE_URL": self.url + "/client/v4",
                "CLOUDFLARE_API_TOKEN": self.token, "CLOUDFLARE_ACCOUNT_ID": self.account}

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, data=body, method=method,
                                         headers={"Authorization": "Bearer " + self.token})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def api(self, method, path, body=None):
        body = None if body is None else json.dumps(body).encode()
        return json.loads(self.ask(
            method, f"/client/v4/accounts/{self.account}/storage/kv/namespaces{path}", body))["result"]

    def stats(self):
        return json.loads(self.ask("GET", "/__control/stats"))

    def reset(self):
        self.ask("POST", "/__control/reset", b"")

    def count_applied(self):
        """Begins to count how often each key is written and deleted by calls that are applied."""
        self.ask("POST", "/__control/applied", b"")

    def applied(self):
        """{"put": {"keys", "again", "most"}, "erased": …} since `count_applied`."""
        return json.loads(self.ask("GET", "/__control/applied"))

    def faults(self, **plan):
        self.ask("POST", "/__control/faults", json.dumps(plan).encode())

    def create(self, title):
        return self.api("POST", "", {"title": title})["id"]

    def namespace_id(self, title):
        page = 1
        while listed := self.api("GET", f"?per_page=1000&page={page}"):
            for namespace in listed:
                if namespace["title"] == title:
                    return namespace["id"]
            page += 1
        return None

    def fill(self, title, entries):
        """Writes entries (Entry) into a namespace, which is made if need be; forgets the counts."""
        where = self.namespace_id(title) or self.create(title)
        pairs = []
        for entry in entries:
            pair = {"key": entry.key.decode(), "value": base64.b64encode(entry.value).decode(),
                    "base64": True}
            if entry.metadata:
                pair["metadata"] = json.loads(entry.metadata)
            if entry.expiration:
                pair["expiration"] = entry.expiration
            pairs.append(pair)
        for at in range(0, len(pairs), 10000):
            self.api("PUT", f"/{where}/bulk", pairs[at:at + 10000])
        self.reset()
        return where

    def entries(self, title):
        """What the server holds, by key, from its own memory and not through the API."""
        out = {}
        query = urllib.parse.urlencode({"title": title})
        for line in self.ask("GET", f"/__control/entries?{query}").decode().split("\n"):
            if line:
                item = json.loads(line)
                entry = Entry(item["key"], bytes.fromhex(item["value_hex"]),
                              item.get("metadata_text", ""), item.get("expiration", 0))
                out[entry.key] = entry
        return out


class Running:
    """A run that has not ended."""

    def __init__(self, arguments, process):
        self.arguments, self.process = arguments, process

    def send(self, signal_number):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal_number)

    def end(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return Result(self.arguments, self.process.returncode, out, err)


class SluiceTest(unittest.TestCase):
    """A test with a home of its own: no setting, store, journal or cache of the user is touched."""

    maxDiff = 2000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.home = self.folder / "home"
        self.runtime = self.folder / "run"
        self.home.mkdir()
        self.runtime.mkdir(mode=0o700)
        self.db = self.folder / "test.db"
        self.store = f"sqlite:{self.db}"

    def environment(self, more=None):
        environment = {
            "HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm",
            "XDG_CONFIG_HOME": str(self.home / "config"), "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_STATE_HOME": str(self.home / "state"), "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.folder)}
        environment.update({name: str(value) for name, value in (more or {}).items()})
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        return environment

    def run_sluice(self, *arguments, stdin=b"", env=None, stdout=subprocess.PIPE):
        """Runs to the end, with no terminal anywhere."""
        stdin = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run([SLUICE, *map(str, arguments)], input=stdin, stdout=stdout,
                              stderr=subprocess.PIPE, env=self.environment(env), cwd=self.folder,
                              timeout=PATIENCE, check=False)
        result = Result(arguments, done.returncode, done.stdout or b"", done.stderr)
        # A crash is never a right answer, whatever a test expects.
        self.assertGreaterEqual(result.code, 0, f"killed by signal {-result.code}\n{result}")
        self.assertNotIn(b"terminate called", result.err, str(result))
        return result

    def sluice(self, *arguments, code=DONE, **more):
        """Runs and requires this exit code."""
        result = self.run_sluice(*arguments, **more)
        self.assertEqual(result.code, code, str(result))
        return result

    def refused(self, *arguments, code=USAGE, mentions=(), **more):
        """Runs and requires a refusal: the code, nothing on stdout, a sentence that names what it is
        about, and no noise."""
        result = self.sluice(*arguments, code=code, **more)
        self.assertEqual(result.out, b"", str(result))
        text = result.complaint.strip()
        self.assertTrue(text, f"no message\n{result}")
        self.assertLessEqual(len(text.splitlines()), 4, f"not one clear sentence\n{result}")
        for word in ([mentions] if isinstance(mentions, str) else mentions):
            self.assertIn(word.lower(), text.lower(), str(result))
        return result

    def start(self, *arguments, env=None, stdin=subprocess.DEVNULL):
        process = subprocess.Popen([SLUICE, *map(str, arguments)], stdin=stdin,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(env), cwd=self.folder)

        def clean():
            if process.poll() is None:
                process.kill()
                process.communicate()
        self.addCleanup(clean)
        return Running(arguments, process)

    def on_terminal(self, *arguments, answers=(), env=None, whole=False):
        """Runs with stdin and stderr (stdout too, if `whole`) on a pseudo-terminal. `answers` are pairs
        (bytes to wait for, bytes to type or a signal to send). Returns a Result whose err is what the
        terminal showed."""
        controller, terminal = pty.openpty()
        process = subprocess.Popen(
            [SLUICE, *map(str, arguments)], stdin=terminal, stderr=terminal,
            stdout=terminal if whole else subprocess.PIPE, env=self.environment(env),
            cwd=self.folder, start_new_session=True)
        os.close(terminal)
        shown, out, from_here = b"", b"", 0
        pending = list(answers)
        deadline = time.monotonic() + PATIENCE
        readable = [controller] + ([] if whole else [process.stdout.fileno()])
        try:
            while readable:
                if time.monotonic() > deadline:
                    process.kill()
                    self.fail(f"the terminal waited in vain; it shows {shown[-2000:]!r}")
                for descriptor in select.select(readable, [], [], 1)[0]:
                    try:
                        piece = os.read(descriptor, 65536)
                    except OSError:
                        piece = b""  # the last one closed the terminal
                    if not piece:
                        readable.remove(descriptor)
                    elif descriptor == controller:
                        shown += piece
                        if pending and pending[0][0] in ESCAPE.sub(b"", shown[from_here:]):
                            answer = pending.pop(0)[1]
                            if isinstance(answer, signal.Signals):
                                process.send_signal(answer)
                            else:
                                os.write(controller, answer)
                            from_here = len(shown)
                    else:
                        out += piece
            process.wait(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(controller)
            if process.stdout:
                process.stdout.close()
        return Result(arguments, process.returncode, out, shown)

    def server(self, *flags):
        server = FakeServer(*flags)
        self.addCleanup(server.close)
        return server

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, entries, namespace="test", store=None, env=None):
        """Fills a store, which is made if need be, through `kv import`."""
        lines = "".join(entry.line() for entry in entries)
        return self.sluice("kv", "import", "--store", store or self.store, "--namespace", namespace,
                           "--create-namespace", "--yes", "-", stdin=lines, env=env)

    def content(self, namespace="test", store=None, env=None):
        """Everything in a store, by key, through `kv export`."""
        return parse_ndjson(self.sluice("kv", "export", "--store", store or self.store,
                                        "--namespace", namespace, "--format", "ndjson",
                                        env=env).out)

    def keys(self, *arguments, namespace="test", store=None, env=None):
        """The keys that `kv list` with these flags gives, in its order."""
        return self.sluice("kv", "list", "--store", store or self.store, "--namespace", namespace,
                           "--format", "keys", *arguments, env=env).lines()

    def same(self, left, right):
        """Compares two contents, naming the first keys that differ."""
        self.assertEqual(sorted(left.keys() - right.keys())[:5], [], "only in the first")
        self.assertEqual(sorted(right.keys() - left.keys())[:5], [], "only in the second")
        different = [key for key in left if left[key] != right[key]]
        self.assertEqual([(left[k], right[k]) for k in different[:3]], [])


def sample(count=25):
    """Small entries with every kind of metadata; the tests know them by heart: even ones have the tag
    `even`, every fifth the text OLD-data deep inside, those under 10 no expiry."""
    entries = []
    for i in range(count):
        metadata = {"tags": ["even" if i % 2 == 0 else "odd", f"n{i}"],
                    "status": "archived" if i % 3 == 0 else "active",
                    "size": i, "deep": {"list": [{"note": "some OLD-data" if i % 5 == 0 else "new"}]}}
        entries.append(Entry(f"item:{i:04}", f"value {i}", json.dumps(metadata),
                             0 if i < 10 else 4_102_444_800 + i))
    return entries


# Keys and values that get hurt when somebody joins strings instead of encoding them.
ODD_ENTRIES = [
    Entry("plain", "value"),
    Entry("path/with/slashes", "a"),
    Entry("percent%20%2F encoded?#&=+", "b"),
    Entry("quote\"back\\slash'", "c\"d\\e"),
    Entry("emoji-\U0001F600-ключ-鍵", "\U0001F600 и 鍵"),
    Entry("line\nfeed and\ttab", "line\nfeed\r\nand\ttab"),
    Entry("<html>&amp;", "<html>&amp;"),
    Entry("  spaces around  ", "  spaces around  "),
    Entry("-dash-first", "--yes"),
    Entry('{"json":"key"}', '{"json":"value"}', '{"json" : {"in":[ "json" ]}}'),
    Entry("a,b;c", 'comma, "quote", and\r\nline'),
    Entry("zero\u200bwidth", "e\u0301"),
    Entry("k" * 512, "long key"),
    Entry("é" * 256, "long key of two-byte characters"),
    Entry("...", "dots"),
    Entry("empty value", ""),
    Entry("binary", bytes(range(256)), '{"type":"binary"}'),
    Entry("invalid utf-8", b"abc\xff\xfe\xe2\x82", ""),
    Entry("zero bytes", b"a\0b\0", ""),
    Entry("replacement", "\ufffd is a character, too"),
    Entry("mark", b"\xef\xbb\xbfafter a byte-order mark"),
    Entry("metadata as written", "x",
          '{"b":1,"a":2.50,"big":12345678901234567890,"u":"\\u00e9 é","s": [ 1 ,2 ]}'),
    Entry("metadata array", "x", "[1,2,3]"),
    Entry("metadata text", "x", '"just a text"'),
    Entry("metadata false", "x", "false"),
    Entry("expires", "x", '{"a":1}', 4_102_444_800),
]
