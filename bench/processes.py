"""The local cache as scripts use it: whole processes."""

import json
import os
import statistics
import subprocess
import time

from measure import Row, count, find, require

PYTHON = "/usr/bin/python3"  # Debian's, which sees Debian's packages
DISKCACHE = "import diskcache, sys; c = diskcache.Cache(sys.argv[1]); "


def spawn(bench, pairs, ours, theirs):
    done = subprocess.run([find(bench.build, "spawn"), str(pairs), *ours, "--", *theirs],
                          env=bench.environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def seconds(bench, arguments, stdin=None, times=1):
    began = time.monotonic()
    for _ in range(times):
        subprocess.run(arguments, env=bench.environment, input=stdin, stdout=subprocess.DEVNULL,
                       check=True)
    return time.monotonic() - began


def together(bench, processes, arguments):
    """The time until all of them, started at once, have ended."""
    began = time.monotonic()
    running = [subprocess.Popen(arguments, env=bench.environment, stdout=subprocess.PIPE)
               for _ in range(processes)]
    outputs = [process.communicate()[0] for process in running]
    require(all(process.returncode == 0 for process in running), f"{arguments[1:3]} failed")
    return time.monotonic() - began, outputs


def frames(entries, size):
    value = b"x" * size
    return b"".join(b"set\0key:%08d\0%s\0" % (i, value) for i in range(entries))


def exact_size(bench, add, sets):
    """8 processes that set values of 1,000 bytes, a process each time."""
    writers, value = 8, "x" * 1000
    script = (f'i=0; while [ $i -lt {sets} ]; do "$0" cache set --ns exact "$1:$i" {value} || exit 1; '
              "i=$((i + 1)); done")
    running = [subprocess.Popen(["sh", "-c", script, bench.sluice, f"writer{number}"],
                                env=bench.environment) for number in range(writers)]
    require(all(process.wait() == 0 for process in running), "a set failed")
    size = json.loads(subprocess.run([bench.sluice, "cache", "size", "--ns", "exact", "--json"],
                                     env=bench.environment, capture_output=True, check=True).stdout)
    entries = writers * sets
    told = sum(len(f"writer{number}:{i}") + len(value)
               for number in range(writers) for i in range(sets))
    add(f"size after 8 processes × {sets} sets", abs(size["entries"] - entries) +
        abs(size["bytes"] - told), 0, "entries and bytes off", peer="what was written",
        detail=f"{size['entries']:,} entries, {size['bytes']:,} bytes")


def kills(bench, add):
    """Kills writers at random moments, and looks each time whether all is whole and counted; the test
    that does it says how."""
    rounds = 10 if bench.quick else 100
    test = os.path.join(bench.build, "src/localcache/localcache_test")
    done = subprocess.run([test, "--gtest_filter=WritersTest.KillsLeaveItWholeAndCounted"],
                          env={**bench.environment, "SLUICE_KILL_ROUNDS": str(rounds)},
                          capture_output=True, check=False)
    whole = done.returncode == 0 and b"[  PASSED  ] 1 test" in done.stdout
    add(f"kill -9 among 8 writers, {rounds} rounds", 0 if whole else 1, 0, "times damaged",
        detail="verify clean, size exact, no partial value")


def processes(bench):
    cache = [bench.sluice, "cache"]
    pairs = 200 if bench.quick else 2000

    def add(name, figure, bound, unit, **rest):
        bench.add(Row("cache: " + name, figure, bound, unit, **rest))

    def compare(name, figures, bound, peer):
        add(name, figures["ratio"], bound, "× the time", peer=peer,
            detail=f"{figures['ours_us'] / 1000:.2f} ms, {figures['theirs_us'] / 1000:.2f} ms")

    seconds(bench, [*cache, "set", "key", "value"])
    time.sleep(0.1)  # what was just written is read with more care
    get = [*cache, "get", "key"]
    compare("cold get", spawn(bench, pairs, get, ["/bin/true"]), 1.75, "/bin/true")

    peer = bench.path("peer.db")
    subprocess.run(["sqlite3", peer, "create table entry(key text primary key, value blob); "
                    "insert into entry values('key','value')"], check=True)
    compare("cold get", spawn(bench, pairs // 4, get, [
        "sqlite3", peer, "select value from entry where key='key'"]), 1,
        "the `sqlite3` shell selecting one row")
    folder = bench.path("diskcache")
    if subprocess.run([PYTHON, "-c", DISKCACHE + "c['key'] = 'value'", folder],
                      capture_output=True, check=False).returncode == 0:
        compare("cold get", spawn(bench, pairs // 20, get, [
            PYTHON, "-c", DISKCACHE + "print(c['key'])", folder]), 0.125, "python3-diskcache")

    few, many = 1000, 20_000 if bench.quick else 1_000_000
    for entries in (few, many):
        seconds(bench, [*cache, "limit", "--ns", f"n{entries}", "--max-size", "10GB"])
        seconds(bench, [*cache, "batch", "-0", "--ns", f"n{entries}"], frames(entries, 100))
    compare(f"size of {count(many)} entries", spawn(
        bench, pairs // 4, [*cache, "size", "--ns", f"n{many}"],
        [*cache, "size", "--ns", f"n{few}"]), 1.2, f"size of {count(few)} entries")

    single = seconds(bench, [*cache, "set", "--ns", "single", "key", "x" * 100], times=100)
    batch = statistics.median(seconds(bench, [*cache, "batch", "-0", "--ns", f"b{i}"],
                                      frames(100, 100)) for i in range(5))
    add("batch of 100", batch / single, 0.1, "× the time", peer="100 calls",
        detail=f"{batch * 1000:.1f} ms, {single * 1000:.0f} ms")
    large = statistics.median(seconds(bench, [*cache, "batch", "-0", "--ns", f"l{i}"],
                                      frames(10_000, 100)) for i in range(5))
    add("batch of 10,000, the process included", large * 100, 10, "µs an entry",
        detail=f"{10_000 / large:,.0f} entries/s")

    exact_size(bench, add, 50 if bench.quick else 500)
    kills(bench, add)

    locked, _ = together(bench, 8, [*cache, "lock", "l", "--", "sleep", "0.02"])
    flocked, _ = together(bench, 8, ["flock", bench.path("flock"), "sleep", "0.02"])
    add("lock: 8 processes with 20 ms of work each", locked / 0.16, 1.2, "× their sum",
        detail=f"{locked * 1000:.0f} ms; flock(1) {flocked * 1000:.0f} ms")

    runs = bench.path("runs")
    spent, outputs = together(bench, 200, [
        *cache, "exec", "--", "sh", "-c", f"echo run >> '{runs}'; sleep 1; echo result"])
    require(set(outputs) == {b"result\n"}, "somebody has not got the result")
    with open(runs, encoding="utf-8") as lines:
        add("exec: 200 callers of one slow command", len(lines.readlines()), 1, "runs",
            detail=f"{spent:.2f} s, the command alone 1 s")
    os.remove(runs)
