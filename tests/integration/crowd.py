"""Many clients at once: processes that each hammer a limit over several connections until stopped.

Each connection keeps a small pipeline of acquires under way, each with an id that the client chose.
If a server goes away, the connection moves to the next one and resends, with the same ids, whatever
had no answer. So every id ends either granted or denied, and the servers must have charged exactly
the sum of what was granted.
"""
import multiprocessing
import random
import selectors
import socket

from wire import encode

STATUSES = {b"granted", b"denied"}


class Connection:
    def __init__(self, crowd, number, rng):
        self.crowd = crowd
        self.number = number
        self.rng = rng
        self.server = number
        self.waiting = []  # (id, cost, bytes) in the order sent
        self.buffer = b""
        self.sock = None
        self.sequence = 0

    def connect(self):
        for _ in range(2 * len(self.crowd.ports)):
            port = self.crowd.ports[self.server % len(self.crowd.ports)]
            try:
                self.sock = socket.create_connection(("127.0.0.1", port), 20)
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                break
            except OSError:
                self.server += 1
        else:
            raise AssertionError("no server answers")
        self.buffer = b""
        if self.waiting:
            self.sock.sendall(b"".join(data for _, _, data in self.waiting))

    def reconnect(self):
        self.sock.close()
        self.server += 1
        self.connect()

    def new_request(self):
        crowd = self.crowd
        self.sequence += 1
        cost = self.rng.choice(crowd.costs)
        slice_ = f"c{crowd.salt}{self.number}x{self.sequence // 100}".replace("-", "")[:24]
        id_ = f"r1.{slice_}.{self.rng.getrandbits(64):016x}.0.{crowd.tenant}@{crowd.pool}"
        data = encode("ACQUIRE", crowd.pool, crowd.tenant, crowd.unit, cost, "TTL", crowd.ttl, "ID", id_)
        self.waiting.append((id_, cost, data))
        return data

    def fill(self):
        new = [self.new_request() for _ in range(self.crowd.pipeline - len(self.waiting))]
        if new:
            self.sock.sendall(b"".join(new))

    def take_answers(self, counts):
        """Reads replies. A decision is a flat array of ten, its second bulk string the status."""
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionResetError
        self.buffer += data
        while self.waiting:
            reply, used = parse_decision(self.buffer)
            if reply is None:
                return
            self.buffer = self.buffer[used:]
            id_, cost, _ = self.waiting.pop(0)
            if reply not in STATUSES:
                counts["errors"].append(reply.decode(errors="replace"))
            elif reply == b"granted":
                counts["granted"][id_] = cost
            else:
                counts["denied"] += 1


def parse_decision(buffer):
    """(the first reply's status or error text, its length); (None, 0) while it is incomplete."""
    end = buffer.find(b"\r\n")
    if end < 0:
        return None, 0
    if buffer[:1] == b"-":
        return buffer[1:end], end + 2
    assert buffer[:4] == b"*10\r", buffer[:100]
    at, status = end + 2, None
    for n in range(10):
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None, 0
        if buffer[at : at + 1] == b"$":
            length = int(buffer[at + 1 : end])
            if len(buffer) < end + 2 + length + 2:
                return None, 0
            if n == 1:
                status = buffer[end + 2 : end + 2 + length]
            at = end + 2 + length + 2
        else:
            at = end + 2
    return status, at


class Crowd:
    """`processes` clients of `connections` connections each. start(), then stop() for the sums."""

    def __init__(self, ports, pool, tenant="acme", unit="tokens", costs=(1,), ttl=3_600_000, processes=8, connections=16,
                 pipeline=4):  # fmt: skip
        self.ports, self.pool, self.tenant, self.unit, self.costs = list(ports), pool, tenant, unit, tuple(costs)
        self.ttl, self.processes, self.connections, self.pipeline = ttl, processes, connections, pipeline
        self.salt = f"{random.getrandbits(24):x}"
        self.context = multiprocessing.get_context("fork")
        self.over = self.context.Event()
        self.results = self.context.Queue()
        self.children = []

    def start(self):
        for n in range(self.processes):
            child = self.context.Process(target=self._run, args=(n,), daemon=True)
            child.start()
            self.children.append(child)
        return self

    def stop(self, seconds=60):
        self.over.set()
        results = [self.results.get(timeout=seconds) for _ in self.children]
        for child in self.children:
            child.join(seconds)
        total = {"granted": {}, "denied": 0, "moved": 0, "errors": []}
        for result in results:
            assert not isinstance(result, str), result
            assert not total["granted"].keys() & result["granted"].keys()
            total["granted"].update(result["granted"])
            total["denied"] += result["denied"]
            total["moved"] += result["moved"]
            total["errors"] += result["errors"]
        total["sum"] = sum(total["granted"].values())
        return total

    def kill(self):
        for child in self.children:
            if child.is_alive():
                child.kill()
                child.join()

    def _run(self, process):
        try:
            self.results.put(self._hammer(process))
        except BaseException as error:  # for the test to report
            self.results.put(f"client {process}: {error!r}")

    def _hammer(self, process):
        rng = random.Random(f"{self.salt}-{process}")
        counts = {"granted": {}, "denied": 0, "moved": 0, "errors": []}
        with selectors.DefaultSelector() as selector:
            connections = [Connection(self, process * self.connections + n, rng) for n in range(self.connections)]
            for connection in connections:
                connection.connect()
                connection.fill()
                selector.register(connection.sock, selectors.EVENT_READ, connection)
            open_ = len(connections)
            while open_:
                ready = selector.select(20)
                assert ready, "no answer within 20 s"
                for key, _ in ready:
                    open_ -= self._turn(selector, key.data, counts)
        return counts

    def _turn(self, selector, connection, counts):
        """Returns 1 when the connection is done for good."""
        try:
            connection.take_answers(counts)
            if not self.over.is_set():
                connection.fill()
        except (ConnectionError, BrokenPipeError):
            selector.unregister(connection.sock)
            connection.reconnect()
            counts["moved"] += 1
            selector.register(connection.sock, selectors.EVENT_READ, connection)
            return 0
        if self.over.is_set() and not connection.waiting:
            selector.unregister(connection.sock)
            connection.sock.close()
            return 1
        return 0
