"""Running programs and reading off what they cost."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
ACCOUNT = "0123456789abcdef0123456789abcdef"  # the fake's (tests/cloudflare)


@dataclass
class Cost:
    """What one run of a program cost. Peak memory is that of the program, in MB of 10^6 bytes."""

    seconds: float
    cpu: float
    peak_mb: float


class Failed(Exception):
    """A program that a bench runs did not do what it was asked."""


@dataclass
class Row:
    """One line of the table. `figure` is compared with `bound`: at most, both in `unit`."""

    name: str
    figure: float
    bound: float
    unit: str
    peer: str = ""
    detail: str = ""

    @property
    def passed(self):
        return self.figure <= self.bound


class Bench:
    """Where programs are, a folder to work in, and the environment that they run in."""

    def __init__(self, build, folder, quick):
        self.sluice = os.path.join(build, "bin", "sluice")
        self.build = build
        self.fake = find(build, "cloudflare-fake")
        self.quick = quick
        self.folder = folder
        self.rows = []
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": folder,
            "TMPDIR": folder,
            "LC_ALL": "C.UTF-8",
            **{f"XDG_{kind}_HOME": os.path.join(folder, kind.lower())
               for kind in ("CONFIG", "DATA", "STATE", "CACHE")},
            "CLOUDFLARE_API_TOKEN": "test-token",
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        }

    def path(self, name):
        return os.path.join(self.folder, name)

    def add(self, row):
        self.rows.append(row)
        print(f"  {'PASS' if row.passed else 'FAIL'}  {row.name}: {number(row.figure)} {row.unit} "
              f"(at most {number(row.bound)}){'; ' + row.detail if row.detail else ''}", flush=True)

    def run(self, arguments, stdin=None, stdout=None, environment=None):
        """Runs a program to its end. The output goes nowhere unless `stdout` names a file."""
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(open(stdin, "rb")) if isinstance(stdin, str) else (
                stdin or subprocess.DEVNULL)
            target = stack.enter_context(open(stdout or os.devnull, "wb"))
            errors = stack.enter_context(tempfile.TemporaryFile(dir=self.folder))
            # Of its own: programs are also run side by side.
            memory = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder)), "peak")
            began = time.monotonic()
            # A program's peak as its parent sees it begins with the parent's own memory, from the
            # moment between fork and exec; behind time(1), that is next to nothing.
            process = subprocess.Popen(["time", "-q", "-f", "%M", "-o", memory, *arguments], stdin=source, stdout=target, stderr=errors,
                                       env={**self.environment, **(environment or {})},
                                       cwd=self.folder)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                errors.seek(0)
                raise Failed(f"`{' '.join(arguments)}` exited with {process.returncode}: "
                             + errors.read().decode(errors="replace").strip()[-2000:])
            with open(memory, encoding="utf-8") as kilobytes:
                peak_mb = int(kilobytes.read()) * 1024 / 1e6
        return Cost(seconds, usage.ru_utime + usage.ru_stime, peak_mb)

    def kv(self, *arguments, **options):
        return self.run([self.sluice, "kv", *arguments, "--progress", "off"], **options)


def find(build, name):
    for folder in ("bin", "bench", "tests/cloudflare", "tests", ""):
        path = os.path.join(build, folder, name)
        if os.path.isfile(path):
            return path
    raise Failed(f"{name} is not in {build}: run `make bench`, which builds it")


class Fake:
    """A Cloudflare-shaped server with made-up keys, in a process of its own."""

    def __init__(self, bench, *arguments, keys=0, faults=None):
        self.process = subprocess.Popen(
            [bench.fake, "--keys", str(keys), "--metadata", *arguments],
            stdout=subprocess.PIPE, env=bench.environment)
        words = self.process.stdout.readline().decode().split()
        if len(words) != 2 or words[0] != "listening":
            raise Failed(f"cloudflare-fake did not start: {' '.join(words)}")
        self.url = words[1]
        self.environment = {"CLOUDFLARE_API_BASE_URL": self.url + "/client/v4"}
        if faults:
            self.control("faults", json.dumps(faults).encode())

    def control(self, name, body=None):
        request = urllib.request.Request(f"{self.url}/__control/{name}", data=body)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def stats(self):
        return self.control("stats")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


REMOTE = ("--store", "cloudflare:", "--namespace", "made-up")


def paired(times, ours, theirs):
    """Runs both in turns, and returns the median of the ratios with all runs of both. Pairs share
    what the machine does meanwhile, so their ratio is steadier than the ratio of two medians."""
    pairs = [(ours(), theirs()) for _ in range(times)]
    ratio = statistics.median(a.seconds / b.seconds for a, b in pairs)
    return ratio, [a for a, _ in pairs], [b for _, b in pairs]


def median_seconds(costs):
    return statistics.median(cost.seconds for cost in costs)


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def count(keys):
    if keys % 1_000_000 == 0:
        return f"{keys // 1_000_000}M"
    return f"{keys:,}"


def require(condition, sentence):
    if not condition:
        raise Failed(sentence)


def note(text):
    print(text, file=sys.stderr, flush=True)
