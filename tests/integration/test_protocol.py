"""The wire protocol: every command by redis-py, by hand, by redis-cli; and bad peers."""
import os
import random
import re
import resource
import selectors
import socket
import string

import pytest
import redis

from configs import POOL, config, limit
from waiting import wait_until
from wire import Closed, Simple, Wire, WireError, as_fields, as_rows, encode

DECISION = ["status", "id", "retry_after_ms", "limited_by", "mode"]
ROW = ["scope", "unit", "per", "limit", "remaining", "reset_ms"]
LEDGER = ["pool", "unit", "granted", "reported", "outstanding", "expired", "cancelled", "used", "scanned", "balanced"]
MAX_REQUEST_BYTES = 16384
MAX_ARGS = 64
MAX_INLINE_BYTES = 4096
MAX_COST = 10**12


@pytest.fixture
def server(lab):
    return lab.ration(
        config(
            lab.redis(),
            pool=[limit("requests", 10**6, "minute"), limit("tokens", 10**9, "minute")],
            tier=[limit("tokens", 10**8, "minute"), limit("concurrent", 10**5)],
            tenants={"acme": {"tier": "all"}, "globex": {"tier": "all"}},
        )
    )


@pytest.fixture
def wire(server):
    with server.wire() as connection:
        yield connection


def error(reply, word):
    assert isinstance(reply, WireError), reply
    assert reply.word == word, reply
    return reply


# ---- Shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("resp", [2, 3])
def test_shapes_of_all_replies(wire, resp):
    hello = wire.call("HELLO", resp)
    assert isinstance(hello, dict if resp == 3 else list)
    hello = as_fields(hello)
    assert (hello["server"], hello["proto"]) == ("ration", resp)

    def named(*command):
        reply = wire.call(*command)
        assert isinstance(reply, dict if resp == 3 else list), reply
        return as_fields(reply)

    granted = named("ACQUIRE", POOL, "acme", "tokens", 500)
    assert list(granted) == DECISION
    assert granted["status"] == "granted" and granted["retry_after_ms"] == 0
    assert (granted["limited_by"], granted["mode"]) == ("", "exact")
    assert re.fullmatch(rf"r1\.[a-z0-9]{{1,24}}\.[0-9a-f]{{16}}\.0\.acme@{POOL}", granted["id"])
    denied = named("ACQUIRE", POOL, "acme", "tokens", 10**10)
    assert list(denied) == DECISION
    assert (denied["status"], denied["retry_after_ms"]) == ("denied", -1)
    assert denied["limited_by"] in (f"pool:{POOL} tokens/minute", "tenant:acme tokens/minute")
    assert list(named("RENEW", granted["id"], "TTL", 5000, "tokens", 1)) == DECISION
    assert named("REPORT", granted["id"], "tokens", 321) == {"status": "settled"}
    assert named("REPORT", granted["id"], "tokens", 321) == {"status": "duplicate"}
    again = named("ACQUIRE", POOL, "acme")
    assert named("CANCEL", again["id"]) == {"status": "settled"}

    rows = wire.call("PEEK", POOL, "acme")
    assert all(isinstance(row, dict if resp == 3 else list) for row in rows)
    rows = as_rows(rows)
    assert [list(row) for row in rows] == [ROW] * 4
    assert [(row["scope"], row["unit"], row["per"]) for row in rows] == [
        (f"pool:{POOL}", "requests", "minute"), (f"pool:{POOL}", "tokens", "minute"),
        ("tenant:acme", "tokens", "minute"), ("tenant:acme", "concurrent", ""),
    ]  # fmt: skip
    ledger = as_rows(wire.call("AUDIT", POOL))
    assert all(list(row) == LEDGER for row in ledger)
    assert all(row["balanced"] == 1 for row in ledger), ledger
    assert as_rows(wire.call("AUDIT")) == ledger
    tenant = named("TENANT", "GET", "acme")
    assert (tenant["name"], tenant["tier"], tenant["priority"]) == ("acme", "all", 1)
    cursor, names = wire.call("TENANT", "LIST", 0)
    assert cursor == "0" and sorted(names) == ["acme", "globex"]


def test_hello_goes_back_and_forth_and_reset_forgets(wire):
    assert isinstance(wire.call("HELLO", 3), dict)
    assert isinstance(wire.call("PEEK", POOL, "acme")[0], dict)
    assert isinstance(wire.call("HELLO"), dict)
    assert isinstance(wire.call("HELLO", 2), list)
    wire.call("HELLO", 3, "SETNAME", "me")
    assert wire.call("CLIENT", "GETNAME") == "me"
    assert wire.call("RESET") == Simple("RESET")
    assert isinstance(wire.call("PEEK", POOL, "acme")[0], list)
    assert wire.call("CLIENT", "GETNAME") is None
    error(wire.call("HELLO", 4), "NOPROTO")


def test_what_redis_clients_send_when_they_connect(wire):
    assert wire.call("PING") == Simple("PONG")
    assert wire.call("PING", "hi") == "hi"
    assert wire.call("ECHO", "hi") == "hi"
    assert wire.call("SELECT", 0) == Simple("OK")
    error(wire.call("SELECT", 1), "ERR")
    assert wire.call("CLIENT", "SETINFO", "LIB-NAME", "x") == Simple("OK")
    assert wire.call("CLIENT", "SETNAME", "worker-1") == Simple("OK")
    assert wire.call("CLIENT", "GETNAME") == "worker-1"
    assert wire.call("CLIENT", "ID") > 0
    names = wire.call("COMMAND", "LIST")
    assert {"acquire", "report", "renew", "cancel", "peek", "audit", "tenant"} <= set(names)
    assert wire.call("COMMAND", "COUNT") == len(names) == len(wire.call("COMMAND"))
    assert wire.call("COMMAND", "INFO", "acquire", "nosuch")[1] is None
    docs = as_fields(wire.call("COMMAND", "DOCS", "acquire"))
    assert "summary" in as_fields(docs["acquire"])
    assert as_fields(wire.call("CONFIG", "GET", "save"))["save"] == ""
    assert "store_state:ready" in wire.call("INFO")
    assert "batches:" in wire.call("INFO", "batches")
    assert "store_state" not in wire.call("INFO", "batches")
    assert wire.call("QUIT") == Simple("OK")
    assert wire.at_end()


def test_redis_py(server):
    client = server.client()
    assert client.ping()
    granted = as_fields(client.execute_command("ACQUIRE", POOL, "acme", "TOKENS", 10, "Requests", 1))
    assert granted["status"] == "granted"
    assert client.execute_command("REPORT", granted["id"], "tokens", 5, "STATUS", 200) == ["status", "settled"]
    assert client.execute_command("CANCEL", granted["id"]) == ["status", "duplicate"]
    with pytest.raises(redis.ResponseError, match="NOPOOL"):
        client.execute_command("ACQUIRE", "nosuch", "acme")
    pipeline = client.pipeline(transaction=False)
    for _ in range(100):
        pipeline.execute_command("ACQUIRE", POOL, "acme", "tokens", 1)
    assert [reply[1] for reply in pipeline.execute()] == ["granted"] * 100
    client.close()


# ---- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, word, says",
    [
        (("AQUIRE", POOL, "acme"), "ERR", "did you mean ACQUIRE? (ACQUIRE pool tenant"),
        (("REPROT", "x"), "ERR", "did you mean REPORT"),
        (("GET", "x"), "ERR", "COMMAND LIST"),
        (("ACQUIRE",), "ERR", "usage: ACQUIRE pool tenant [unit n]"),
        (("ACQUIRE", POOL), "ERR", "usage: ACQUIRE"),
        (("ACQUIRE", "nosuch", "acme"), "NOPOOL", POOL),
        (("ACQUIRE", "a b", "acme"), "ERR", "'a b' is not a valid pool"),
        (("ACQUIRE", POOL, ""), "ERR", "is not a valid tenant"),
        (("ACQUIRE", POOL, "t" * 129), "ERR", "1 to 128 bytes"),
        (("ACQUIRE", POOL, "acme", "token", 5), "ERR", "'token' is neither an option nor a unit"),
        (("ACQUIRE", POOL, "acme", "tokens"), "ERR", "tokens needs a value"),
        (("ACQUIRE", POOL, "acme", "tokens", "5", "TOKENS", "6"), "ERR", "tokens is given twice"),
        (("ACQUIRE", POOL, "acme", "TTL", 1), "ERR", "TTL needs a whole number from 100 to 3600000"),
        (("ACQUIRE", POOL, "acme", "TTL", 3600001), "ERR", "from 100 to 3600000"),
        (("ACQUIRE", POOL, "acme", "PRIORITY", 3), "ERR", "PRIORITY needs a whole number from 0 to 2"),
        (("ACQUIRE", POOL, "acme", "WAIT", 100), "ERR", "WAIT"),
        (("ACQUIRE", POOL, "acme", "ID", "r1.x"), "ERR", "ID"),
        (("ACQUIRE", POOL, "acme", "ID", ""), "ERR", "1 to 128 bytes"),
        (("ACQUIRE", POOL, "acme", "ID", "x" * 129), "ERR", "1 to 128 bytes"),
        (("ACQUIRE", POOL, "acme", "ID", f"r1.abc.0123456789abcdef.0.globex@{POOL}"), "ERR", "another tenant or pool"),
        (("ACQUIRE", POOL, "acme", "ID", f"r1.abc.0123456789abcdef.1.acme@{POOL}"), "ERR", "must be 0"),
        (("ACQUIRE", POOL, "acme", "DRYRUN", "DRYRUN"), "ERR", "DRYRUN is given twice"),
        (("ACQUIRE", POOL, "acme", "PARTIAL"), "ERR", "'PARTIAL' is neither"),
        (("REPORT",), "ERR", "usage: REPORT id"),
        (("REPORT", f"r1.abc.0123456789abcdef.0.acme@{POOL}"), "NOSUCH", "no such reservation"),
        (("REPORT", "order-17"), "NOSUCH", "no such reservation"),
        (("REPORT", "order-17", "concurrent", 1), "ERR", "concurrent cannot be given here"),
        (("REPORT", "order-17", "STATUS", 99), "ERR", "100 to 599"),
        (("REPORT", "order-17", "RETRY_AFTER", "soon"), "ERR", "RETRY_AFTER needs a whole number"),
        (("REPORT", "r1.nonsense"), "ERR", "usage: REPORT"),
        (("REPORT", "r1.abc.0123456789abcdef.0.acme@nosuch"), "NOPOOL", "nosuch"),
        (("RENEW", "order-17"), "NOSUCH", "no such reservation"),
        (("RENEW", f"r1.abc.0123456789abcdef.0.acme@{POOL}", "ID", "xyz"), "ERR", "16 hexadecimal digits"),
        (("CANCEL", "order-17", "tokens", 1), "ERR", "usage: CANCEL id"),
        (("PEEK", POOL), "ERR", "usage: PEEK pool tenant"),
        (("PEEK", "nosuch", "acme"), "NOPOOL", POOL),
        (("AUDIT", "nosuch"), "NOPOOL", POOL),
        (("TENANT", "GET"), "ERR", "usage: TENANT"),
        (("TENANT", "SET", "acme", "TIER", "all"), "ERR", "TENANT SET is not supported"),
        (("TENANT", "LIST", "x"), "ERR", "cursor"),
        (("CONFIG", "SET", "x", "y"), "ERR", "CONFIG"),
        (("CLIENT", "KILL"), "ERR", "CLIENT ID"),
        (("AUTH", "x"), "ERR", "no credential is configured"),
    ],
)  # fmt: skip
def test_a_mistyped_command_says_what_was_expected(wire, command, word, says):
    assert says in error(wire.call(*command), word)
    assert wire.call("PING") == Simple("PONG"), "an error does not close the connection"


@pytest.mark.parametrize(
    "number", ["-1", "+5", "1e3", "5.0", "NaN", "inf", "", " 5", "5 ", "0x10", str(MAX_COST + 1), "9" * 30, "٣"]
)
def test_only_whole_numbers_get_in(wire, number):
    says = error(wire.call("ACQUIRE", POOL, "acme", "tokens", number), "ERR")
    assert f"tokens needs a whole number from 0 to {MAX_COST}" in says


def test_numbers_at_the_extremes(lab):
    """The largest amounts, costs and reports through the wire, exact to the unit."""
    most = 10**13
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(
        config(store, pool=[limit("tokens", most, "month", algorithm="bucket"), limit("usd", most, "day")],
               tier=[limit("requests", 1, "day"), limit("input_tokens", 150_000_000, "minute")])
    )  # fmt: skip
    with server.wire() as wire:
        for n in range(10):
            answer = wire.fields("ACQUIRE", POOL, f"t{n}", "tokens", MAX_COST, "usd", MAX_COST, "input_tokens", 0)
            assert answer["status"] == "granted", answer
            last = answer["id"]
        assert server.remaining(POOL, "t0", "pool", "tokens") == 0
        assert server.remaining(POOL, "t0", "pool", "usd") == 0
        month = 30 * 86_400_000
        answer = wire.fields("ACQUIRE", POOL, "other", "tokens", 1, "input_tokens", 0)
        assert answer["status"] == "denied" and answer["retry_after_ms"] == 1, (answer, month)
        assert wire.fields("REPORT", last, "tokens", MAX_COST - 1)["status"] == "settled"
        assert server.remaining(POOL, "t0", "pool", "tokens") == 1
        second = wire.fields("ACQUIRE", POOL, "t0", "tokens", 0)
        assert (second["status"], second["retry_after_ms"]) == ("denied", 86_400_000), "one a day"
        clock.advance(86_399_999)
        assert wire.fields("ACQUIRE", POOL, "t0")["retry_after_ms"] == 1
        clock.advance(1)
        assert wire.fields("ACQUIRE", POOL, "t0")["status"] == "granted"
        granted = sum(
            wire.fields("ACQUIRE", POOL, f"u{n}", "input_tokens", 150_000_000, "tokens", 0)["status"] == "granted"
            for n in range(20)
        )
        assert granted == 20
        refused = wire.fields("ACQUIRE", POOL, "u0", "requests", 0, "input_tokens", 1, "tokens", 0)
        assert (refused["status"], refused["retry_after_ms"]) == ("denied", 1)
        clock.advance(1)
        assert server.remaining(POOL, "u0", "tenant", "input_tokens") == 2500
        assert all(row["balanced"] for row in server.audit().values())


# ---- Pipelines -----------------------------------------------------------------------------------


def test_a_pipeline_of_mixed_commands_is_answered_in_order(wire):
    """Some are answered at once, some by the store, some in two round trips, some with errors."""
    random.seed(7)
    ids = [f"order-{n}" for n in range(300)]
    expected = []
    for n in range(1500):
        kind = random.randrange(6)
        if kind == 0:
            wire.send("ECHO", n)
            expected.append(lambda reply, n=n: reply == str(n))
        elif kind == 1:
            id_ = f"pipe-{n}"
            wire.send("ACQUIRE", POOL, "acme", "tokens", 1, "ID", id_)
            expected.append(lambda reply, id_=id_: as_fields(reply)["id"] == id_)
        elif kind == 2:
            wire.send("PEEK", POOL, f"tenant{n}")
            expected.append(lambda reply, n=n: as_rows(reply)[-1]["scope"] == f"tenant:tenant{n}")
        elif kind == 3:
            wire.send("NONSENSE", n)
            expected.append(lambda reply: isinstance(reply, WireError) and reply.word == "ERR")
        elif kind == 4:
            wire.send("REPORT", random.choice(ids))
            expected.append(lambda reply: isinstance(reply, WireError) and reply.word == "NOSUCH")
        else:
            id_ = f"r1.pipe{n % 7}.{n:016x}.0.acme@{POOL}"
            wire.send("ACQUIRE", POOL, "acme", "ID", id_)
            expected.append(lambda reply, id_=id_: as_fields(reply)["id"] == id_)
    for n, right in enumerate(expected):
        reply = wire.read()
        assert right(reply), (n, reply)


def test_a_pipeline_longer_than_the_server_takes_at_once(wire):
    """More than RATION_MAX_PIPELINE: the rest waits in the socket, and all get answers."""
    n = 10_000
    wire.sock.setblocking(False)
    data, got = encode("ACQUIRE", POOL, "acme", "tokens", 1) * n, 0
    buffer = b""
    sent = 0
    with selectors.DefaultSelector() as selector:
        selector.register(wire.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while got < n:
            ready = selector.select(20)
            assert ready, f"{got} of {n} answered"
            events = ready[0][1]
            if events & selectors.EVENT_READ:
                chunk = wire.sock.recv(1 << 16)
                assert chunk, "the server closed the connection"
                buffer += chunk
                got += buffer.count(b"granted\r\n")
                buffer = buffer[-8:] if b"granted\r\n" not in buffer[-8:] else b""
            if events & selectors.EVENT_WRITE and sent < len(data):
                sent += wire.sock.send(data[sent : sent + (1 << 16)])
                if sent == len(data):
                    selector.modify(wire.sock, selectors.EVENT_READ)
    wire.sock.setblocking(True)


def test_requests_byte_by_byte(wire):
    data = encode("ACQUIRE", POOL, "acme", "tokens", 7) + b"PEEK openai/gpt-4o 'acme'\r\n" + encode("PING")
    for i in range(len(data)):
        wire.send_bytes(data[i : i + 1])
    assert as_fields(wire.read())["status"] == "granted"
    assert len(wire.read()) == 4
    assert wire.read() == Simple("PONG")


def test_typed_by_hand(wire):
    """Like telnet or nc: inline requests, quotes, empty lines, LF alone."""
    wire.send_bytes(b'\r\n  ACQUIRE "openai/gpt-4o" acme tokens 5 \n')
    assert as_fields(wire.read())["status"] == "granted"
    wire.send_bytes(b'ECHO "a\\x41\\n"\r\n')
    assert wire.read() == "aA\n"
    wire.send_bytes(b"ECHO 'open\r\nPING\r\n")
    assert "quotes" in error(wire.read(), "ERR")
    assert wire.read() == Simple("PONG")
    wire.send_bytes(b"*0\r\n*-1\r\nPING\r\n")
    assert wire.read() == Simple("PONG")


# ---- Peers that misbehave ------------------------------------------------------------------------

RUBBISH = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "http": b"POST /v1/acquire HTTP/1.1\r\nHost: x\r\n\r\nACQUIRE openai/gpt-4o acme\r\n",
    "huge array": b"*1000000000\r\n",
    "too many arguments": encode(*(["ECHO"] * (MAX_ARGS + 1))),
    "huge bulk": b"*1\r\n$1000000000\r\n",
    "negative bulk": b"*1\r\n$-1\r\n",
    "no number": b"*x\r\n",
    "not a bulk": b"*1\r\n:5\r\n",
    "wrong end": b"*1\r\n$4\r\nPINGxx",
    "overflow": b"*99999999999999999999999999999\r\n",
    "long line": b"A" * (MAX_INLINE_BYTES + 1),
    "nul": b"PI\x00NG\r\n",
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_answered_with_an_error_and_closed(server, wire, name):
    with server.wire() as peer:
        peer.send("PING")
        try:
            peer.send_bytes(RUBBISH[name])
        except Closed:
            pass
        assert peer.read() == Simple("PONG")
        error(peer.read(), "ERR")
        assert peer.at_end()
    assert wire.call("PING") == Simple("PONG"), "nobody else notices"
    wait_until(lambda: int(server.info()["connections_dropped"]) >= 1, "the drop to be counted")


def test_random_bytes_never_hurt(server, wire):
    random.seed(11)
    pieces = [b"*", b"$", b"\r\n", b"3", b"-1", b"ACQUIRE", b"openai/gpt-4o", b" ", b'"', b"\x00", b"\xff", b"PING"]
    for _ in range(300):
        data = b"".join(random.choice(pieces) for _ in range(random.randrange(1, 40)))
        with server.wire() as peer:
            try:
                peer.send_bytes(data)
                peer.sock.shutdown(socket.SHUT_WR)
                while not peer.at_end():
                    pass
            except (Closed, OSError):
                pass
    assert as_fields(wire.call("ACQUIRE", POOL, "acme"))["status"] == "granted"


def test_the_largest_request_and_one_byte_more(server, wire):
    frame = len(b"*2\r\n$4\r\nECHO\r\n$16384\r\n\r\n")
    largest = MAX_REQUEST_BYTES - frame
    message = "x" * largest
    assert wire.call("ECHO", message) == message
    with server.wire() as peer:
        try:
            peer.send("ECHO", message + "x")
        except Closed:
            pass
        assert str(MAX_REQUEST_BYTES) in error(peer.read(), "ERR")
        assert peer.at_end()


def test_arguments_up_to_the_limit(wire):
    assert wire.call("COMMAND", "INFO", *["acquire"] * (MAX_ARGS - 2))[0][0] == "acquire"


def test_a_half_written_request_harms_nobody(server, wire):
    halves = [server.wire() for _ in range(50)]
    data = encode("ACQUIRE", POOL, "acme", "tokens", 5)
    for n, peer in enumerate(halves):
        peer.send_bytes(data[: 1 + n % (len(data) - 1)])
    before = server.remaining(POOL, "acme", "tenant", "concurrent")
    assert as_fields(wire.call("ACQUIRE", POOL, "acme"))["status"] == "granted"
    for peer in halves:
        peer.close()
    wait_until(lambda: int(server.info()["connected_clients"]) <= 2, "the half requests to be gone")
    assert server.remaining(POOL, "acme", "tenant", "concurrent") == before - 1


def test_a_request_before_the_end_of_stream_is_answered(server):
    with server.wire() as peer:
        peer.send("ACQUIRE", POOL, "acme")
        peer.send("PEEK", POOL, "acme")
        peer.sock.shutdown(socket.SHUT_WR)
        assert as_fields(peer.read())["status"] == "granted"
        assert len(peer.read()) == 4
        assert peer.at_end()


def test_a_peer_that_does_not_read_is_closed(server, wire):
    """Its replies may take only a bounded amount of memory; others are served meanwhile."""
    slow = server.wire(timeout=5)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    data = encode("COMMAND", "DOCS") * 200
    slow.sock.setblocking(False)

    def closed():
        assert wire.call("PING") == Simple("PONG")
        try:
            slow.sock.send(data)
        except BlockingIOError:
            pass
        except OSError:
            return True
        return int(server.info()["connections_dropped"]) > 0

    wait_until(closed, "the peer to be dropped", 20)
    slow.close()
    assert as_fields(wire.call("ACQUIRE", POOL, "acme"))["status"] == "granted"


def test_a_peer_that_reads_slowly_gets_everything(server):
    with server.wire() as slow:
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(100):
            slow.send("PEEK", POOL, "acme")
        assert all(len(slow.read()) == 4 for _ in range(100))


def test_clients_that_leave_in_the_middle_of_a_request(server, wire):
    """Nobody gets the answers to their operations; what was granted is still charged, once."""
    n = 200
    for k in range(n):
        peer = server.wire()
        peer.send("ACQUIRE", POOL, "acme", "tokens", 1, "ID", f"left-{k}")
        if k % 2:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        peer.close()
    wait_until(lambda: int(server.info()["connected_clients"]) <= 2, "the connections to be gone")
    for k in range(n):
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 1, "ID", f"left-{k}")["status"] == "granted"
    assert server.audit(POOL)["tokens"]["granted"] == n


def test_a_thousand_idle_connections(server, wire):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        idle = [server.wire() for _ in range(1000)]
        assert as_fields(wire.call("ACQUIRE", POOL, "acme"))["status"] == "granted"
        assert int(server.info()["connected_clients"]) >= 1001
        for peer in random.sample(idle, 50):
            assert peer.call("PING") == Simple("PONG")
        for peer in idle:
            peer.close()
        wait_until(lambda: int(server.info()["connected_clients"]) <= 2, "the connections to be gone")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_connections_than_allowed_are_refused_with_a_reason(lab):
    server = lab.ration(config(lab.redis(), max_connections=3))
    peers = [server.wire() for _ in range(3)]
    assert all(peer.call("PING") == Simple("PONG") for peer in peers)
    with server.wire() as one_more:
        assert "max_connections" in error(one_more.read(), "ERR")
        assert one_more.at_end()
    peers[0].close()

    def let_in():
        with server.wire() as peer:
            return peer.call("PING") == Simple("PONG")

    wait_until(let_in, "a place to be free")


# ---- redis-cli and redis-benchmark ---------------------------------------------------------------


def test_redis_cli_does_every_command(lab, server):
    def cli(*args):
        done = lab.run("redis-cli", "-p", server.port, *args)
        assert done.returncode == 0, done
        return done.stdout

    def table(text):
        words = text.split("\n")
        return dict(zip(words[0::2], words[1::2]))

    granted = table(cli("ACQUIRE", POOL, "acme", "tokens", "500"))
    assert granted["status"] == "granted"
    id_ = granted["id"]
    assert "granted" in cli("RENEW", id_, "TTL", "5000")
    assert "settled" in cli("REPORT", id_, "tokens", "321")
    assert "duplicate" in cli("CANCEL", id_)
    assert "remaining" in cli("PEEK", POOL, "acme")
    assert "balanced" in cli("AUDIT")
    assert "tier" in cli("TENANT", "GET", "acme")
    assert "acme" in cli("TENANT", "LIST", "0")
    assert cli("PING") == "PONG\n"
    assert "ration_version" in cli("INFO")
    assert "acquire" in cli("COMMAND", "LIST")
    assert cli("CLIENT", "ID").strip().isdigit()
    assert "timeout" in cli("CONFIG", "GET", "*") or cli("CONFIG", "GET", "*").strip()
    assert cli("SELECT", "0") == "OK\n"
    assert cli("RESET").strip() == "RESET"
    assert cli("QUIT").strip() == "OK"
    assert "server" in cli("HELLO")
    assert "no credential" in cli("AUTH", "x")
    assert '"status" => "granted"' in cli("-3", "--no-raw", "ACQUIRE", POOL, "acme")
    assert "did you mean ACQUIRE" in cli("AQUIRE", POOL, "acme")


def test_redis_benchmark(lab, server):
    done = lab.run("redis-benchmark", "-p", server.port, "-n", 2000, "-c", 20, "-P", 8, "-q",
                   "ACQUIRE", POOL, "acme", "tokens", 1)  # fmt: skip
    assert done.returncode == 0 and "requests per second" in done.stdout, done
    assert "rror" not in done.stdout + done.stderr, done
    assert server.audit(POOL)["tokens"]["granted"] >= 2000


def test_names_of_every_printable_kind(server, wire):
    """A tenant's name may contain @, dots and colons; the id can still be parsed."""
    allowed = "".join(c for c in string.printable if 0x20 < ord(c) < 0x7F and c not in "\"'\\{}")
    for tenant in ("a@b", "a.b.c", "r1.x", "t:1", "x" * 128, allowed[:60], allowed[60:]):
        answer = wire.fields("ACQUIRE", POOL, tenant, "tokens", 9)
        assert not isinstance(answer, WireError), answer
        assert answer["status"] == "granted" and answer["id"].endswith(f".0.{tenant}@{POOL}")
        assert wire.fields("REPORT", answer["id"], "tokens", 5) == {"status": "settled"}
        assert f"tenant:{tenant}" in [row["scope"] for row in server.peek(POOL, tenant)]
    assert server.audit(POOL)["tokens"]["used"] == 7 * 5
    for bad in "\"'\\{} \n\x7f\x80":
        error(wire.call("ACQUIRE", POOL, f"a{bad}b"), "ERR")


def test_the_longest_names_and_ids(lab):
    pool, tenant = "p" * 128, "t" * 128
    server = lab.ration(config(lab.redis(), pools={pool: {"limits": [limit("tokens", 1000, "day")]}}))
    with server.wire() as wire:
        longest = f"r1.{'s' * 24}.{'f' * 16}.0.{tenant}@{pool}"
        assert wire.fields("ACQUIRE", pool, tenant, "tokens", 5, "ID", longest)["id"] == longest
        assert wire.fields("REPORT", longest, "tokens", 4) == {"status": "settled"}
        free = "f" * 128
        assert wire.fields("ACQUIRE", pool, tenant, "tokens", 2000, "ID", free)["limited_by"] == f"pool:{pool} tokens/day"
        assert wire.fields("ACQUIRE", pool, tenant, "tokens", 5, "ID", free)["id"] == free
        assert wire.fields("CANCEL", free) == {"status": "settled"}
        error(wire.call("REPORT", f"r1.{'s' * 25}.{'f' * 16}.0.{tenant}@{pool}"), "ERR")
        error(wire.call("REPORT", longest + "x"), "ERR")
    assert server.remaining(pool, tenant, "pool", "tokens") == 996


def test_without_the_store(lab):
    """Answers come within the deadline and name their mode; later they are exact again."""
    store = lab.redis("--appendonly", "yes")
    settings = config(store, tier=[limit("tokens", 1000, "day")])
    settings["store"]["timeout_ms"] = 300
    server = lab.ration(settings)
    allowing = lab.ration(dict(settings, on_outage="allow"))
    with server.wire() as wire, allowing.wire() as lenient:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 100)["status"] == "granted"
        store.kill()
        assert "deny" in error(wire.call("ACQUIRE", POOL, "acme", "tokens", 100), "UNAVAILABLE")
        error(wire.call("PEEK", POOL, "acme"), "UNAVAILABLE")
        answer = lenient.fields("ACQUIRE", POOL, "acme", "tokens", 100)
        assert (answer["status"], answer["mode"]) == ("granted", "local")
        assert wire.call("PING") == Simple("PONG")
        assert server.info()["store_state"] == "away"
        store.restart()
        wait_until(lambda: server.info()["store_state"] == "ready", "the store to be back", 20)
        wait_until(lambda: allowing.info()["store_state"] == "ready", "the store to be back", 20)
        answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 900)
        assert answer["status"] in ("granted", "denied") and answer["mode"] == "exact"


def test_open_files_stay_bounded(server):
    """A closed connection leaves no descriptor behind."""
    folder = f"/proc/{server.pid}/fd"
    with server.wire() as first:
        first.call("PING")
        before = len(os.listdir(folder))
    for _ in range(200):
        with Wire(server.port) as peer:
            peer.call("PING")
    wait_until(lambda: len(os.listdir(folder)) <= before, "descriptors to be given back")
