"""A real PostgreSQL for the tests: a cluster of its own in a temporary folder, on a free loopback port
and a Unix socket in that folder. Ends with the test program, however that ends."""

import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PASSWORD = "correct horse"


def program(name):
    """The newest one that is installed; Debian does not put them into the PATH."""
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    return max(found, key=lambda path: int(path.split("/")[4])) if found else name


class PostgresServer:
    """`owner` is the superuser; a password is asked for over TCP, and not on the socket."""

    def __init__(self, *settings):
        # Short, since the path of a socket has at most 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="sluice-pg-", dir="/tmp")
        self.data = os.path.join(self.folder, "data")
        self.settings = settings
        self.process = None
        # PostgreSQL refuses to run as root, as tests in containers do.
        self.user = None
        if os.geteuid() == 0:
            names = [entry.pw_name for entry in pwd.getpwall()]
            self.user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        secret = self.write("password", PASSWORD)
        self.log = os.path.join(self.folder, "log")
        self.run(program("initdb"), "--pgdata=" + self.data, "--username=owner", "--encoding=UTF8",
                 "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256",
                 "--pwfile=" + secret, "--no-sync", "--no-instructions")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def write(self, name, text):
        """A file in its folder that only the server may read."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, 0o600)
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def become(self):
        if self.user:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        # PR_SET_PDEATHSIG; behind the change of user, which would undo it.
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
        os.chdir("/")

    def run(self, *words):
        done = subprocess.run(words, preexec_fn=self.become, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{words[0]} failed:\n{done.stdout}{done.stderr}")

    def start(self, *more):
        settings = ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off",
                    "shared_buffers=64MB", *self.settings, *more]
        words = [program("postgres"), "-D", self.data, "-k", self.folder, "-p", str(self.port)]
        for setting in settings:
            words += ["-c", setting]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, preexec_fn=self.become, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            # The pid file says when it takes connections.
            try:
                with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as file:
                    lines = file.read().split("\n")
            except FileNotFoundError:
                lines = []
            if len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].startswith("ready"):
                return self
            time.sleep(0.01)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise AssertionError("postgres did not start:\n" + log.read()[-4000:])

    def stop(self, how=signal.SIGQUIT):
        """SIGQUIT: at once, as in a crash; SIGINT: tells its clients first."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database="postgres", user="owner", password=PASSWORD, host="127.0.0.1"):
        secret = ":" + password.replace(" ", "%20") if password else ""
        return f"postgres://{user}{secret}@{host}:{self.port}/{database}"

    def socket_url(self, database="postgres"):
        return f"postgres://owner@/{database}?host={self.folder}&port={self.port}"

    def sql(self, text, database="postgres"):
        """Runs SQL past Sluice, by psql; returns its rows, unaligned, parted by tabs."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", self.folder,
             "-p", str(self.port), "-U", "owner", "-d", database, "-f", "-"],
            input=text, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.rstrip("\n")

    def database(self):
        """A new, empty database; returns its name."""
        self.made = getattr(self, "made", 0) + 1
        name = f"test_{self.made}"
        # Strategy wal_log reads the template and makes no checkpoint, but 15 is the first to know it.
        self.sql(f"CREATE DATABASE {name}")
        return name
