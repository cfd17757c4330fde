"""The embedded store against the sqlite3 shell, in turns, in the same folder."""

import os
import subprocess
import sys

from measure import Row, count, median_seconds, paired, require


def entries(bench, form, keys, kind):
    """A file of made-up entries, made once."""
    path = bench.path(f"entries-{keys}-{kind}.{form}")
    if not os.path.exists(path):
        with open(path, "wb") as out:
            subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "entries.py"),
                            form, str(keys), kind], stdout=out, check=True)
    return path


def remove_database(path):
    for suffix in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)


def shell(path, *commands):
    return subprocess.run(["sqlite3", "-batch", path, *commands], check=True, capture_output=True,
                          text=True).stdout


# The columns and the unique index of a namespace in our store (src/store/sqlite/schema.cc). Its index
# of expiries stays empty here, so the peer has none.
PEER = ("create table entries(key text not null, value blob not null, metadata text, "
        "expires_at integer); create unique index entries_key on entries(key)")


def store(bench, name):
    path = bench.path(name)
    remove_database(path)
    return path, ("--store", "sqlite:" + path, "--namespace", "default")


def embedded(bench):
    keys = 100_000 if bench.quick else 1_000_000
    for kind in ("sorted", "random"):
        ndjson = entries(bench, "ndjson", keys, kind)
        csv = entries(bench, "csv", keys, kind)

        path, place = store(bench, "ours.db")
        peer = bench.path("peer.db")

        def ours():
            remove_database(path)
            return bench.kv("import", *place, ndjson, "--yes")

        def theirs():
            remove_database(peer)
            return bench.run(["sqlite3", "-batch", peer, PEER, ".mode csv",
                              f".import {csv} entries"])

        ratio, mine, peers = paired(3 if bench.quick else 5, ours, theirs)
        for database, table in ((path, "entries_1"), (peer, "entries")):
            rows = int(shell(database, f"select count(*) from {table}"))
            require(rows == keys, f"the import left {rows} rows of {keys} in {database}")
        bench.add(Row(f"embedded: import of {count(keys)} entries, {kind} keys", ratio, 1.0,
                      "× the time", peer="`sqlite3 .import` of the same rows as CSV",
                      detail=f"{median_seconds(mine):.2f} s, sqlite3 {median_seconds(peers):.2f} s, "
                      f"{max(run.peak_mb for run in mine):.0f} MB"))

        ratio, mine, peers = paired(
            5 if bench.quick else 7,
            lambda: bench.kv("list", *place, "--all", "--metadata", "--format", "ndjson",
                             stdout=bench.path("ours.out")),
            lambda: bench.run(["sqlite3", "-batch", path,
                               "select key, metadata, expires_at from entries_1"],
                              stdout=bench.path("peer.out")))
        with open(bench.path("ours.out"), "rb") as out:
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: out.read(1 << 20), b""))
        require(lines == keys, f"the listing has {lines} lines of {keys}")
        bench.add(Row(f"embedded: list of {count(keys)} entries, {kind} keys", ratio, 0.9,
                      "× the time", peer="the `sqlite3` shell selecting the same columns",
                      detail=f"{median_seconds(mine):.2f} s, sqlite3 {median_seconds(peers):.2f} s, "
                      f"{max(run.peak_mb for run in mine):.0f} MB"))
