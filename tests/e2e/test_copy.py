"""`kv copy`: from any store to any store, with metadata byte for byte and expiry."""

import unittest

from harness import NOT_FOUND, ODD_ENTRIES, USAGE, Entry, SluiceTest, by_key, sample


class Copy(SluiceTest):
    def copy(self, *arguments, **more):
        return self.sluice("kv", "copy", *arguments, "--yes", **more)

    def test_sqlite_to_sqlite(self):
        self.load(ODD_ENTRIES)
        other = f"sqlite:{self.folder / 'other.db'}"
        self.copy("--store", self.store, "--namespace", "test", "--to", other, "--create-namespace")
        self.same(self.content(store=other), by_key(ODD_ENTRIES))

    def test_through_cloudflare_and_back(self):
        fake = self.server()
        env = fake.environment()
        self.load(ODD_ENTRIES)
        self.copy("--store", self.store, "--namespace", "test", "--to", "cloudflare:",
                  "--to-namespace", "remote", "--create-namespace", env=env)
        self.same(fake.entries("remote"), by_key(ODD_ENTRIES))
        # Bulk get answers text only; what is not text has to survive it all the same. A leading
        # byte-order mark cannot be seen to be missing, so it needs --exact.
        for flags, left_out in (([], {b"mark"}), (["--exact"], set())):
            with self.subTest(flags=flags):
                back = f"sqlite:{self.folder / ('back' + str(len(flags)))}.db"
                self.copy("--store", "cloudflare:", "--namespace", "remote", "--to", back,
                          "--to-namespace", "back", "--create-namespace", *flags, env=env)
                content, expected = self.content("back", back), by_key(ODD_ENTRIES)
                for key in left_out:
                    content.pop(key), expected.pop(key)
                self.same(content, expected)

    def test_a_peer_without_metadata_in_bulk_get(self):
        """Metadata and expiry come with the listing, so nothing is lost."""
        fake = self.server()
        env = fake.environment()
        fake.fill("remote", sample(250))
        fake.faults(ignore_with_metadata=True)
        self.copy("--store", "cloudflare:", "--namespace", "remote", "--to", self.store,
                  "--to-namespace", "test", "--create-namespace", env=env)
        self.same(self.content(), by_key(sample(250)))

    def test_replaces_and_keeps_the_rest(self):
        self.load(sample(5))
        self.load([Entry("item:0000", "other", '{"other":1}', 4_000_000_000), Entry("own", "x")],
                  "target")
        self.copy("--store", self.store, "--namespace", "test", "--to-namespace", "target")
        self.same(self.content("target"), by_key(sample(5) + [Entry("own", "x")]))

    def test_dry_run(self):
        self.load(sample(5))
        self.load([], "target")
        self.copy("--store", self.store, "--namespace", "test", "--to-namespace", "target", "-n")
        self.assertEqual(self.content("target"), {})

    def test_refusals(self):
        self.load(sample(5))
        self.refused("kv", "copy", "--store", self.store, "--namespace", "test", "--to-namespace",
                     "absent", "--yes", code=NOT_FOUND, mentions="absent")
        # Onto itself would be work for nothing, or worse.
        self.refused("kv", "copy", "--store", self.store, "--namespace", "test", "--yes", code=USAGE)
        self.same(self.content(), by_key(sample(5)))

    def test_large_values(self):
        """Larger than what may be in flight: each streams alone."""
        big = [Entry(f"big{i}", bytes([65 + i]) * (12 << 20)) for i in range(3)]
        self.load(big)
        fake = self.server()
        fake.create("remote")
        env = fake.environment()
        self.copy("--store", self.store, "--namespace", "test", "--to", "cloudflare:",
                  "--to-namespace", "remote", "--in-flight", "8MB", env=env)
        self.same(fake.entries("remote"), by_key(big))
        # 36 MB do not come in one bulk get of at most 25 MB: a smaller batch gets them.
        back = f"sqlite:{self.folder / 'back.db'}"
        self.copy("--store", "cloudflare:", "--namespace", "remote", "--to", back, "--to-namespace",
                  "test", "--create-namespace", env=env)
        self.same(self.content(store=back), by_key(big))


if __name__ == "__main__":
    unittest.main()
