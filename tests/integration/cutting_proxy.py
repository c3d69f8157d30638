"""A proxy that cuts the connection after a given number of bytes in one direction.

It passes everything through until arm() says how many more bytes may go to the server or to the
client. After those it closes both sides; later connections pass in full again. It counts what it
passed, so that a test can walk through an exchange byte by byte.
"""
import selectors
import socket
import threading

TO_SERVER, TO_CLIENT = "to server", "to client"


class CuttingProxy:
    def __init__(self, target):
        """target: a port of 127.0.0.1, or the path of a unix socket."""
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.budget = None  # (direction, bytes that may still pass)
        self.cuts = 0
        self.passed = {TO_SERVER: 0, TO_CLIENT: 0}
        self.over = False
        self.wake, self.waker = socket.socketpair()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def arm(self, direction, n):
        with self.lock:
            self.budget = (direction, n)

    def disarm(self):
        with self.lock:
            self.budget = None

    def counts(self):
        with self.lock:
            return dict(self.passed)

    def close(self):
        self.over = True
        self.waker.send(b"x")
        self.thread.join(10)
        for sock in (self.listener, self.wake, self.waker):
            sock.close()

    def _connect(self):
        if isinstance(self.target, int):
            sock = socket.create_connection(("127.0.0.1", self.target), 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.target)
        return sock

    def _run(self):
        with selectors.DefaultSelector() as self.selector:
            self.selector.register(self.listener, selectors.EVENT_READ, None)
            self.selector.register(self.wake, selectors.EVENT_READ, None)
            while not self.over:
                for key, _ in self.selector.select(1):
                    if key.fileobj is self.listener:
                        self._accept()
                    elif key.data is not None and key.fileobj.fileno() >= 0:
                        self._pass_on(key.fileobj, *key.data)
            for key in list(self.selector.get_map().values()):
                if key.data is not None:
                    key.fileobj.close()

    def _accept(self):
        client, _ = self.listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        self.selector.register(client, selectors.EVENT_READ, (server, TO_SERVER))
        self.selector.register(server, selectors.EVENT_READ, (client, TO_CLIENT))

    def _close_both(self, *socks):
        for sock in socks:
            try:
                self.selector.unregister(sock)
            except (KeyError, ValueError):
                pass
            sock.close()

    def _pass_on(self, source, target, direction):
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._close_both(source, target)
            return
        cut = False
        with self.lock:
            if self.budget is not None and self.budget[0] == direction:
                allowed = self.budget[1]
                cut = len(data) >= allowed
                data = data[:allowed]
                self.budget = None if cut else (direction, allowed - len(data))
                self.cuts += cut
            self.passed[direction] += len(data)
        try:
            target.sendall(data)
        except OSError:
            cut = True
        if cut:
            self._close_both(source, target)
