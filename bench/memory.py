"""Peak memory, and that it does not grow with the number of keys."""

import os
import subprocess
import sys

from embedded import store
from measure import REMOTE, Fake, Row, count, require

BOUND_MB = {"list": 40, "delete": 40, "import": 40, "export": 64}


def piped_import(bench, place, keys, environment=None):
    """Ten million entries do not have to lie on the disk to be imported."""
    source = subprocess.Popen(
        [sys.executable, os.path.join(os.path.dirname(__file__), "entries.py"), "ndjson", str(keys),
         "sorted"], stdout=subprocess.PIPE)
    try:
        return bench.kv("import", *place, "-", "--yes", stdin=source.stdout, environment=environment)
    finally:
        source.stdout.close()
        require(source.wait() == 0, "the made-up entries could not be written")


def remote_job(bench, name, keys):
    with Fake(bench, "--discard", keys=keys) as fake:
        if name == "import":
            return piped_import(bench, REMOTE, keys, fake.environment)
        return bench.kv(*arguments_of(bench, name, REMOTE), environment=fake.environment)


def arguments_of(bench, name, place):
    return {"list": ("list", *place, "--all", "--metadata", "--format", "ndjson"),
            "delete": ("delete", *place, "--all-keys", "--yes"),
            "export": ("export", *place, "-o", bench.path("out.ndjson"))}[name]


def memory(bench):
    small, large = (50_000, 500_000) if bench.quick else (1_000_000, 10_000_000)
    peaks = {}
    for keys in (small, large):
        path, place = store(bench, "memory.db")
        # Deleting comes last, since it leaves nothing.
        for name in ("import", "list", "export", "delete"):
            for where in ("embedded", "HTTP"):
                if where == "HTTP":
                    cost = remote_job(bench, name, keys)
                elif name == "import":
                    cost = piped_import(bench, place, keys)
                else:
                    cost = bench.kv(*arguments_of(bench, name, place))
                peaks[name, where, keys] = cost
        if os.path.exists(bench.path("out.ndjson")):
            os.remove(bench.path("out.ndjson"))
    for name in ("list", "delete", "import", "export"):
        for where in ("embedded", "HTTP"):
            first, second = peaks[name, where, small], peaks[name, where, large]
            bench.add(Row(f"peak memory: {name} of {count(small)}, {where}", first.peak_mb,
                          BOUND_MB[name], "MB", detail=f"{first.seconds:.1f} s"))
            bench.add(Row(f"peak memory: {name} of {count(large)}, {where}", second.peak_mb,
                          first.peak_mb * 1.1, "MB", peer=f"1.1 × that of {count(small)}",
                          detail=f"{second.seconds:.1f} s"))
