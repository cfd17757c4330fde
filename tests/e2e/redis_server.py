"""A real redis-server for the end-to-end tests, on a free port of the loopback."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def end_with_parent():
    """Runs in the child: it goes when the test goes, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class RedisServer:
    """Keeps its data in a temporary folder, and through a restart if `durable`."""

    def __init__(self, *arguments, durable=False, password=None):
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-redis-")
        self.arguments = [*arguments]
        if durable:
            self.arguments += ["--appendonly", "yes", "--appendfsync", "always"]
        if password:
            self.arguments += ["--requirepass", password]
        self.password = password
        self.process = None
        for _ in range(5):  # somebody else may take the port first
            self.port = free_port()
            if self.start():
                break
        else:
            self.folder.cleanup()
            raise AssertionError("redis-server does not start; is it installed?")
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"redis://{self.address}"

    def start(self):
        log_name = os.path.join(self.folder.name, "log")
        with open(log_name, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--dir", self.folder.name, *self.arguments], stdout=log, stderr=log,
                preexec_fn=end_with_parent)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with open(log_name, "rb") as log:
                log.seek(begin)
                if b"Ready to accept connections" in log.read():
                    return True
            time.sleep(0.01)
        self.kill()
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        self.folder.cleanup()

    def cli(self, *arguments, database=0, stdin=None):
        """What redis-cli prints, without the last line's end."""
        flags = ["-p", str(self.port), "-n", str(database)]
        if self.password:
            flags += ["--no-auth-warning", "-a", self.password]
        done = subprocess.run(["redis-cli", *flags, *map(str, arguments)], input=stdin, check=True,
                              stdout=subprocess.PIPE, timeout=60)
        return done.stdout.decode().removesuffix("\n")
