"""What the server costs: against nginx with wrk, by idle and by slow connections, and for listings."""

import contextlib
import http.client
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse
from dataclasses import dataclass

from measure import ACCOUNT, Failed, Row, count, require

NAMESPACES = f"/client/v4/accounts/{ACCOUNT}/storage/kv/namespaces"
CONNECTIONS = 64
FILE_BYTES = 2048  # what nginx serves
SMALL = b"value 000000000 of forty bytes, more or "

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 75s;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
  }}
}}
"""


class Process:
    """A server that this bench started, and what it has used so far (its children's use included)."""

    process = None

    def pids(self):
        found, at = [self.process.pid], 0
        while at < len(found):
            for task in os.listdir(f"/proc/{found[at]}/task"):
                with open(f"/proc/{found[at]}/task/{task}/children", encoding="ascii") as children:
                    found += [int(pid) for pid in children.read().split()]
            at += 1
        return found

    def cpu(self):
        """User and system time in seconds."""
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident(self):
        """Bytes in memory."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Serve(Process):
    """`sluice serve --cloudflare` with one loop, as nginx has one worker."""

    def __init__(self, bench, store, *flags):
        self.process = subprocess.Popen(
            [bench.sluice, "serve", "--cloudflare", "--store", store, "--listen", "127.0.0.1:0",
             "--threads", "1", *flags],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=bench.environment, cwd=bench.folder)
        said = self.process.stderr.readline().decode(errors="replace")
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", said)
        if not found:
            self.process.kill()
            self.process.wait()
            raise Failed(f"sluice serve did not start: {said}")
        # It says little; nothing that it says may stop it.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None):
        self.connection.request(method, NAMESPACES + path, body)
        answer = self.connection.getresponse()
        text = answer.read()
        require(answer.status == 200, f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def api(self, method, path, body=None):
        return json.loads(self.ask(method, path, None if body is None else json.dumps(body)))

    def namespace(self, title):
        for found in self.api("GET", "?per_page=1000")["result"]:
            if found["title"] == title:
                return found["id"]
        return self.api("POST", "", {"title": title})["result"]["id"]

    def value(self, key, value):
        """Puts a value; gives its path."""
        path = f"/{self.namespace('bench')}/values/{key}"
        self.ask("PUT", path, value)
        return NAMESPACES + path


class Nginx(Process):
    """nginx with one worker and one file."""

    def __init__(self, bench):
        folder = bench.path("nginx")
        os.makedirs(os.path.join(folder, "www"), exist_ok=True)
        with open(os.path.join(folder, "www", "file"), "wb") as file:
            file.write(b"x" * FILE_BYTES)
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as out:
            # Its worker would otherwise not be allowed into this folder.
            out.write(NGINX.format(folder=folder, port=self.port,
                                   user="user root;" if os.geteuid() == 0 else ""))
        nginx = "/usr/sbin/nginx"  # often not in the PATH of a user
        require(os.path.exists(nginx), "nginx is not installed: run scripts/setup --test")
        self.process = subprocess.Popen([nginx, "-p", folder, "-e", os.path.join(folder, "error.log"),
                                         "-c", config], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env=bench.environment)
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(1000):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            require(self.process.poll() is None, "nginx did not start")
            time.sleep(0.01)
        raise Failed("nginx does not listen")


@dataclass
class Load:
    """What wrk measured, and what the server used for it."""

    requests: int
    rate: float  # a second
    micros: float  # of the server's CPU, a request
    p99: float  # ms


MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def wrk(bench, server, path, seconds, connections=CONNECTIONS):
    before = server.cpu()
    done = subprocess.run(["wrk", "--threads", "1", "--connections", str(connections), "--latency",
                           "--duration", f"{seconds}s", server.url + path],
                          capture_output=True, text=True, env=bench.environment, check=False)
    used = server.cpu() - before
    text = done.stdout
    total = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    require(done.returncode == 0 and total and rate and p99 and int(total[1]) > 0,
            f"wrk failed: {done.stderr} {text}")
    require("Non-2xx" not in text and "Socket errors" not in text, f"wrk met errors: {text}")
    return Load(int(total[1]), float(rate[1]), used / int(total[1]) * 1e6,
                float(p99[1]) * MILLISECONDS[p99[2]])


def against_nginx(bench):
    seconds, times = (1, 3) if bench.quick else (4, 5)
    with Serve(bench, "memory:") as ours, Nginx(bench) as nginx:
        for name, value in (("small", SMALL), ("2 KB", b"x" * FILE_BYTES)):
            path = ours.value(name.replace(" ", ""), value)
            for server, where in ((ours, path), (nginx, "/file")):
                wrk(bench, server, where, 1)  # warm
            pairs = [(wrk(bench, ours, path, seconds), wrk(bench, nginx, "/file", seconds))
                     for _ in range(times)]
            ratio = statistics.median(b.rate / a.rate for a, b in pairs)
            mine, theirs = ([pair[i] for pair in pairs] for i in (0, 1))
            micros, peer = (statistics.median(load.micros for load in loads) for loads in (mine, theirs))
            rates = [statistics.median(load.rate for load in loads) for loads in (mine, theirs)]
            if name == "small":
                bench.add(Row("serve: CPU of a small value by key from memory", micros, 7, "µs a request",
                              peer=f"nginx, a file of 2 KB: {peer:.1f} µs"))
            # ≥ 1.1 × its requests a second.
            bench.add(Row(f"serve: a value by key from memory ({name})", ratio, 1 / 1.1, "× the time",
                          peer=f"nginx serving a file of 2 KB, {CONNECTIONS} connections, one thread each",
                          detail=f"{1 / ratio:.2f} × its requests/s: {rates[0]:,.0f}, nginx {rates[1]:,.0f}; "
                          f"{micros:.1f} µs CPU, nginx {peer:.1f}"))


def open_connections(server, number):
    """Connections that have been used once, and are idle now."""
    request = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"
    opened = []
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        connection.sendall(request)
        require(connection.recv(4096).startswith(b"HTTP/1.1 200"), "no answer on a connection")
        opened.append(connection)
    return opened


def idle(bench):
    number = 2_000 if bench.quick else 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    require(hard == resource.RLIM_INFINITY or hard > number + 100,
            f"{number} connections need as many descriptors: `ulimit -Hn` is {hard}")
    # The server inherits it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 100 if soft < number + 100 else soft, hard))
    with Serve(bench, "memory:", "--idle-timeout", "1h", "--max-connections", str(number + 10)) as server:
        for connection in open_connections(server, 100):
            connection.close()
        before = server.resident()
        opened = open_connections(server, number)
        after = server.resident()
        server.namespace("still there")
        for connection in opened:
            connection.close()
    bench.add(Row(f"serve: memory of {count(number)} idle connections", (after - before) / number / 1000, 10,
                  "KB each", detail=f"{after / 1e6:.1f} MB in all, {before / 1e6:.1f} MB before"))


class SlowClients:
    """Connections that send their header a byte at a time, one of them every millisecond."""

    def __init__(self, server, number):
        line = b"GET /healthz HTTP/1.1\r\nHost: bench\r\nX-Slow: "
        self.opened = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(number)]
        for connection in self.opened:
            connection.sendall(line)
        self.sent = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.trickle, daemon=True)
        self.thread.start()

    def trickle(self):
        while not self.over.wait(0.001):
            self.opened[self.sent % len(self.opened)].sendall(b"x")
            self.sent += 1

    def close(self):
        self.over.set()
        self.thread.join()
        for connection in self.opened:
            connection.close()


def slow(bench):
    number, seconds, times = (200, 1, 3) if bench.quick else (1_000, 3, 5)
    with Serve(bench, "memory:", "--header-timeout", "1h") as server:
        path = server.value("small", SMALL)
        wrk(bench, server, path, 1, 8)
        pairs = []
        for _ in range(times):
            without = wrk(bench, server, path, seconds, 8)
            clients = SlowClients(server, number)
            with_them = wrk(bench, server, path, seconds, 8)
            clients.close()
            require(clients.sent > 0, "the slow clients sent nothing")
            pairs.append((with_them.p99, without.p99))
    ratio = statistics.median(a / b for a, b in pairs)
    bench.add(Row(f"serve: p99 beside {count(number)} connections with slow headers", ratio, 2, "× the time",
                  peer="without them", detail=f"{statistics.median(a for a, _ in pairs):.2f} ms, without "
                  f"{statistics.median(b for _, b in pairs):.2f} ms"))


def listing(bench):
    from embedded import entries, store
    keys = 20_000 if bench.quick else 100_000
    path, place = store(bench, "serve.db")
    bench.kv("import", *place, entries(bench, "ndjson", keys, "sorted"), "--yes")
    with Serve(bench, "sqlite:" + path) as server:
        where = f"/{server.namespace('default')}/keys?limit=1000"

        def all_pages():
            listed, pages, cursor = 0, 0, ""
            while True:
                document = json.loads(server.ask("GET", where + (
                    f"&cursor={urllib.parse.quote(cursor)}" if cursor else "")))
                listed += len(document["result"])
                pages += 1
                cursor = document["result_info"]["cursor"]
                if not cursor:
                    require(listed == keys, f"{listed} of {keys} keys were listed")
                    return pages

        all_pages()  # warm
        before, pages = server.cpu(), 0
        for _ in range(5):
            pages += all_pages()
        used = server.cpu() - before
    bench.add(Row("serve: CPU of listing 1,000 keys with metadata from sqlite", used / pages * 1000, 1.5, "ms",
                  detail=f"{pages} pages of {count(keys)} keys"))


def serve(bench):
    against_nginx(bench)
    idle(bench)
    slow(bench)
    listing(bench)
