"""A RESP client that shows replies as they came: field order, errors as values, RESP2 or RESP3."""
import socket


class WireError(str):
    """An error reply; its text as a string."""

    @property
    def word(self):
        return self.split(" ", 1)[0]


class Closed(Exception):
    """The other side has closed the connection."""


class Simple(str):
    """A simple string like OK, distinct from a bulk string."""


def encode(*args):
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class Wire:
    """One connection. call() sends a command and returns its reply; send() and read() do half."""

    def __init__(self, port, timeout=20.0, path=None):
        if path is not None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(path)
        else:
            self.sock = socket.create_connection(("127.0.0.1", port), timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send_bytes(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error)) from None

    def send(self, *args):
        self.send_bytes(encode(*args))

    def call(self, *args):
        self.send(*args)
        return self.read()

    def fields(self, *args):
        """Like call(), for named fields: a dict in the reply's order, or the WireError."""
        return as_fields(self.call(*args))

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("end of stream")
        self.buffer = self.buffer[self.at :] + data
        self.at = 0

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n", self.at)
            if end >= 0:
                line = self.buffer[self.at : end]
                self.at = end + 2
                return line
            self._more()

    def _bytes(self, n):
        while len(self.buffer) - self.at < n + 2:
            self._more()
        data = self.buffer[self.at : self.at + n]
        assert self.buffer[self.at + n : self.at + n + 2] == b"\r\n"
        self.at += n + 2
        return data.decode()

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:].decode()
        if kind == b"+":
            return Simple(rest)
        if kind == b"-":
            return WireError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"$":
            return None if rest == "-1" else self._bytes(int(rest))
        if kind == b"*":
            return None if rest == "-1" else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        raise AssertionError(f"not RESP: {line!r}")

    def at_end(self):
        """True once the server has closed and everything before that has been read."""
        try:
            self._more()
        except Closed:
            return True
        return False


def as_fields(reply):
    """A flat name, value list (RESP2) or a map (RESP3) as a dict; an error stays one."""
    if isinstance(reply, list):
        return {reply[i]: reply[i + 1] for i in range(0, len(reply), 2)}
    return reply


def as_rows(reply):
    return [as_fields(row) for row in reply]
