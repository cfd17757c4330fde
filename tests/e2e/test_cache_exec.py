"""`sluice cache exec`: who runs, who waits, and what is told."""

import fcntl
import os
import pathlib
import signal
import subprocess
import time
import unittest

from cache_case import CANNOT_RUN, NO_COMMAND, OWN_FAILURE, ProcessTest
from harness import PATIENCE, SLUICE


class Exec(ProcessTest):
    def test_keeps_output_errors_and_code(self):
        command = ["sh", "-c", 'echo run >> runs; printf "a\\0b"; echo err >&2; exit 3']
        for _ in range(3):
            done = self.cache("exec", "--", *command, code=3)
            self.assertEqual((done.out, done.err), (b"a\0b", b"err\n"))
        self.assertEqual(self.lines("runs"), ["run"])

    def test_what_it_is_known_by(self):
        def runs(*flags, env=None, cwd=None, word="x"):
            before = len(self.lines("runs"))
            subprocess.run([SLUICE, "cache", "exec", *flags, "--", "sh", "-c",
                            f'echo run >> "{self.folder}/runs"', word],
                           env=self.environment(env), cwd=cwd or self.folder, check=True)
            return len(self.lines("runs")) > before
        other = self.folder / "other"
        other.mkdir()
        self.assertTrue(runs())
        self.assertFalse(runs())
        self.assertTrue(runs(word="y"))
        self.assertTrue(runs(cwd=other))
        self.assertFalse(runs(env={"COLOUR": "red"}))
        self.assertTrue(runs("--key-env", "COLOUR"))
        self.assertTrue(runs("--key-env", "COLOUR", env={"COLOUR": "red"}))
        self.assertTrue(runs("--key-env", "COLOUR", env={"COLOUR": ""}))
        self.assertFalse(runs("--key-env", "COLOUR", env={"COLOUR": "red"}))
        self.assertTrue(runs("--key-file", "data"))
        self.file("data", "1")
        self.assertTrue(runs("--key-file", "data"))
        self.assertFalse(runs("--key-file", "data"))
        self.file("data", "2")
        self.assertTrue(runs("--key-file", "data"))

    def test_failures(self):
        command = ["sh", "-c", "echo run >> runs; exit 1"]
        for _ in range(2):
            self.cache("exec", "--discard-failures", "--", *command, code=1)
        self.assertEqual(len(self.lines("runs")), 2)
        self.assertIn("nosuch", self.cache("exec", "--", "nosuch", code=NO_COMMAND).complaint)
        self.cache("exec", "--", "/etc/passwd", code=CANNOT_RUN)
        self.cache("exec", code=OWN_FAILURE)
        self.cache("exec", "--ttl", "soon", "--", "true", code=OWN_FAILURE)
        self.cache("exec", "--ns", "a/b", "--", "true", code=OWN_FAILURE)
        self.cache("exec", "--key-file", "/proc/self/mem", "--", "true", code=OWN_FAILURE)
        self.assertEqual(self.cache("list").out, b"")

    def test_a_killed_command_is_not_kept(self):
        for _ in range(2):
            self.cache("exec", "--", "sh", "-c", "echo run >> runs; kill -KILL $$", code=128 + 9)
        self.assertEqual(len(self.lines("runs")), 2)

    def test_streams_pass_through_while_it_runs(self):
        gate = self.fifo("gate")
        run = self.start("cache", "exec", "--", "sh", "-c", f"echo first; cat '{gate}'; echo last")
        self.assertEqual(run.process.stdout.readline(), b"first\n")
        gate.write_text("opened\n")
        done = run.end()
        self.assertEqual((done.code, done.out), (0, b"opened\nlast\n"))

    def test_long_output_is_passed_on_and_not_kept(self):
        command = ["exec", "--max-output", "100kB", "--", "sh", "-c",
                   "echo run >> runs; seq 1 100000"]
        for _ in range(2):
            self.assertEqual(len(self.cache(*command).lines()), 100000)
        self.assertEqual(len(self.lines("runs")), 2)
        for _ in range(2):
            out = self.cache("exec", "--", "sh", "-c", "echo run >> runs; seq 1 100000").lines()
            self.assertEqual(len(out), 100000)
        self.assertEqual(len(self.lines("runs")), 3)

    def test_stdin_is_empty_and_the_umask_the_callers(self):
        script = f"umask 027; echo in | '{SLUICE}' cache exec -- sh -c 'wc -c; umask'"
        done = subprocess.run(["sh", "-c", script], capture_output=True, env=self.environment(),
                              check=True)
        self.assertEqual(done.stdout.split(), [b"0", b"0027"])
        engine = pathlib.Path(SLUICE).resolve().parent.parent / "libexec/sluice/sluice-engine"
        done = subprocess.run(["sh", "-c", script.replace(SLUICE, str(engine)).replace("umask'", "umask '")],
                              capture_output=True, env=self.environment(), check=True)
        self.assertEqual(done.stdout.split(), [b"0", b"0027"])

    def test_a_process_left_behind_is_not_waited_for(self):
        gate = self.fifo("gate")
        done = self.cache("exec", "--", "sh", "-c", f"cat '{gate}' & echo done")
        self.assertEqual(done.out, b"done\n")
        self.open_gate(gate)

    def test_stale_results_come_at_once_and_are_made_anew(self):
        command = ["exec", "--ttl", "1ms", "--stale", "1h", "--", "sh", "-c",
                   "echo run >> runs; wc -l < runs"]
        self.assertEqual(self.cache(*command).out.split(), [b"1"])
        self.assertEqual(self.cache(*command).out.split(), [b"1"])
        self.wait_for(lambda: len(self.lines("runs")) >= 2, "the run in the background")
        self.wait_for(lambda: self.cache(*command).out.split() != [b"1"], "its result")

    def test_a_background_run_holds_nothing_of_the_caller(self):
        gate = self.fifo("gate")
        command = (f"'{SLUICE}' cache exec --ttl 1ms --stale 1h -- "
                   f"sh -c 'test -e first && cat \"{gate}\"; touch first; echo out'")
        for _ in range(2):
            done = subprocess.run(["sh", "-c", command], capture_output=True, cwd=self.folder,
                                  env=self.environment(), timeout=60, check=True)
            self.assertEqual(done.stdout, b"out\n")
        gate.write_text("")  # waits for the one in the background, and ends it

    def test_two_hundred_callers_run_it_once(self):
        gate = self.fifo("gate")
        command = [SLUICE, "cache", "exec", "--", "sh", "-c",
                   f"echo run >> '{self.folder}/runs'; cat '{gate}'; echo err >&2; exit 7"]
        callers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=self.environment(), cwd=self.folder) for _ in range(200)]
        gate.write_text("result\n")  # when the runner is there
        for caller in callers:
            out, err = caller.communicate(timeout=PATIENCE)
            self.assertEqual((caller.returncode, out, err), (7, b"result\n", b"err\n"))
        self.assertEqual(self.lines("runs"), ["run"])

    def test_a_killed_runner_frees_the_others(self):
        gate = self.fifo("gate")
        command = ["cache", "exec", "--", "sh", "-c",
                   f"echo $$ >> pids; test $(wc -l < pids) -gt 1 || cat '{gate}'; echo done"]
        first = self.start(*command)
        self.wait_for(lambda: self.lines("pids"), "the first run")
        others = [self.start(*command) for _ in range(8)]
        first.send(signal.SIGKILL)
        for other in others:
            done = other.end()
            self.assertEqual((done.code, done.out), (0, b"done\n"), str(done))
        self.assertEqual(len(self.lines("pids")), 2)
        # The command of the runner that died got a signal; what that had started goes on.
        self.wait_for(lambda: not os.path.exists(f"/proc/{self.lines('pids')[0]}"), "its end")
        self.open_gate_for_survivors(gate)
        first.end()

    def test_signals_go_on_to_the_command(self):
        for number, code in ((signal.SIGTERM, 21), (signal.SIGINT, 22), (signal.SIGUSR1, 23)):
            with self.subTest(signal=number):
                run = self.start("cache", "exec", "--", "sh", "-c",
                                 f"trap 'exit 21' TERM; trap 'exit 22' INT; trap 'exit 23' USR1;"
                                 f"echo ready; while :; do sleep 0.01; done # {number}")
                self.assertEqual(run.process.stdout.readline(), b"ready\n")
                run.send(number)
                self.assertEqual(run.end().code, code)
        # Interrupted: not what the command gives when it is left alone. USR1 does not interrupt.
        self.assertEqual(len(self.cache("list").lines()), 1)

    def test_a_signal_that_is_ignored_stays_so(self):
        ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)

        def ignore():
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)
        gate = self.fifo("gate")
        command = ["exec", "--", "sh", "-c",
                   f"echo run >> runs; test $(wc -l < runs) -gt 1 || cat '{gate}';"
                   "grep SigIgn /proc/$$/status"]
        process = subprocess.Popen([SLUICE, "cache", *command], stdout=subprocess.PIPE,
                                   env=self.environment(), cwd=self.folder, preexec_fn=ignore)
        self.addCleanup(process.kill)
        self.wait_for(lambda: self.lines("runs"), "the command")
        for number in ignored:
            process.send_signal(number)
        gate.write_text("")
        out = process.communicate(timeout=PATIENCE)[0]
        self.assertEqual(process.returncode, 0)
        mask = int(out.split()[1], 16)
        self.assertTrue(all(mask >> (number - 1) & 1 for number in ignored), out)
        self.assertEqual(self.cache(*command).out, out)
        self.assertEqual(self.lines("runs"), ["run"])

    def test_the_deadline(self):
        run = self.start("cache", "exec", "--deadline", "200ms", "--", "sleep", "600")
        done = run.end()
        self.assertEqual(done.code, OWN_FAILURE)
        self.assertIn("deadline", done.complaint)
        self.assertIn("SIGKILL 5s later", " ".join(self.cache("exec", "--help").text.split()))
        self.assertIn("SIGKILL 5s later", " ".join(self.cache("lock", "--help").text.split()))

    def test_the_deadline_of_a_command_that_goes_on(self):
        for words in (["exec"], ["lock", "l"]):
            with self.subTest(words):
                began = time.monotonic()
                done = self.cache(*words, "--deadline", "100ms", "--", "sh", "-c",
                                  "trap '' TERM; exec sleep 60", code=OWN_FAILURE)
                self.assertGreater(time.monotonic() - began, 5)
                self.assertIn("deadline", done.complaint)

    def test_the_deadline_of_a_reader_that_does_not_read(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        # One that is ended, one that has ended, and one whose result is there.
        for command in (["yes"], ["seq", "100000"], ["seq", "100000"]):
            done = subprocess.run(
                [SLUICE, "cache", "exec", "--deadline", "500ms", "--", *command], stdout=writer,
                stderr=subprocess.PIPE, env=self.environment(), cwd=self.folder, timeout=PATIENCE,
                check=False)
            self.assertEqual(done.returncode, OWN_FAILURE)
            self.assertIn(b"the --deadline is over", done.stderr)
        self.assertEqual(len(self.cache("list").lines()), 1)

    def test_a_background_run_knows_no_deadline(self):
        (self.folder / "first").touch()
        command = ["exec", "--ttl", "1ms", "--stale", "1h", "--deadline", "400ms", "--", "sh", "-c",
                   "echo run >> runs; rm first || sleep 1; wc -l < runs"]
        self.assertEqual(self.cache(*command).out.split(), [b"1"])
        self.assertEqual(self.cache(*command).out.split(), [b"1"])
        self.wait_for(lambda: len(self.lines("runs")) >= 2, "the run in the background")
        self.wait_for(self.nobody_is_left, "its end")
        self.assertEqual(self.cache(*command).out.split(), [b"2"])


class SlowReader(ProcessTest):
    """Whose reader reads slowly, or not at all, keeps nobody waiting."""

    COMMAND = ["sh", "-c", "echo run >> runs; seq 100000"]
    OUT = b"".join(b"%d\n" % number for number in range(1, 100001))

    def test_its_result_is_there_for_others(self):
        unread = self.start("cache", "exec", "--", *self.COMMAND)
        self.wait_for(lambda: self.lines("runs"), "the first run")
        self.assertEqual(self.cache("exec", "--", *self.COMMAND).out, self.OUT)
        self.assertEqual(self.lines("runs"), ["run"])
        self.assertIsNone(unread.process.poll())
        done = unread.end()
        self.assertEqual((done.code, done.out), (0, self.OUT))

    def test_others_do_not_wait_for_what_is_not_kept(self):
        command = ["exec", "--max-output", "10kB", "--", *self.COMMAND]
        unread = self.start("cache", *command)
        self.wait_for(lambda: self.lines("runs"), "the first run")
        self.assertEqual(self.cache(*command).out, self.OUT)
        self.assertEqual(len(self.lines("runs")), 2)
        # Nothing but its reader holds up the command: memory has an end.
        self.assertIsNone(unread.process.poll())
        done = unread.end()
        self.assertEqual((done.code, done.out), (0, self.OUT))

    def test_both_streams_come_whole_and_apart(self):
        for most in ("16MB", "10kB"):
            done = self.cache("exec", "--max-output", most, "--", "sh", "-c",
                              "seq 100000; seq 100000 >&2; seq 100000; exit 4", code=4)
            self.assertEqual((done.out, done.err), (self.OUT * 2, self.OUT))

    def read_without_blocking_the_writer(self, stream, *words):
        """Through a pipe that its other end does not want to wait for."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        process = subprocess.Popen([SLUICE, "cache", *words], env=self.environment(),
                                   cwd=self.folder, **{stream: writer})
        os.close(writer)
        got = b""
        with open(reader, "rb", buffering=0) as pipe:
            while piece := pipe.read(65536):
                got += piece
                time.sleep(0.001)  # slower than who writes
        return process.wait(timeout=PATIENCE), got

    def test_a_pipe_that_does_not_block(self):
        large = os.urandom(1000000)
        self.cache("set", "large", "-", stdin=large)
        self.assertEqual(self.read_without_blocking_the_writer("stdout", "get", "large"), (0, large))
        for stream, script in (("stdout", "seq 100000; exit 3"), ("stderr", "seq 100000 >&2; exit 3")):
            for _ in range(2):  # the command's, and the stored
                got = self.read_without_blocking_the_writer(stream, "exec", "--", "sh", "-c", script)
                self.assertEqual(got, (3, self.OUT))

    def test_what_outlives_the_command_is_not_read(self):
        run = self.start("cache", "exec", "--max-output", "10kB", "--", "sh", "-c",
                         "yes & echo $$ $! > pids; sleep 0.2; exit 3")
        self.wait_for(lambda: self.lines("pids"), "the command")
        command, left_behind = self.lines("pids")[0].split()
        self.wait_for(lambda: not os.path.exists(f"/proc/{command}"), "its end")
        got = 0
        while piece := os.read(run.process.stdout.fileno(), 4096):
            got += len(piece)
            self.assertLess(got, 1 << 20)  # some pipes and buffers of 64 KiB
            time.sleep(0.001)  # slower than who writes
        self.assertEqual(run.end().code, 3)
        self.wait_for(lambda: not os.path.exists(f"/proc/{left_behind}"), "the other's end")


class NotShared(ProcessTest):
    """Whose result may not be stored: those who wait do not wait for each other, too."""

    WAITERS = 8

    def generations(self, *flags, script, env=None):
        """Runs one, and eight while it runs. Returns how many runs followed each other at the deepest,
        how many there were, and with which codes the callers ended."""
        gate = self.fifo("gate")
        command = ["cache", "exec", *flags, "--", "sh", "-c",
                   f"echo begin $$ >> marks; test -e later && sleep 0.3 || cat '{gate}';"
                   f"echo end $$ >> marks; {script}"]
        first = self.start(*command, env=env)
        self.wait_for(lambda: self.lines("marks"), "the first run")
        others = [self.start(*command, env=env) for _ in range(self.WAITERS)]
        pids = {other.process.pid for other in others}
        self.wait_for(lambda: all(self.sleeps(pid) for pid in pids), "those who wait")
        (self.folder / "later").touch()
        self.open_gate(gate)
        codes = {run.end().code for run in (first, *others)}
        depth, running, deepest = {}, set(), 0
        ended = 0
        for line in self.lines("marks"):
            what, pid = line.split()
            if what == "begin":
                depth[pid] = ended + 1
                deepest = max(deepest, depth[pid])
                running.add(pid)
            else:
                running.discard(pid)
                ended = max(ended, depth[pid])
        self.assertFalse(running)
        return deepest, len(depth), codes

    @staticmethod
    def sleeps(pid):
        try:
            return "State:\tS" in pathlib.Path(f"/proc/{pid}/status").read_text() and any(
                pathlib.Path(f"/proc/{pid}/fd/{name}").resolve().name.startswith("n-memo")
                for name in os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return False

    def test_failures_that_are_discarded(self):
        deepest, runs, codes = self.generations("--discard-failures", script="exit 3")
        self.assertEqual((runs, codes), (1 + self.WAITERS, {3}))
        self.assertLessEqual(deepest, 2)

    def test_those_who_wait_by_the_clock(self):
        deepest, runs, codes = self.generations("--discard-failures", script="exit 3",
                                                env={"LOCK_BACKOFF_STRATEGY": "linear"})
        self.assertEqual((runs, codes), (1 + self.WAITERS, {3}))
        self.assertLessEqual(deepest, 2)

    def test_output_that_is_too_long(self):
        deepest, runs, codes = self.generations("--max-output", "10kB", script="seq 1 10000")
        self.assertEqual((runs, codes), (1 + self.WAITERS, {0}))
        self.assertLessEqual(deepest, 2)

    def test_a_command_that_is_killed(self):
        deepest, runs, codes = self.generations(script="kill -SEGV $$")
        self.assertEqual((runs, codes), (1 + self.WAITERS, {128 + 11}))
        self.assertLessEqual(deepest, 2)

    def test_a_ttl_of_nothing(self):
        # Nobody waits: each has to have a result of its own.
        command = ["cache", "exec", "--ttl", "0", "--", "sh", "-c",
                   "echo run >> marks; while ! test -e go; do sleep 0.01; done"]
        runs = [self.start(*command) for _ in range(4)]
        self.wait_for(lambda: len(self.lines("marks")) == 4, "all at once")
        (self.folder / "go").touch()
        self.assertEqual({run.end().code for run in runs}, {0})

    def test_one_that_succeeds_after_all_is_shared(self):
        command = ["cache", "exec", "--discard-failures", "--", "sh", "-c", "echo run >> marks; exit 0"]
        self.generations("--discard-failures", script="exit 3")
        os.unlink(self.folder / "marks")
        for _ in range(2):
            self.cache(*command[1:])
        self.assertEqual(len(self.lines("marks")), 1)


if __name__ == "__main__":
    unittest.main()
