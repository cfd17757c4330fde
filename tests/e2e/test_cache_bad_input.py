"""`sluice cache`: folders, disks and databases that cannot be used, and times that are over."""

import os
import pathlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import unittest

from cache_case import ENGINE, CacheTest
from harness import FAILED, NOT_FOUND, SLUICE, USAGE


class BadInput(CacheTest):
    @unittest.skipIf(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"),
                     "root writes everywhere")
    def test_a_read_only_folder(self):
        self.cache("set", "k", "v")
        self.cache("set", "big", stdin=b"x" * 200_000)
        folder = self.folder_of()
        everything = [folder, *folder.rglob("*")]
        drop, program = [], pathlib.Path(SLUICE)
        if os.geteuid() == 0:
            # The checkout may be where only root can look.
            program = self.folder / "program/bin/sluice"
            for file, copy in ((SLUICE, program),
                               (ENGINE, self.folder / "program/libexec/sluice/sluice-engine")):
                copy.parent.mkdir(parents=True)
                shutil.copy(file, copy)
            # As somebody who may read all and write nothing.
            drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            for path in [self.folder, self.home, self.home / "cache", *folder.parents[:2]]:
                if str(path).startswith(str(self.folder)):
                    path.chmod(0o755)
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)

        def run(*words, stdin=b""):
            done = subprocess.run([*drop, program, "cache", *words], capture_output=True, cwd="/",
                                  input=stdin, env=self.environment(), check=False)
            return done.returncode, done.stdout, done.stderr
        self.addCleanup(lambda: [p.chmod(0o755 if p.is_dir() else 0o644) for p in everything])
        self.assertEqual(run("get", "k"), (0, b"v", b""))
        self.assertEqual(run("get", "big")[:2], (0, b"x" * 200_000))
        self.assertEqual(run("size", "--json")[0], 0)
        for flags, asked, answer in (((), b'{"op":"get","key":"k"}', b'"value":"v"'),
                                     (("-0",), b"get\0k\0", b"hit\0v\0")):
            code, out, err = run("batch", *flags, stdin=asked)
            self.assertEqual((code, err), (0, b""))
            self.assertIn(answer, out)
        # More than is kept in memory, where no file can be made beside the entries.
        code, out, err = run("batch", "-0", stdin=b"get\0big\0" * 50)
        self.assertEqual((code, err), (0, b""))
        self.assertTrue(out == (b"hit\0" + b"x" * 200_000 + b"\0") * 50)
        code, out, err = run("batch", "-0", stdin=b"set\0k\0v\0")
        self.assertEqual((code, out, len(err.splitlines())), (FAILED, b"", 1), err)
        code, out, err = run("set", "k", "other")
        self.assertEqual((code, out, len(err.splitlines())), (FAILED, b"", 1), err)

    def test_a_full_disk(self):
        self.cache("set", "k", "v")

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        done = subprocess.run([SLUICE, "cache", "set", "big"], input=b"\xff" + os.urandom(400_000),
                              capture_output=True, env=self.environment(), preexec_fn=small_files,
                              check=False)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (FAILED, 1), done.stderr)
        self.cache("get", "big", code=NOT_FOUND)
        self.assertEqual(self.cache("get", "k").out, b"v")
        self.cache("verify")

    def test_foreign_newer_and_damaged_databases(self):
        self.cache("set", "k", "v")
        path = self.folder_of() / "cache.db"
        self.assertFalse((path.parent / "cache.db-wal").stat().st_size)
        whole = path.read_bytes()
        with sqlite3.connect(path) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute(f"PRAGMA user_version={version + 1}")
        database.close()
        for command in (("get", "k"), ("set", "k", "v"), ("size",)):
            self.refused("cache", *command, code=FAILED, mentions="newer")
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE someone (elses)")
        database.close()
        for command in (("get", "k"), ("set", "k", "v")):
            done = self.cache(*command, code=USAGE)
            self.assertEqual(done.out, b"")
        path.write_bytes(whole[:100] + b"\xa5" * (len(whole) - 100))
        for command in (("get", "k"), ("set", "k", "v"), ("size",)):
            self.refused("cache", *command, code=FAILED, mentions="repair")
        self.cache("repair")
        self.cache("set", "k", "new")
        self.assertEqual(self.cache("get", "k").out, b"new")

    def test_a_vanished_value(self):
        self.cache("set", "big", stdin=os.urandom(200_000))
        self.cache("set", "k", "v")
        for path in (self.folder_of() / "values").rglob("*"):
            if path.is_file():
                path.unlink()
        lost = self.run_sluice("cache", "get", "big")
        self.assertIn(lost.code, (FAILED, NOT_FOUND))
        self.assertEqual(lost.out, b"")
        done = self.cache("verify", code=FAILED)
        self.assertIn("repair", done.complaint)
        self.cache("repair")
        self.cache("verify")
        self.assertEqual(self.cache("list").lines(), ["k"])

    def test_closed_descriptors(self):
        """With stdout closed, the database must not be opened in its place and written into."""
        self.cache("set", "k", "v")
        for redirect in (">&-", "<&- >&- 2>&-"):
            done = subprocess.run(f"'{SLUICE}' cache get k {redirect}", shell=True, check=False,
                                  env=self.environment())
            self.assertNotEqual(done.returncode, 0)
        self.cache("verify")
        self.assertEqual(self.cache("get", "k").out, b"v")

    def test_the_deadline(self):
        late = self.start("cache", "set", "k", "--deadline", "100ms", stdin=subprocess.PIPE)
        self.assertEqual(late.process.wait(timeout=60), 6)  # its stdin never ends
        self.assertIn("deadline", late.end().complaint)
        for words in (["batch"], ["batch", "-0"]):
            late = self.start("cache", *words, "--deadline", "100ms", stdin=subprocess.PIPE)
            self.assertEqual(late.process.wait(timeout=60), 6, words)
            late.end()


if __name__ == "__main__":
    unittest.main()
