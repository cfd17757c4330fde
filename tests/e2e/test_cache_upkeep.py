"""`sluice cache`: what repair brings back and says, and commands where there is nothing to do."""

import os
import unittest

from harness import DONE, FAILED, NOT_FOUND, SluiceTest

PAGE = 8192


class Upkeep(SluiceTest):
    def cache(self, *words, code=DONE, **more):
        return self.sluice("cache", *words, code=code, **more)

    def folder_of(self, namespace="default"):
        return self.home / "cache/sluice/cache" / namespace

    def fill(self, count):
        fields = b"".join(b"set\0key %d\0value %d\0" % (i, i) for i in range(count))
        self.cache("batch", "-0", stdin=fields)
        self.cache("gc")

    def damage(self, position, data):
        path = self.folder_of() / "cache.db"
        self.assertFalse((path.parent / "cache.db-wal").stat().st_size)
        with open(path, "r+b") as file:
            file.seek(position)
            file.write(data)

    def test_repair_without_a_header(self):
        self.fill(1000)
        self.cache("limit", "--max-size", "7MB", "--max-entries", "2000")
        self.cache("gc")
        self.damage(0, bytes(PAGE))
        self.refused("cache", "get", "key 7", code=FAILED, mentions="repair")
        done = self.cache("repair", "--json").json()
        self.assertEqual([done[name] for name in ("kept", "dropped", "unreadable", "rebuilt")],
                         [1000, 0, 0, True])
        self.assertTrue(os.path.exists(done["saved_as"]))
        self.assertNotIn("limits_lost", done)
        size = self.cache("size", "--json").json()
        self.assertEqual((size["entries"], size["max_bytes"], size["max_entries"]),
                         (1000, 7_000_000, 2000))
        self.assertEqual(self.cache("get", "key 999").out, b"value 999")
        self.assertTrue(self.cache("verify", "--json").json()["intact"])

    def test_repair_of_a_file_that_is_cut_short(self):
        self.fill(1000)
        path = self.folder_of() / "cache.db"
        os.truncate(path, path.stat().st_size // 2)
        done = self.cache("repair")
        self.assertRegex(done.complaint, r"kept, 0 dropped, and \d+ could not be read")
        self.assertIn(str(path) + ".damaged-", done.complaint)
        self.cache("verify")

    def test_nothing_is_made_by_what_deletes(self):
        for command in (("gc",), ("clear", "--yes"), ("delete", "k"), ("delete", "--prefix", "k")):
            with self.subTest(command=command):
                self.cache(*command, "--ns", "absent")
                self.assertFalse(self.folder_of("absent").exists())
        for command in (("gc",), ("clear", "--yes")):
            done = self.cache(*command, "--ns", "absent")
            self.assertIn("there is no cache namespace absent", done.complaint)
        self.assertEqual(self.cache("clear", "--yes", "--ns", "absent", "--json").json()["deleted"], 0)

    def test_a_refused_value_ends_the_one_before(self):
        self.cache("limit", "--max-size", "1MB")
        self.cache("set", "k", "old")
        self.refused("cache", "set", "k", code=FAILED, stdin=os.urandom(1_100_000),
                     mentions="The value before it was deleted")
        self.cache("get", "k", code=NOT_FOUND)


if __name__ == "__main__":
    unittest.main()
