"""`sluice serve`: what it holds for its clients stays bounded."""

import os
import unittest

from sluice_server import ServeTest
from wire import Wire


class Memory(ServeTest):
    """However many clients, what the server holds for them stays within its budget."""

    CLIENTS, SIZE, BUDGET = 50, 20 << 20, 64 << 20
    BOUND = 400 << 20  # the budget, the program, and room for what an allocator keeps; not 50 × 20 MiB

    def setUp(self):
        super().setUp()
        # From a file: values in memory would be counted, too, and are shared by all who read them.
        self.api = self.serve("--body-memory", str(self.BUDGET), store=self.store)
        self.space = self.api.create("test")
        self.path = f"{self.api.namespaces}/{self.space}/values"

    def clients(self, head, body=b""):
        wires = []
        for i in range(self.CLIENTS):
            wire = Wire(self.api)
            self.addCleanup(wire.close)
            wire.send("\r\n".join([head.format(i=i), "Host: localhost", "", ""]).encode() + body)
            wires.append(wire)
        return wires

    def peak(self):
        with open(f"/proc/{self.api.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    def test_clients_that_ask_and_do_not_read(self):
        self.api.put(self.space, "large", os.urandom(self.SIZE))
        wires = self.clients(f"GET {self.path}/large HTTP/1.1")
        for _ in range(20):
            self.assertIsNone(self.api.get(self.space, "none"))
        # One after the other reads now; each has the value, or was told to come back.
        statuses = [wire.answer().status for wire in wires]
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertIn(200, statuses)
        self.assertLess(self.peak(), self.BOUND)

    def test_clients_that_ask_for_many_values_and_do_not_read(self):
        self.api.put(self.space, "large", bytes(range(32, 127)) * (self.SIZE // 95))
        body = b'{"keys":["large"]}'
        wires = self.clients(f"POST {self.api.namespaces}/{self.space}/bulk/get HTTP/1.1\r\n"
                             f"Content-Length: {len(body)}", body)
        self.assertIsNone(self.api.get(self.space, "none"))
        statuses = [wire.answer().status for wire in wires]
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertIn(200, statuses)
        self.assertLess(self.peak(), self.BOUND)

    def test_bodies_that_nobody_wants(self):
        """They need no token, and no room is kept for them."""
        before = self.peak()
        for _ in range(10):
            self.clients("PUT /nothing HTTP/1.1\r\nContent-Length: 65536", body=bytes(65_000))
        self.assertIsNone(self.api.get(self.space, "none"))
        self.assertLess(self.peak() - before, 10 * self.CLIENTS * 32 << 10)

    def test_clients_that_send_large_bodies_and_do_not_end(self):
        wires = self.clients(f"PUT {self.path}/{{i}} HTTP/1.1\r\nContent-Length: {self.SIZE}",
                             body=bytes(1 << 20))
        for _ in range(20):
            self.assertIsNone(self.api.get(self.space, "none"))
        for wire in wires:
            wire.close()
        self.api.put(self.space, "large", bytes(self.SIZE))  # the budget was given back
        self.assertLess(self.peak(), self.BOUND)


if __name__ == "__main__":
    unittest.main()
