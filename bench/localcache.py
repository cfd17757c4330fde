"""The local cache within one process: localcache_bench prints the figures."""

import json

from measure import Row, count, find


def localcache(bench):
    entries = 100_000 if bench.quick else 1_000_000
    out = bench.path("localcache.json")
    bench.run([find(bench.build, "localcache_bench"), bench.path("localcache"), str(entries)],
              stdout=out)
    with open(out, encoding="utf-8") as text:
        figures = json.load(text)

    def add(name, figure, bound, unit, **rest):
        bench.add(Row("local cache: " + name, figure, bound, unit, **rest))

    many = count(entries)
    add("get", figures["get_cpu_us"], 20, "µs CPU",
        detail=f"of {many} entries {figures['get_of_many_cpu_us']:.1f} µs")
    add("set, without waiting for the disk", figures["set_cpu_us"], 60, "µs CPU",
        detail=f"half of them within {figures['set_p50_us']:.0f} µs")
    add("batch of 10,000", 1e6 / figures["batch_entries_per_s"], 10, "µs an entry",
        detail=f"{figures['batch_entries_per_s']:,.0f} entries/s")
    add(f"size of {many} entries", figures["size_ratio"], 1.2, "× the time",
        peer="size of 1,000 entries")
    add(f"set at the limit with {many} entries, 99.9 % of them", figures["set_at_limit_p999_us"] / 1000,
        10, "ms", detail=f"of CPU {figures['set_at_limit_p999_cpu_us'] / 1000:.1f} ms, without syncs "
        f"{figures['set_at_limit_unsynced_p999_us'] / 1000:.1f} ms, half of them within "
        f"{figures['set_at_limit_p50_us'] / 1000:.2f} ms")
    add("space on disk for values of 1,000 bytes", max(figures["space"], figures["space_after"]), 1.3,
        "× their bytes", detail=f"filled {figures['space']:.2f}, after 100,000 evictions "
        f"{figures['space_after']:.2f}")
    add("lock: 8 turns of 20 ms", figures["lock_ratio"], 1.2, "× their sum")
