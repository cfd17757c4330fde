"""`sluice cache exec` where the cache cannot be used, or the machine has little of something: the command
runs all the same.
"""

import os
import resource
import signal
import sqlite3
import subprocess
import unittest

from cache_case import ENGINE, NO_COMMAND, OWN_FAILURE, ProcessTest
from harness import PATIENCE, SLUICE


class NoCache(ProcessTest):
    """A cache that cannot be used keeps no command from running."""

    COMMAND = ("exec", "--ttl", "1h", "--", "sh", "-c", "echo run >> runs; echo out; echo err >&2; exit 5")

    def runs_all_the_same(self, *mentions, times=1):
        before = len(self.lines("runs"))
        for _ in range(times):
            done = self.cache(*self.COMMAND, code=5)
            self.assertEqual(done.out, b"out\n")
            *warning, said = done.err.splitlines()
            self.assertEqual((said, len(warning)), (b"err", 1), done.err)
            for word in mentions:
                self.assertIn(word, warning[0].decode())
        self.assertEqual(len(self.lines("runs")), before + times)

    def test_no_folder(self):
        (self.home / "cache").mkdir(parents=True, exist_ok=True)
        (self.home / "cache/sluice").write_text("a file in its place")
        self.runs_all_the_same("runs without it", times=2)
        # What keeps Sluice from understanding the command line is told by 125 all the same.
        self.cache("exec", "--frob", "--", "true", code=OWN_FAILURE)
        self.cache("exec", "--", "nosuch", code=NO_COMMAND)

    def database(self):
        return self.home / "cache/sluice/cache/default/cache.db"

    def test_a_damaged_database(self):
        self.cache("set", "k", "v")
        self.database().write_bytes(b"\xa5" * 8192)
        self.runs_all_the_same("repair", times=2)

    def test_a_damaged_page(self):
        self.cache(*self.COMMAND, code=5)
        whole = self.database().read_bytes()
        self.database().write_bytes(whole[:100] + b"\xa5" * (len(whole) - 100))
        self.runs_all_the_same("repair", times=2)

    def test_a_newer_database(self):
        self.cache("set", "k", "v")
        with sqlite3.connect(self.database()) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute(f"PRAGMA user_version={version + 1}")
        database.close()
        self.runs_all_the_same("newer", times=2)

    def test_a_lost_value(self):
        command = ["exec", "--ttl", "1h", "--", "sh", "-c",
                   "echo run >> runs; head -c 200000 /dev/urandom"]
        first = self.cache(*command).out
        values = [path for path in (self.database().parent / "values").rglob("*") if path.is_file()]
        self.assertEqual(len(values), 1)
        values[0].unlink()
        second = self.cache(*command)
        self.assertIn("run anew", second.complaint)
        self.assertNotEqual(second.out, first)
        third = self.cache(*command)
        self.assertEqual((third.out, third.err), (second.out, b""))
        self.assertEqual(len(self.lines("runs")), 2)
        self.cache("verify")

    def test_a_damaged_value_that_is_not_replaced_goes(self):
        command = ["exec", "--discard-failures", "--", "sh", "-c",
                   "test -e first && exit 9; touch first; head -c 200000 /dev/urandom"]
        self.cache(*command)
        for path in (self.database().parent / "values").rglob("*"):
            if path.is_file():
                path.unlink()
        self.assertIn("could not be read", self.cache(*command, code=9).complaint)
        self.assertEqual(self.cache("list").out, b"")
        self.assertEqual(self.cache(*command, code=9).err, b"")

    @unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/usr/bin/setpriv"),
                         "needs a second user")
    def test_a_folder_of_somebody_else(self):
        self.cache("set", "k", "v")
        for path in (self.folder, self.home, *self.database().parents):
            if str(path).startswith(str(self.folder)):
                path.chmod(0o755)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SLUICE,
                               "cache", "exec", "--", "sh", "-c", "echo out; exit 5"],
                              capture_output=True, env=self.environment(), cwd="/", check=False)
        self.assertEqual((done.returncode, done.stdout), (5, b"out\n"), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_a_full_disk(self):
        def no_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        done = subprocess.run([SLUICE, "cache", "exec", "--", "sh", "-c", "echo out; exit 5"],
                              capture_output=True, env=self.environment(), preexec_fn=no_room,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (5, b"out\n"), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class Limits(ProcessTest):
    """Of the process (ulimit): the command runs, whether or not its result can be kept."""

    def run_limited(self, program, *words, **limits):
        def limit():
            for name, most in limits.items():
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
        return subprocess.run([program, "cache", *words], env=self.environment(), cwd=self.folder,
                              capture_output=True, preexec_fn=limit, check=False, timeout=PATIENCE)

    def test_small_files(self):
        for program in (SLUICE, ENGINE):
            for most in (0, 1000, 30_000, 100_000, 200_000):
                done = self.run_limited(program, "exec", "--", "sh", "-c",
                                        f"head -c 300000 /dev/urandom; exit 5 # {most}",
                                        FSIZE=most)
                self.assertEqual((done.returncode, len(done.stdout)), (5, 300000), done.stderr)
            done = self.run_limited(program, "set", "k", "x" * 50_000, FSIZE=20_000)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
        self.assertEqual(self.cache("list").out, b"")

    def test_a_command_ends_as_it_does_without(self):
        # Of a file that is too large, unless the caller wants to know that by the error.
        command = ["exec", "--ttl", "0", "--", "dd", "if=/dev/zero", "of=large", "count=1000"]
        for program in (SLUICE, ENGINE):
            self.assertEqual(self.run_limited(program, *command, FSIZE=1000).returncode,
                             128 + signal.SIGXFSZ)
            kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            try:
                self.assertEqual(
                    subprocess.run([program, "cache", *command], env=self.environment(),
                                   cwd=self.folder, stderr=subprocess.DEVNULL, check=False,
                                   restore_signals=False,
                                   preexec_fn=lambda: resource.setrlimit(
                                       resource.RLIMIT_FSIZE, (1000, 1000))).returncode, 1)
            finally:
                signal.signal(signal.SIGXFSZ, kept)

    def test_little_memory(self):
        # All that was written comes, or it is told that it does not.
        for most in range(5_000_000, 9_000_000, 100_000):
            done = self.run_limited(SLUICE, "exec", "--", "head", "-c", "15000000", "/dev/zero", AS=most)
            if done.returncode == 0:
                self.assertEqual(len(done.stdout), 15_000_000, most)
        most = 24_000_000
        told = 0
        while most < 200_000_000:
            done = self.run_limited(SLUICE, "exec", "-v", "--", "sh", "-c",
                                    f"head -c 15000000 /dev/zero; exit 5 # {most}", AS=most)
            self.assertEqual((done.returncode, len(done.stdout)), (5, 15_000_000), done.stderr)
            told += b"not enough memory" in done.stderr
            most += 4_000_000
        self.assertTrue(told)


class WithoutACache(ProcessTest):
    def test_a_folder_that_was_deleted(self):
        gone = self.folder / "gone"
        gone.mkdir()
        done = subprocess.run(
            ["sh", "-c", f"rmdir {gone}; \"$0\" cache exec -- sh -c 'echo ran; exit 7'", SLUICE],
            cwd=gone, env=self.environment(), capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (7, b"ran\n"))
        self.assertIn(b"runs without it", done.stderr)


    def test_a_folder_with_a_long_path(self):
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        for _ in range(20):  # more than PATH_MAX, 4096 bytes
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        for program in (SLUICE, ENGINE):
            done = subprocess.run([program, "cache", "exec", "--", "sh", "-c", "echo ran; exit 7"],
                                  env=self.environment(), capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (7, b"ran\n"), done.stderr)
            self.assertIn(b"runs without it", done.stderr)


if __name__ == "__main__":
    unittest.main()
