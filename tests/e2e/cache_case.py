"""What tests of `sluice cache` share."""

import pathlib
import subprocess

from harness import DONE, SLUICE, SluiceTest

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
