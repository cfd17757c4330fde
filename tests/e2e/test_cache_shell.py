"""packaging/shell/sluice-cache.sh, in every shell that is there."""

import json
import shutil
import subprocess
import unittest

from harness import NOT_FOUND, ROOT, SLUICE, SOME_FAILED, USAGE, SluiceTest

LIBRARY = ROOT / "packaging/shell/sluice-cache.sh"
SHELLS = [shell for shell in ("bash", "dash", "zsh", "busybox") if shutil.which(shell)]
ODD = "it's \"odd\" $HOME `x` \\ * ? [a]\n-n \t%s \\0 ключ\x01\x7f"


class ShellLibrary(SluiceTest):
    def run_script(self, shell, script, *arguments, code=0, env=None):
        words = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
        done = subprocess.run(
            [*words, f". '{LIBRARY}'\n{script}", "script", *arguments], capture_output=True,
            cwd=self.folder, check=False, timeout=120,
            env=self.environment({"SLUICE_COMMAND": SLUICE, **(env or {})}))
        self.assertEqual(done.returncode, code, f"{shell}: {done.stdout!r} {done.stderr!r}")
        return done.stdout.decode()

    def each(self):
        for shell in SHELLS:
            with self.subTest(shell=shell):
                yield lambda script, *words, shell=shell, **more: self.run_script(
                    shell, script, *words, env={"SLUICE_NS": shell, **more.pop("env", {})}, **more)

    def test_write_and_read(self):
        for run in self.each():
            self.assertEqual(run("write_cache_with_metadata \"$1\" \"$2\" 60; "
                                 "read_cache_with_ttl \"$1\"", ODD, ODD + "\n\n"), ODD + "\n\n")
            run("read_cache_with_ttl none", code=NOT_FOUND)
            run("write_cache_with_metadata -k -v 0; read_cache_with_ttl -k 10")
            listed = run('"$SLUICE_COMMAND" cache list --json').splitlines()
            self.assertEqual(["expires" in json.loads(line) for line in listed], [False, True])

    def test_any_value_as_an_argument(self):
        long = "x" * 120_000  # of the 128 KiB that the kernel allows one
        for run in self.each():
            self.assertEqual(run("write_cache_with_metadata k \"$1\"; read_cache_with_ttl k", long),
                             long)

    def test_batches(self):
        for run in self.each():
            run("batch_write_cache \"$@\"", "a", "1", "b:c", ODD, "empty", "")
            self.assertEqual(run("batch_read_cache a none b:c empty"),
                             f"a:1\nb:c:{ODD}\nempty:\n")
            self.assertEqual(run("batch_read_cache -0 a none b:c"),
                             f"hit\0001\0miss\0\0hit\0{ODD}\0")
            run("batch_write_cache 'x:1\ny:2:3\n'; printf 'z:4\\n' | batch_write_cache")
            self.assertEqual(run("batch_read_cache x y z"), "x:1\ny:2:3\nz:4\n")
            run("batch_write_cache a 1 b", code=USAGE)

    def test_what_a_batch_could_not_store_is_told(self):
        for run in self.each():
            said = run("batch_write_cache 'good:1\nno colon' 2>&1", code=SOME_FAILED)
            self.assertIn("line 2", said)
            self.assertNotIn("no colon", said)  # it may be a part of a secret
            self.assertEqual(run("read_cache_with_ttl good"), "1")
            self.assertIn("key is empty", run("batch_write_cache '' v a 1 2>&1", code=SOME_FAILED))
            self.assertEqual(run("read_cache_with_ttl a"), "1")

    def test_times_may_have_a_unit(self):
        for run in self.each():
            self.assertEqual(run("write_cache_with_metadata k v 5m; read_cache_with_ttl k 5m;"
                                 "read_cache_with_ttl k 60"), "vv")
            run("read_cache_with_ttl k five", code=USAGE)
            self.assertEqual(run("acquire_lock l 1m && echo mine"), "mine\n")

    def test_sizes_and_limits(self):
        for run in self.each():
            run("write_cache_with_metadata k 12345")
            self.assertEqual(run("get_cache_size"), "6\n")
            self.assertEqual(run("CACHE_SIZE_TRACKING=disabled; export CACHE_SIZE_TRACKING; "
                                 "get_cache_size"), "6\n")
            self.assertEqual(run("rebuild_size_index"), "6\n")
            self.assertEqual(run("write_cache_with_metadata old x 1ms; enforce_cache_limits '' 5kB; "
                                 "get_cache_size"), "6\n")
            # Another namespace by its name.
            self.assertEqual(run("clear_developer_cache other; get_cache_size other"), "0\n")
            self.assertEqual(run("get_cache_size"), "6\n")
            self.assertEqual(run("clear_developer_cache; get_cache_size"), "0\n")

    def test_metrics(self):
        for run in self.each():
            run("record_performance_metric write_cache 1000 1015")
            metrics = json.loads(run("get_performance_metrics"))
            self.assertEqual((metrics["write_cache"]["count"], metrics["write_cache"]["total"]),
                             (1, 15))
            # Zeros in front make no number octal, and one of many digits is none.
            run("record_performance_metric read_cache 0000 008")
            run("record_performance_metric read_cache 9 010")
            self.assertEqual(json.loads(run("get_performance_metrics"))["read_cache"]["total"], 9)
            run("record_performance_metric read_cache 1 9999999999999999999", code=USAGE)
            metrics = json.loads(run("get_performance_metrics"))
            run("record_performance_metric write_cache 1 2",
                env={"CACHE_PERF_MONITORING": "disabled"})
            self.assertEqual(json.loads(run("get_performance_metrics")), metrics)
            run("record_performance_metric nonsense 1 2", code=USAGE)
            again = json.loads(run("cleanup_performance_metrics; get_performance_metrics"))
            self.assertEqual(list(again), ["counters"])
            self.assertEqual(set(again["counters"].values()), {0})

    def test_metrics_run_nothing_that_is_given_as_a_time(self):
        for run in self.each():
            planted = "a[$(touch planted)0]"
            for start, end in ((planted, "1"), ("1", planted), ("1:2", "3"), ("", "1"), ("1", "-2"),
                               ("1", "PATH")):
                run("record_performance_metric write_cache \"$1\" \"$2\"", start, end, code=2)
            self.assertFalse((self.folder / "planted").exists())

    def test_failures_are_passed_on(self):
        for run in self.each():
            broken = {"SLUICE_NS": "a/b"}
            code = "; code=$?; \"$SLUICE_COMMAND\" cache size --json; " \
                "[ $code -eq $? ] && [ $code -ne 0 ] && exit 77"
            for call in ("get_cache_size", "batch_read_cache a b"):
                self.assertEqual(run(call + code, env=broken, code=77), "")
            run("batch_read_cache none", code=0)

    def test_locks(self):
        for run in self.each():
            self.assertEqual(run(
                "acquire_lock 'the lock' && echo mine\n"
                "\"$SLUICE_COMMAND\" cache lock 'the lock' --timeout 50ms -- true 2>/dev/null; echo $?\n"
                "release_lock 'the lock'\n"
                "\"$SLUICE_COMMAND\" cache lock 'the lock' -- echo free\n"
                "acquire_lock 'the lock'"), "mine\n124\nfree\n")
            # The shell has ended, and so has its lock.
            self.assertEqual(run("acquire_lock 'the lock' 60 && echo mine"), "mine\n")


if __name__ == "__main__":
    unittest.main()
