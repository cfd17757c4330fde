"""`sluice cache lock`: who runs, who waits, and what is told."""

import os
import resource
import signal
import subprocess
import unittest

from cache_case import CANNOT_RUN, NO_COMMAND, OWN_FAILURE, TIMED_OUT, ProcessTest
from harness import PATIENCE, SLUICE, USAGE


class Lock(ProcessTest):
    def test_code_and_streams_are_the_commands(self):
        done = self.cache("lock", "l", "--", "sh", "-c", "cat; echo err >&2; exit 7", code=7,
                          stdin=b"in")
        self.assertEqual((done.out, done.err), (b"in", b"err\n"))
        self.cache("lock", "l", "--", "nosuch", code=NO_COMMAND)
        self.cache("lock", "l", "--", "/etc/passwd", code=CANNOT_RUN)
        self.cache("lock", "l", code=OWN_FAILURE)
        self.cache("lock", "l", "--", "sh", "-c", "kill -TERM $$", code=128 + 15)
        self.cache("lock", "any name / at all", "--", "true")

    def test_one_at_a_time(self):
        counter = self.file("counter", "0")
        for wait in ("kernel", "exponential", "linear"):
            contenders = [self.start("cache", "lock", "l", "--", "sh", "-c",
                                     f"n=$(cat '{counter}'); sleep 0.02; echo $((n + 1)) > "
                                     f"'{counter}'", env={"LOCK_BACKOFF_STRATEGY": wait})
                          for _ in range(8)]
            for contender in contenders:
                self.assertEqual(contender.end().code, 0)
        self.assertEqual(counter.read_text(), "24\n")
        self.cache("lock", "l", "--", "true", code=OWN_FAILURE,
                   env={"LOCK_BACKOFF_STRATEGY": "magic"})

    def holding(self, *flags):
        gate = self.fifo("gate")
        holder = self.start("cache", "lock", "l", *flags, "--", "sh", "-c",
                            f"echo ready; cat '{gate}' # guarded")
        self.assertEqual(holder.process.stdout.readline(), b"ready\n")
        return holder, gate

    def test_a_timeout_names_the_holder(self):
        holder, gate = self.holding()
        late = self.cache("lock", "l", "--timeout", "50ms", "--", "echo", "in", code=TIMED_OUT)
        self.assertEqual(late.out, b"")
        self.assertIn(str(holder.process.pid), late.complaint)
        self.assertIn("guarded", late.complaint)
        self.cache("lock", "other", "--timeout", "50ms", "--", "true")
        once = self.cache("lock", "l", "--timeout", "0s", "--", "true", code=TIMED_OUT)
        self.assertIn(str(holder.process.pid), once.complaint)
        self.cache("lock", "other", "--timeout", "0s", "--", "true")
        self.assertIn("wait no longer", self.cache("lock", "--help").text)
        gate.write_text("")
        self.assertEqual(holder.end().code, 0)
        self.cache("lock", "l", "--timeout", "50ms", "--", "true")

    def test_shared(self):
        holder, gate = self.holding("--shared")
        self.cache("lock", "l", "--shared", "--timeout", "10s", "--", "true")
        self.cache("lock", "l", "--timeout", "50ms", "--", "true", code=TIMED_OUT)
        gate.write_text("")
        holder.end()

    def test_a_killed_holder_frees_the_next(self):
        holder, gate = self.holding()
        waiting = self.start("cache", "lock", "l", "--timeout", "60s", "--", "echo", "mine")
        holder.send(signal.SIGKILL)
        done = waiting.end()
        self.assertEqual((done.code, done.out), (0, b"mine\n"))
        self.open_gate_for_survivors(gate)
        holder.end()

    def test_held_in_the_background(self):
        owner = subprocess.Popen(["sleep", "600"])
        self.addCleanup(owner.wait)
        self.addCleanup(owner.kill)
        hold = ["lock", "l", "--hold-for", owner.pid]
        self.cache(*hold)  # returns, though the holder stays: it keeps no stream open
        self.cache("lock", "l", "--timeout", "50ms", "--", "true", code=TIMED_OUT)
        self.cache("lock", "l", "--hold-for", os.getpid(), "--release", code=OWN_FAILURE)
        self.cache(*hold, "--release")
        # Each of those who share it is found among the others.
        for pid in (os.getpid(), owner.pid):
            self.cache("lock", "l", "--shared", "--hold-for", pid)
        for pid in (owner.pid, os.getpid()):
            self.cache("lock", "l", "--hold-for", pid, "--release")
            self.cache("lock", "l", "--hold-for", pid, "--release", code=OWN_FAILURE)
        self.cache("lock", "l", "--timeout", "60s", "--", "true")
        self.cache(*hold)
        owner.kill()
        self.cache("lock", "l", "--timeout", "60s", "--", "true")
        self.cache("lock", "l", "--release", code=OWN_FAILURE)
        self.assertEqual(self.run_sluice("cache", "get").code, USAGE)

    def test_held_in_the_background_with_few_descriptors(self):
        for most in range(4, 12):
            done = subprocess.run(
                [SLUICE, "cache", "lock", "l", "--hold-for", str(os.getpid())], capture_output=True,
                env=self.environment(), timeout=PATIENCE, check=False,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
            if done.returncode == 0:
                self.cache("lock", "l", "--hold-for", os.getpid(), "--release")
            else:
                self.assertIn(b"Too many open files", done.stderr)
        self.assertEqual(done.returncode, 0)

    @unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/usr/bin/setpriv"),
                         "needs a second user")
    def test_a_wait_where_there_can_be_no_threads(self):
        user = 4_242_424  # with no other processes
        for path in (self.folder, self.home):
            path.chmod(0o755)
        (self.home / "cache").mkdir(exist_ok=True)
        os.chown(self.home / "cache", user, user)

        def command(*words):
            return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", SLUICE, "cache",
                    "lock", "l", *words]
        hold = command("--hold-for", str(os.getpid()))
        subprocess.run(hold, env=self.environment(), cwd="/", check=True)

        def start(timeout):
            return subprocess.Popen(  # itself and the holder, and no more
                command("--timeout", timeout, "--", "true"), stderr=subprocess.PIPE, cwd="/",
                env=self.environment(),
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (2, 2)))
        waiting = start("100ms")
        self.assertIn(b"process", waiting.communicate(timeout=PATIENCE)[1])
        self.assertEqual(waiting.returncode, TIMED_OUT)
        waiting = start("600s")
        self.addCleanup(waiting.kill)
        with self.assertRaises(subprocess.TimeoutExpired):
            waiting.wait(timeout=0.3)
        subprocess.run([*hold, "--release"], env=self.environment(), cwd="/", check=True)
        # It has the lock, and there can be no process for the command then, or one in the holder's
        # place.
        waiting.communicate(timeout=PATIENCE)
        self.assertIn(waiting.returncode, (0, OWN_FAILURE))

    def test_held_for_what_is_no_process(self):
        for number in (2**32 + os.getpid(), 2**31, 2**63 + 1):
            done = self.cache("lock", "l", "--hold-for", number, code=OWN_FAILURE)
            self.assertIn(str(number), done.complaint)
            self.cache("lock", "l", "--hold-for", number, "--release", code=OWN_FAILURE)
        self.cache("lock", "l", "--timeout", "0", "--", "true")

    def test_a_stopped_process_is_named(self):
        holder, gate = self.holding()
        waiting = self.start("cache", "lock", "l", "--timeout", "600s", "--", "echo", "mine")
        self.wait_for(lambda: self.waits_in_kernel(waiting.process.pid), "one that waits")
        waiting.send(signal.SIGSTOP)
        gate.write_text("")
        self.assertEqual(holder.end().code, 0)
        late = self.cache("lock", "l", "--timeout", "50ms", "--", "true", code=TIMED_OUT)
        self.assertIn(f"the turn of process {waiting.process.pid} ", late.complaint)
        self.assertIn(f"`kill -CONT {waiting.process.pid}`", late.complaint)
        waiting.send(signal.SIGCONT)
        self.assertEqual(waiting.end().out, b"mine\n")

    @staticmethod
    def waits_in_kernel(pid):
        """A wait with an end is left to a second thread."""
        try:
            return len(os.listdir(f"/proc/{pid}/task")) > 1
        except OSError:
            return False

    def test_one_that_is_killed_leaves_nobody_who_waits(self):
        owner = subprocess.Popen(["sleep", "600"])
        self.addCleanup(owner.wait)
        self.addCleanup(owner.kill)

        def who_waits():
            return [pid for pid, words in self.processes_here().items() if b"--hold-for" in words]

        for number in (signal.SIGTERM, signal.SIGKILL):
            holder, gate = self.holding()
            hold = subprocess.Popen([SLUICE, "cache", "lock", "l", "--timeout", "600s",
                                     "--hold-for", str(owner.pid)], env=self.environment(),
                                    cwd=self.folder)
            self.wait_for(lambda: any(map(self.waits_in_kernel, who_waits())),
                          "the one in the background")
            hold.send_signal(number)
            self.assertEqual(hold.wait(timeout=PATIENCE), -number)
            self.wait_for(lambda: not who_waits(), "the end of the one in the background")
            gate.write_text("")
            holder.end()
            os.unlink(gate)
            self.cache("lock", "l", "--timeout", "60s", "--", "true")


if __name__ == "__main__":
    unittest.main()
