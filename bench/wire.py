"""What Sluice costs a service: requests, time behind its latency, and CPU of the client."""

import concurrent.futures
import statistics
import tempfile
import time

from measure import REMOTE, Fake, Row, count, median_seconds, paired, require

# 5 % of all requests, of each kind that a service fails with.
FAULTS = {"rates": {"429": 1, "500": 1, "503": 1, "cut_before": 1, "cut_after": 1}, "retry_after": 1}


def make_input(bench, keys):
    from embedded import entries
    return entries(bench, "ndjson", keys, "sorted")


def requests(bench):
    many = 100_000 if bench.quick else 1_000_000
    some = 20_000 if bench.quick else 100_000
    source = make_input(bench, many)
    jobs = [
        ("list", many, ("list", *REMOTE, "--all", "--metadata", "--format", "ndjson"),
         lambda n: n / 1000 + 2),
        ("delete", many, ("delete", *REMOTE, "--all-keys", "--yes"),
         lambda n: n / 1000 + 2 + n / 10_000 + 2),
        ("export", some, ("export", *REMOTE, "-o", bench.path("out.ndjson")),
         lambda n: n / 1000 + 2 + n / 100 + 2),
        ("import", many, ("import", *REMOTE, source, "--yes"), lambda n: n / 10_000 + 2),
    ]
    for faults in (None, FAULTS):
        for name, keys, arguments, bound in jobs:
            held = 0 if name == "import" else keys
            with Fake(bench, "--discard", "--seed", "3", keys=max(held, 1), faults=faults) as fake:
                cost = bench.kv(*arguments, environment=fake.environment)
                stats = fake.stats()
            done = {"list": stats["keys_listed"], "delete": stats["keys_erased"],
                    "export": stats["values_read"], "import": stats["keys_put"]}[name]
            require(done >= keys, f"{name}: the server saw {done} of {keys} keys")
            failed = sum(stats["faults"].values())
            if faults:
                require(failed > 0, f"{name}: the server injected no fault")
                require(stats["during_retry_after"] == 0,
                        f"{name}: {stats['during_retry_after']} requests came during a Retry-After")
            bench.add(Row(
                f"requests: {name} of {count(keys)} keys" + (", 5 % faults" if faults else ""),
                stats["total"] - failed, bound(keys) * (1.01 if faults else 1), "requests",
                detail=(f"and {failed} repeated, " if faults else "") + f"{cost.seconds:.1f} s, "
                f"{cost.cpu / keys * 1e6:.2f} µs CPU a key, {cost.peak_mb:.0f} MB"))


def latency(bench):
    def export():
        with Fake(bench, "--latency", "30ms", keys=1000) as fake:
            return bench.kv("export", *REMOTE, "-o", bench.path("out.ndjson"),
                            environment=fake.environment)

    # The round trips that cannot be saved, one after the other, for comparison.
    cost = statistics.median(export().seconds for _ in range(3))
    bench.add(Row("latency 30 ms: export of 1,000 keys", cost, 0.5, "s",
                  peer="one get after the other: 30 s"))

    keys = 20_000 if bench.quick else 100_000

    def job(*arguments):
        def run():
            with Fake(bench, "--latency", "30ms", keys=keys) as fake:
                return bench.kv(*arguments, environment=fake.environment)
        return run

    ratio, ours, theirs = paired(
        3, job("delete", *REMOTE, "--all-keys", "--yes"),
        job("list", *REMOTE, "--all", "--format", "keys"))
    bench.add(Row(f"latency 30 ms: delete of {count(keys)} keys", ratio, 1.15, "× the time",
                  peer="listing them",
                  detail=f"{median_seconds(ours):.2f} s, listing {median_seconds(theirs):.2f} s"))


def partitions(bench):
    """Listing by prefixes side by side, with latency and no budget in the way."""
    keys = 40_000 if bench.quick else 200_000
    source = bench.path("parts.ndjson")
    with open(source, "w", encoding="utf-8") as lines:
        lines.writelines(f'{{"key":"p{n % 8}:{n:08}","value":"v"}}\n' for n in range(keys))
    prefixes = ",".join(f"p{n}" for n in range(8))
    listed = bench.path("listed.txt")
    with Fake(bench, "--latency", "80ms", keys=1) as fake:
        bench.kv("import", *REMOTE, source, "--yes", environment=fake.environment)
        bench.kv("delete", *REMOTE, "--prefix", "user:", "--yes", environment=fake.environment)

        def job(*flags):
            def run():
                cost = bench.kv("list", *REMOTE, "--all", "--format", "keys", "-o", listed, *flags,
                                environment=fake.environment)
                with open(listed, "rb") as lines:
                    require(len(set(lines)) == keys, "partitions: not every key was listed once")
                return cost
            return run

        ratio, ours, theirs = paired(3, job("--list-partitions", prefixes), job())
    bench.add(Row(f"latency 80 ms: listing {count(keys)} keys by 8 prefixes", ratio, 0.2, "× the time",
                  peer="listing them serially",
                  detail=f"{median_seconds(ours):.2f} s, serially {median_seconds(theirs):.2f} s"))


BUDGET = (1200, 2)  # requests, seconds: Cloudflare's, in a shorter window


def budget(bench):
    """How much of a budget is used, by one process and by two that share it. The requests fill seven
    windows and most of an eighth, so that neither the rest of a window nor our margin of 1 % decides."""
    most, window = BUDGET
    for name, keys, selections in (
            ("one process", 94_000, ["[0-9]$"]), ("two processes", 93_000, ["[0-4]$", "[5-9]$"])):
        runtime = tempfile.mkdtemp(dir=bench.folder)
        with Fake(bench, "--rate-limit", f"{most}/{window}s", keys=keys) as fake, \
                concurrent.futures.ThreadPoolExecutor() as pool:
            began = time.monotonic()
            runs = [pool.submit(bench.kv, "delete", *REMOTE, "--pattern", pattern, "--batch-size", "10", "--yes",
                                environment={**fake.environment, "XDG_RUNTIME_DIR": runtime})
                    for pattern in selections]
            for run in runs:
                run.result()
            took = time.monotonic() - began
            stats = fake.stats()
        require(stats["keys_erased"] == keys, f"budget: {stats['keys_erased']} of {keys} keys were deleted")
        require(stats["rate_limited"] == 0, f"budget: {stats['rate_limited']} requests were refused")
        least = (-(-stats["total"] // most) - 1) * window
        bench.add(Row(f"budget of {most} in {window} s: {name}", took / least, 1.05, "× the least time",
                      peer=f"{stats['total']} requests cannot take less than {least} s", detail=f"{took:.2f} s, no 429"))


def cpu(bench):
    keys = 200_000 if bench.quick else 1_000_000
    with Fake(bench, keys=keys) as fake:
        runs = [bench.kv("list", *REMOTE, "--all", "--metadata", "--format", "ndjson",
                         environment=fake.environment) for _ in range(3)]
        namespace = fake_namespace(fake)
        # The same bytes, fetched and thrown away: what no client can go below.
        curl = bench.run(["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null",
                          "--header", "Authorization: Bearer test-token",
                          f"{namespace}/keys?limit=1000&page=[1-{keys // 1000}]"])
    seconds = statistics.median(run.cpu for run in runs) * 1e6 / keys
    bench.add(Row("CPU of the client: listing with metadata over HTTP", seconds, 0.4,
                  "s per 1M keys", peer="curl fetching as many bytes, parsing none: "
                  f"{curl.cpu * 1e6 / keys:.2f} s",
                  detail=f"{seconds / (curl.cpu * 1e6 / keys):.2f} × curl, "
                  f"{max(run.peak_mb for run in runs):.0f} MB"))


def overhead(bench):
    """CPU of the whole client, start and end included, for each key that is listed."""
    keys = 200_000 if bench.quick else 1_000_000
    for share, flags in ((1, ("--tag-field", "tags")),
                         (0.75, ("--tag-field", "status", "--tag-value", "active")),
                         (0.1, ("--tag-field", "tags", "--tag-value", "t3"))):
        runs = []
        for _ in range(3):
            with Fake(bench, keys=keys) as fake:
                runs.append(bench.kv("delete", *REMOTE, *flags, "--yes", environment=fake.environment))
                erased = fake.stats()["keys_erased"]
            require(erased == keys * share, f"overhead: {erased} keys were deleted, not {keys * share}")
        each = statistics.median(run.cpu for run in runs) * 1e6 / keys
        bench.add(Row(f"overhead: delete by tag over HTTP, {share:.0%} of {count(keys)} keys match", each, 1,
                      "µs CPU a key", detail=f"{statistics.median(run.seconds for run in runs):.1f} s, "
                      f"{max(run.peak_mb for run in runs):.0f} MB"))


def fake_namespace(fake):
    import json
    import urllib.request
    from measure import ACCOUNT
    base = f"{fake.url}/client/v4/accounts/{ACCOUNT}/storage/kv/namespaces"
    request = urllib.request.Request(base, headers={"Authorization": "Bearer test-token"})
    with urllib.request.urlopen(request) as answer:
        return f"{base}/{json.load(answer)['result'][0]['id']}"
