"""Made-up entries: `python3 entries.py ndjson|csv COUNT sorted|random` writes them to stdout.

A key has 22 bytes, a value 42, its metadata about 100, as in the promise that the benches hold."""

import sys


def order(count, kind):
    if kind == "sorted":
        return range(count)
    # Every index once, in an order without any locality: count is no multiple of this prime.
    return ((i * 2_654_435_761) % count for i in range(count))


def main():
    form, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    status = ("active", "archived", "pending")
    pieces = []
    for i in order(count, kind):
        key = f"user:{i:09d}:profile"
        value = f"value {i:09d} of forty bytes, more or le"
        metadata = (f'{{"tags":["t{i % 10}","group-{i % 100}"],"status":"{status[i % 3]}",'
                    f'"owner":{{"name":"Owner {i % 1000}","id":{i}}},"size":{i % 4096}}}')
        if form == "ndjson":
            pieces.append(f'{{"key":"{key}","value":"{value}","metadata":{metadata}}}\n')
        else:
            quoted = metadata.replace('"', '""')
            pieces.append(f'{key},"{value}","{quoted}",\n')
        if len(pieces) == 10_000:
            sys.stdout.write("".join(pieces))
            pieces.clear()
    sys.stdout.write("".join(pieces))


if __name__ == "__main__":
    main()
