"""Connections are cut after each byte of each exchange, between client and rationd and between
rationd and Redis. A request that is repeated with the same id is charged once, and the ledger
balances.

With RATION_HAMMER_SECONDS of 10 or more, every byte is tried on the store's side too; else every
seventh of the requests, and every byte of the answers.
"""
import concurrent.futures
import os

import pytest

from configs import config, limit
from cutting_proxy import TO_CLIENT, TO_SERVER, CuttingProxy
from waiting import wait_until
from wire import Closed, Wire, WireError, as_fields, encode

STRIDE = 1 if float(os.environ.get("RATION_HAMMER_SECONDS", "3")) >= 10 else 7
VERBS = ("acquire", "renew", "report", "cancel")
USED = {"acquire": 100, "renew": 130, "report": 40, "cancel": 0}  # tokens that stay charged per call
TOKEN = "00000000deadbeef"


def make_id(pool, n, free_form):
    return f"cut-{pool}-{n}" if free_form else f"r1.cut{pool}{n // 100}.{n:016x}.0.acme@{pool}"


def command(verb, id_):
    return {
        "acquire": ("ACQUIRE", verb, "acme", "tokens", 100, *(("ID", id_) if id_ else ())),
        "renew": ("RENEW", id_, "TTL", 120_000, "tokens", 30, "ID", TOKEN),
        "report": ("REPORT", id_, "tokens", 40),
        "cancel": ("CANCEL", id_),
    }[verb]


def settings(store_url, clock_ttl=600_000):
    made = config(
        store_url,
        pools={verb: {"limits": [limit("tokens", 10**9, "day"), limit("concurrent", 10**6)]} for verb in VERBS},
        tier=[limit("tokens", 10**9, "day", algorithm="calendar")],
        ttl_ms=clock_ttl,
        threads=1,  # one connection to the store, the one to cut
    )
    made["store"]["timeout_ms"] = 20_000
    return made


def prepare(wire, verb, id_):
    """Makes what must exist before the exchange."""
    if verb != "acquire":
        answer = wire.fields("ACQUIRE", verb, "acme", "tokens", 100, "ID", id_)
        assert answer["status"] == "granted", answer


def check_ledger(server, verb, calls):
    assert server.remaining(verb, "acme", "pool", "tokens") == 10**9 - USED[verb] * calls
    ledger = server.audit(verb)
    assert all(row["balanced"] for row in ledger.values()), ledger
    assert ledger["requests"]["granted"] == calls
    assert ledger["tokens"]["granted"] == (130 if verb == "renew" else 100) * calls
    open_ = 0 if verb in ("report", "cancel") else calls
    assert server.remaining(verb, "acme", "pool", "concurrent") == 10**6 - open_
    assert ledger["requests"]["outstanding"] == open_


# ---- Between client and server -------------------------------------------------------------------


@pytest.mark.parametrize("free_form", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_cut_between_client_and_server(lab, verb, free_form):
    clock = lab.clock()
    server = lab.ration(settings(lab.redis(clock=clock).url))
    proxy = CuttingProxy(server.port)
    lab.on_close(proxy.close)
    calls = cut = 0
    direct = server.wire()
    for direction in (TO_SERVER, TO_CLIENT):
        at = 0 if direction == TO_CLIENT else 1
        while True:
            calls += 1
            id_ = make_id(verb, calls, free_form)
            prepare(direct, verb, id_)
            done_before = proxy.cuts
            proxy.arm(direction, at)
            answer = None
            with Wire(proxy.port) as wire:
                try:
                    wire.send(*command(verb, id_))
                    answer = wire.read()
                except Closed:
                    cut += 1
            proxy.disarm()
            again = direct.fields(*command(verb, id_))
            assert not isinstance(again, WireError), (verb, direction, at, again)
            assert again["status"] in {"acquire": ["granted"], "renew": ["granted"]}.get(verb, ["settled", "duplicate"])
            whole = len(encode(*command(verb, id_))) if direction == TO_SERVER else None
            at += 1
            if answer is not None and proxy.cuts == done_before or whole is not None and at > whole:
                break  # the whole exchange has passed
    assert cut > 50 if verb in ("acquire", "renew") else cut > 20
    direct.close()
    wait_until(lambda: int(server.info()["connected_clients"]) == 1, "the cut connections to be gone")
    check_ledger(server, verb, calls)


# ---- Between server and store --------------------------------------------------------------------


def exchange_bytes(lab, store, verb):
    """How many bytes the exchange takes each way."""
    proxy = CuttingProxy(store.path)
    server = lab.ration(settings(f"redis://127.0.0.1:{proxy.port}/0"))
    with server.wire() as wire:
        wire.call("PEEK", verb, "acme")  # the very first batch may be sent twice, to learn the store's date
        id_ = make_id(verb, 0, False)
        prepare(wire, verb, id_)
        before = proxy.counts()
        assert not isinstance(wire.call(*command(verb, id_)), WireError)
        after = proxy.counts()
    server.stop()
    proxy.close()
    return {direction: after[direction] - before[direction] for direction in before}


def cut_some(lab, store, verb, jobs):
    """Cuts a separate rationd behind a separate proxy three times, once in each exchange; then
    replaces it, because it waits longer before each successive attempt."""
    proxy = CuttingProxy(store.path)
    server = lab.ration(settings(f"redis://127.0.0.1:{proxy.port}/0"))
    try:
        with server.wire() as wire:
            for direction, at, id_ in jobs:
                prepare(wire, verb, id_)
                before = proxy.cuts
                proxy.arm(direction, at)
                answer = as_fields(wire.call(*command(verb, id_)))
                proxy.disarm()
                assert not isinstance(answer, WireError), (verb, direction, at, answer)
                assert answer["status"] in ("granted", "settled"), (verb, direction, at, answer)
                assert proxy.cuts == before + 1, (verb, direction, at)
        assert server.stop() == 0
    finally:
        proxy.close()


@pytest.mark.parametrize("verb", VERBS)
def test_cut_between_server_and_store(lab, verb):
    """The client notices nothing: its one request is answered as if nothing had happened."""
    clock = lab.clock()
    store = lab.redis(clock=clock)
    length = exchange_bytes(lab, store, verb)
    places = [(TO_SERVER, at) for at in range(1, length[TO_SERVER] + 1)
              if at % STRIDE == 0 or at < 4 or at > length[TO_SERVER] - 4]  # fmt: skip
    places += [(TO_CLIENT, at) for at in range(length[TO_CLIENT])]
    jobs = [(direction, at, make_id(verb, n, False)) for n, (direction, at) in enumerate(places, 1)]
    if verb == "acquire":
        # For every second one the server makes the id; then the request is shorter, and its last
        # bytes are not reached.
        jobs = [(direction, at, None if n % 2 and (direction == TO_CLIENT or at < length[TO_SERVER] // 2) else id_)
                for n, (direction, at, id_) in enumerate(jobs)]  # fmt: skip
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(cut_some, lab, store, verb, jobs[n : n + 3]) for n in range(0, len(jobs), 3)]
        for future in waiting:
            future.result()
    server = lab.ration(settings(store.url))
    check_ledger(server, verb, len(jobs) + 1)


def test_cut_while_the_server_greets_the_store(lab):
    """Wherever the greeting breaks off, it starts over."""
    store = lab.redis()
    proxy = CuttingProxy(store.path)
    lab.on_close(proxy.close)
    first = lab.ration(settings(f"redis://127.0.0.1:{proxy.port}/0"))
    length = proxy.counts()
    first.stop()

    def greet(place):
        direction, at = place
        own = CuttingProxy(store.path)
        own.arm(direction, at)
        try:
            server = lab.ration(settings(f"redis://127.0.0.1:{own.port}/0"))
            assert own.cuts == 1, place
            with server.wire() as wire:
                assert wire.fields("ACQUIRE", "acquire", "acme", "tokens", 100)["status"] == "granted"
            assert server.stop() == 0
        finally:
            own.close()

    places = [(TO_SERVER, at) for at in range(1, length[TO_SERVER], max(1, length[TO_SERVER] // 24))]
    places += [(TO_CLIENT, at) for at in range(0, length[TO_CLIENT], max(1, length[TO_CLIENT] // 24))]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(greet, places))
