"""Ctrl-C in an interactive shell, while `sluice cache exec` or `lock` runs a command or waits."""

import fcntl
import os
import pathlib
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

from cache_case import ProcessTest
from harness import PATIENCE, SLUICE


class CtrlC(ProcessTest):
    """In an interactive shell, with its own ideas of what an interrupt was for."""

    def setUp(self):
        super().setUp()
        self.controller, terminal = pty.openpty()
        self.addCleanup(os.close, self.controller)

        def take_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"], stdin=terminal, stdout=terminal,
            stderr=terminal, cwd=self.folder, start_new_session=True, preexec_fn=take_terminal,
            env=self.environment({"PS1": "$ ", "TERM": "dumb", "SLUICE": SLUICE}))
        os.close(terminal)
        self.addCleanup(self.shell.wait)
        self.addCleanup(self.shell.kill)

    def type(self, text):
        os.write(self.controller, text.encode())

    def see(self, text):
        shown, end = b"", time.monotonic() + PATIENCE
        while text.encode() not in shown:
            self.assertLess(time.monotonic(), end, shown)
            if select.select([self.controller], [], [], 1)[0]:
                shown += os.read(self.controller, 65536)
        return shown

    def program_at_the_terminal(self):
        try:
            return pathlib.Path(f"/proc/{os.tcgetpgrp(self.controller)}/comm").read_text().strip()
        except OSError:
            return None

    def ends_a_loop(self, words, command):
        self.type(f"for i in 1 2 3; do \"$SLUICE\" cache {words} -- {command}; done\n")
        self.wait_for(lambda: self.lines("begins"), "the command")
        self.type("\x03")
        self.type("echo status-$((6 * 7))-\n")
        self.see("status-42-")
        self.assertEqual(len(self.lines("begins")), 1)
        # Nothing is held, and nothing was kept.
        self.cache("lock", "l", "--timeout", "10s", "--", "true")
        self.assertEqual(self.cache("list").out, b"")

    SLEEP = "sh -c 'echo begin >> begins; exec sleep 600'"

    def test_ends_a_loop_of_exec(self):
        self.ends_a_loop("exec", self.SLEEP)

    def test_ends_a_loop_of_lock(self):
        self.ends_a_loop("lock l", self.SLEEP)

    def test_a_command_that_takes_it_goes_its_own_way(self):
        script = "trap \"exit 9\" INT; echo begin >> begins; while :; do sleep 0.01; done"
        for words in ("exec", "lock l"):
            self.type(f"\"$SLUICE\" cache {words} -- sh -c '{script}'; echo code-$?-\n")
            self.wait_for(lambda: self.lines("begins"), "the command")
            self.type("\x03")
            self.see("code-9-")
            os.unlink(self.folder / "begins")

    def test_ends_those_who_wait(self):
        holder = self.start("cache", "lock", "l", "--", "sh", "-c", "echo ready; exec sleep 600")
        self.assertEqual(holder.process.stdout.readline(), b"ready\n")
        self.type("for i in 1 2 3; do echo begin >> begins; \"$SLUICE\" cache lock l -- true; done\n")
        # Before that, the shell would take the interrupt, and go on.
        self.wait_for(lambda: self.program_at_the_terminal() == "sluice", "one that waits")
        self.type("\x03")
        self.type("echo status-$((6 * 7))-\n")
        self.see("status-42-")
        self.assertEqual(len(self.lines("begins")), 1)
        holder.send(signal.SIGTERM)
        holder.end()

    def test_one_whose_reader_does_not_read_can_be_ended(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        process = subprocess.Popen(
            [SLUICE, "cache", "exec", "--", "sh", "-c", "head -c 40000 /dev/zero; echo $$ > begins"],
            stdout=writer, env=self.environment(), cwd=self.folder)
        os.close(writer)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_for(lambda: self.lines("begins"), "the command")
        self.wait_for(lambda: not os.path.exists(f"/proc/{self.lines('begins')[0]}"), "its end")
        process.send_signal(signal.SIGTERM)
        # As it comes while the result is stored, or while the reader is waited for; to a shell it
        # is the same.
        self.assertIn(process.wait(timeout=PATIENCE), (-15, 128 + 15))


if __name__ == "__main__":
    unittest.main()
