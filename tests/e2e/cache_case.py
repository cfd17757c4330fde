"""What tests of `sluice cache` share."""

import os
import pathlib
import subprocess
import time

from harness import DONE, PATIENCE, SLUICE, SluiceTest

# What `exec` and `lock` exit with when it is not the command's own code.
TIMED_OUT, OWN_FAILURE, CANNOT_RUN, NO_COMMAND = 124, 125, 126, 127

ENGINE = str(pathlib.Path(SLUICE).resolve().parent.parent / "libexec/sluice/sluice-engine")


class CacheTest(SluiceTest):
    def cache(self, *words, code=DONE, **more):
        return self.sluice("cache", *words, code=code, **more)

    def size(self, **more):
        return self.cache("size", "--json", **more).json()

    def peak_of(self, *words, stdin, out, env=None):
        """Runs it with stdin and stdout from and to files. Returns the most memory it had, in kB."""
        # Started by a small program: what a process has before its exec counts as its own.
        script = ("import os, subprocess, sys\n"
                  "started = subprocess.Popen(sys.argv[1:])\n"
                  "_, status, usage = os.wait4(started.pid, 0)\n"
                  "print(status, usage.ru_maxrss, file=sys.stderr)\n")
        with open(stdin, "rb") as source, open(out, "wb") as target:
            done = subprocess.run(["python3", "-c", script, *map(str, words)], stdin=source,
                                  stdout=target, stderr=subprocess.PIPE, cwd=self.folder,
                                  env=self.environment(env), check=True)
        status, peak = map(int, done.stderr.split())
        self.assertEqual(status, 0)
        return peak

    def folder_of(self, namespace="default"):
        return self.home / "cache/sluice/cache" / namespace


class ProcessTest(SluiceTest):
    """Of processes that wait for each other."""

    def setUp(self):
        super().setUp()
        # Before the folder goes: what runs in the background may still write there.
        self.addCleanup(self.wait_for, self.nobody_is_left, "the processes in the background")

    def processes_here(self):
        """The processes of this test's cache, each with its command line."""
        mark = os.fsencode(f"XDG_CACHE_HOME={self.home}/cache")
        found = {}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found[int(process.name)] = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                pass  # it has ended, or is somebody else's
        return found

    def nobody_is_left(self):
        return not self.processes_here()

    def cache(self, *words, code=0, **more):
        return self.sluice("cache", *words, code=code, **more)

    def wait_for(self, condition, what):
        """For what another process does and does not tell: looks until it is so."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited in vain for {what}")
            time.sleep(0.005)

    def lines(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    @staticmethod
    def open_gate(gate):
        """Ends who reads there."""
        os.close(os.open(gate, os.O_WRONLY))

    def open_gate_for_survivors(self, gate):
        """The same for those that whoever was killed may have left behind."""
        def opened():
            try:
                os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                pass  # nobody reads there, or not yet
            return self.nobody_is_left()
        self.wait_for(opened, "those who were left behind")

    def fifo(self, name):
        os.mkfifo(self.folder / name)
        return self.folder / name
