"""The Debian package index: tens of thousands of real records through every command."""

import collections
import json
import shutil
import subprocess
import unittest

from harness import Entry, SluiceTest, by_key, parse_ndjson

LEAST = 1000


def packages():
    """The records of the package index, as entries: the description with its line breaks is the value,
    section, tags, priority and sizes are the metadata."""
    if shutil.which("apt-cache") is None:
        return {}
    dump = subprocess.run(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, check=False).stdout
    entries = {}
    for record in dump.decode(errors="replace").split("\n\n"):
        field, last = {}, None
        for line in record.split("\n"):
            if line.startswith((" ", "\t")) and last:
                field[last] += "\n" + line
            elif ": " in line:
                last, value = line.split(": ", 1)
                field[last] = value
            elif line.endswith(":"):
                last = line[:-1]
                field[last] = ""
        if "Package" not in field:
            continue
        tags = field.get("Tag", "").replace("\n", " ").replace(",", " ").split()
        metadata = {"section": field.get("Section", ""), "priority": field.get("Priority", ""),
                    "maintainer": {"name": field.get("Maintainer", "")},
                    "size": int(field.get("Size", 0)), "tags": tags}
        while len(json.dumps(metadata, ensure_ascii=False).encode()) > 1024:
            metadata["tags"].pop()
        key = f"{field['Package']}/{field.get('Version', '')}/{field.get('Architecture', '')}"
        value = field.get("Description", "") + "\n" + field.get("Depends", "")
        entries[key] = Entry(key, value, json.dumps(metadata, ensure_ascii=False))
    return entries


class RealData(SluiceTest):
    @classmethod
    def setUpClass(cls):
        found = packages()
        if len(found) < LEAST:
            raise unittest.SkipTest("there is no package index here: run `apt-get update` first")
        cls.entries = list(found.values())
        cls.expected = by_key(cls.entries)

    def test_the_package_index(self):
        there = ["--store", self.store, "--namespace", "packages"]
        self.load(self.entries, "packages")
        stats = self.sluice("kv", "stats", *there, "--json").json()
        self.assertEqual(stats["entries"], len(self.entries))
        self.assertEqual(stats["key_bytes"], sum(len(e.key) for e in self.entries))

        # Search: the same as Python finds in the same records.
        sections = collections.Counter(json.loads(e.metadata)["section"] for e in self.entries)
        section = sections.most_common(1)[0][0]
        found = self.keys("--tag-field", "section", "--tag-value", section, namespace="packages")
        self.assertEqual(len(found), sections[section])
        wanted = sorted(e.key.decode() for e in self.entries
                        if "debian" in json.loads(e.metadata)["maintainer"]["name"].lower()
                        or any("debian" in text.lower() for text in json.loads(e.metadata)["tags"]))
        found = self.keys("--search", "DEBIAN", namespace="packages")
        missing = set(wanted) - set(found)
        self.assertEqual(sorted(missing)[:5], [])
        for key in set(found) - set(wanted):
            self.assertIn("debian", self.expected[key.encode()].metadata.lower())
        libraries = self.keys("--pattern", "^lib.*-dev/", namespace="packages")
        import re
        self.assertEqual(libraries, sorted((e.key.decode() for e in self.entries
                                            if re.search("^lib.*-dev/", e.key.decode())),
                                           key=str.encode))

        # Export in each format, import again, compare entry by entry.
        for form in ("ndjson", "json", "csv"):
            path = self.folder / f"packages.{form}"
            self.sluice("kv", "export", *there, "--format", form, "-o", path)
            self.sluice("kv", "import", "--store", self.store, "--namespace", form,
                        "--create-namespace", "--yes", path)
            self.same(self.content(form), self.expected)

        # Copy into another store.
        other = f"sqlite:{self.folder / 'other.db'}"
        self.sluice("kv", "copy", *there, "--to", other, "--create-namespace", "--yes")
        self.same(self.content("packages", other), self.expected)

        # Delete by section, and nothing else.
        self.sluice("kv", "delete", *there, "--tag-field", "section", "--tag-value", section, "--yes")
        left = {key: entry for key, entry in self.expected.items()
                if json.loads(entry.metadata)["section"] != section}
        self.same(self.content("packages"), left)

    def test_through_cloudflare(self):
        fake = self.server()
        env = fake.environment()
        count = len(self.entries)
        self.load(self.entries, "packages", store="cloudflare:", env={**env, "SLUICE_RATE": "off"})
        self.same(fake.entries("packages"), self.expected)
        stats = fake.stats()
        self.assertLessEqual(stats["requests"]["PUT bulk"], count // 10_000 + 2)
        fake.reset()
        self.sluice("kv", "copy", "--store", "cloudflare:", "--namespace", "packages", "--to", self.store,
                    "--create-namespace", "--yes", "--rate", "off", env=env)
        self.same(self.content("packages"), self.expected)
        total = fake.stats()["total"]
        # Values that hold U+FFFD are fetched again singly.
        replaced = sum("\ufffd".encode() in e.value for e in self.entries)
        self.assertLessEqual(total, count // 1000 + 2 + count // 100 + 2 + replaced)


if __name__ == "__main__":
    unittest.main()
