"""Cloudflare's own command line for the end-to-end tests, pinned by tests/wrangler/package-lock.json.

Version 4.86.0 is the last that runs on Node 20, and with stand_ins.cjs it also runs on Debian 12's Node
18. Installed once a machine, without native code (50 MB instead of 200), from the npm registry into
$XDG_CACHE_HOME/sluice-tests; after that no network is needed.

What it sends, below /accounts/ACCOUNT/storage/kv/namespaces (recorded):
    namespace create     POST ""
    namespace list       GET ?per_page=1000&order=title&direction=asc, then with &page=2 on, until a page
                         is empty
    namespace rename     by title: GET ?per_page=100&order=title&direction=asc&page=1 on; PUT /ID
    namespace delete     DELETE /ID, without a body
    key put              PUT /ID/values/KEY, ?expiration_ttl= or ?expiration=: the bytes as they are (a
                         value of the command line as text/plain, a file without a content type); with
                         --metadata a form (multipart/form-data) whose part "value" has a filename and
                         a content type only if it comes from a file
    key get, delete      GET, DELETE /ID/values/KEY
    key list             GET /ID/keys?prefix=PREFIX with "+" for a space, "prefix=" for none, then
                         &cursor= as well; no limit
    bulk put             PUT /ID/bulk, 1,000 pairs a call
    bulk delete          DELETE /ID/bulk (deprecated) with a JSON body, 1,000 keys a call
    bulk get             POST /ID/bulk/get, all keys in one call
KEY is encoded by encodeURIComponent, which leaves ! ' ( ) * as they are."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import PATIENCE, TESTS, Result

PINNED = TESTS / "wrangler"
FILES = ("package.json", "package-lock.json")


def install():
    """The folder that wrangler is in, installed if need be. Says why when that cannot be."""
    for program, package in (("node", "nodejs"), ("npm", "npm")):
        if not shutil.which(program):
            raise AssertionError(f"{program} is not installed, so wrangler cannot be tried: run "
                                 f"`scripts/setup --test`, or `apt-get install {package}`.")
    digest = hashlib.sha256(b"".join((PINNED / name).read_bytes() for name in FILES)).hexdigest()[:16]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    cache = cache / "sluice-tests"
    folder = cache / f"wrangler-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "wrangler.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if folder.is_dir():
            return folder
        with tempfile.TemporaryDirectory(dir=cache, prefix="installing-") as place:
            half = pathlib.Path(place) / "wrangler"
            half.mkdir()
            for name in FILES:
                shutil.copy(PINNED / name, half)
            done = subprocess.run(
                ["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund",
                 "--prefer-offline", "--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000",
                 "--loglevel=error"],
                cwd=half, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
            if done.returncode != 0:
                raise AssertionError(
                    f"wrangler could not be installed from the npm registry into {cache}, which needs the "
                    "network once. `npm ci` says:\n" + done.stderr.decode(errors="replace")[-2000:])
            os.rename(half, folder)  # whole or not at all
    return folder


class Wrangler:
    """wrangler as a user who has set three variables runs it."""

    def __init__(self, folder, test, server):
        self.test, self.server = test, server
        self.command = ["node", "--no-warnings", "--require", str(PINNED / "stand_ins.cjs"),
                        str(folder / "node_modules/wrangler/wrangler-dist/cli.js")]
        self.home = test.folder / "wrangler"
        self.home.mkdir()
        # It looks for a file of settings in the parent folders, too.
        (self.home / "wrangler.json").write_text('{"name": "test", "compatibility_date": "2026-01-01"}')

    def run(self, *arguments, code=0):
        """Runs to the end and requires this exit code."""
        environment = {
            "HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "CI": "1",
            "TMPDIR": str(self.home), "NO_COLOR": "1", "FORCE_COLOR": "0",
            "WRANGLER_SEND_METRICS": "false", "WRANGLER_HIDE_BANNER": "true",
            **self.server.environment()}
        done = subprocess.run([*self.command, *map(str, arguments)], env=environment, cwd=self.home,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
        result = Result(["(wrangler)", *(str(argument)[:200] for argument in arguments)],
                        done.returncode, done.stdout, done.stderr)
        self.test.assertEqual(result.code, code, str(result))
        return result

    def file(self, name, content):
        """A file that --path or a bulk command can name."""
        path = self.home / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    @staticmethod
    def document(result):
        """The JSON document that a command printed, among what it says besides. As in JavaScript, every
        number is a double."""
        text, decoder = result.text, json.JSONDecoder(parse_int=float)
        for at, letter in enumerate(text):
            if letter in "[{":
                with contextlib.suppress(json.JSONDecodeError):
                    return decoder.raw_decode(text, at)[0]
        raise AssertionError(f"no JSON in {result}")
