"""The bytes that `decide` reads and answers, as lua/README.md describes them, and the script's text itself.

Nothing here decides anything: a limit, an operation and an answer are plain objects, and this module turns them into bytes
and back. The ledger at the end of a pool's levels can be unpacked too.
"""

import hashlib
import os
import pathlib
import re
import struct

LUA_DIR = pathlib.Path(os.environ.get("RATION_LUA_DIR") or pathlib.Path(__file__).parents[3] / "lua")

UNITS = ("requests", "tokens", "input_tokens", "output_tokens", "usd", "concurrent")
REQUESTS, TOKENS, INPUT, OUTPUT, USD, IN_FLIGHT = range(6)
BUCKET, ROLLING, CALENDAR, CONCURRENT = range(4)
ACQUIRE, REPORT, RENEW, CANCEL, PEEK, OPEN_POOL, CLOSE_POOL, SHOW_POOL, FORGIVE = range(1, 10)
GRANTED, DENIED, SETTLED, LATE, DUPLICATE, PEEKED, NOSUCH, FOREIGN, ENDED, SHOWN, FORGIVEN, CROWDED = range(1, 13)
AGAIN, DRY, PARTIAL, SPLIT_UNKNOWN = 1, 2, 4, 8
HAS_NAMES, HAS_TOKEN, HAS_ESTIMATES, HAS_NEWS = 16, 32, 64, 128
PAUSED, CIRCUIT, IS_CLOSED, OUTSTANDING = 255, 254, 253, 252  # in the place of the limit that refuses
LEARNED_OUTPUT, LEARNED_INPUT = 1, 2  # in the place of the bucket, of a report that learned
STATES = ("open", "paused", "circuit", "probing", "closed")
NEVER = -1
STALE = 1  # the first byte of an answer
FOREVER = 2**50


def library_text(change=lambda text: text):
    """The library, put together from the parts that lua/CMakeLists.txt lists, in its order, as lua/library.cmake does it.

    `change` is given the text before it gets its name.
    """
    listed = re.search(r"set\(RATION_LUA_PARTS\s+([^)]*)\)", (LUA_DIR / "CMakeLists.txt").read_text())
    parts = "".join((LUA_DIR / f"{part}.lua").read_text() for part in listed.group(1).split())
    text = change((LUA_DIR / "library.lua.in").read_text().replace("@PARTS@", parts))
    return text.replace("@NAME@", "ration_" + hashlib.sha1(text.encode()).hexdigest()[:16])


def with_clock(text):
    """The clock taken from args[2] (ms) instead of TIME, and nothing else changed.

    The expiry of slices is compared with PTTL, which runs on the real clock; so that one comparison keeps the real clock.
    """
    for old, new in (
        (
            "local clock = time[1] * 1000 + floor(time[2] / 1000)",
            "local real_clock, clock = time[1] * 1000 + floor(time[2] / 1000), tonumber(args[2])",
        ),
        ("open_slices(keys_from + n_estimates, clock)", "open_slices(keys_from + n_estimates, real_clock)"),
    ):
        assert text.count(old) == 1, f"the library reads its clock in another way than this test knows: {old}"
        text = text.replace(old, new)
    return text


def load(client):
    """Loads the library as the server does; returns the function's name. The audit's is `name + "_audit"`."""
    return client.function_load(library_text(), replace=True).decode()


def load_with_clock(client):
    return client.function_load(library_text(with_clock), replace=True).decode()


class Limit:
    """One limit as the server sends it. `bounds` are the beginnings of a calendar limit's periods."""

    __slots__ = ("unit", "algorithm", "amount", "capacity", "per", "slack", "at_end", "settle", "kept_back", "bounds",
                 "sig", "holds", "width", "stay", "_packed")

    def __init__(self, unit, algorithm, amount, per=60000, capacity=None, slack=250, at_end=False, settle=True,
                 kept_back=(0, 0, 0), bounds=None):
        self.unit, self.algorithm, self.amount, self.per = unit, algorithm, amount, per
        self.capacity = amount if capacity is None else capacity
        self.slack, self.at_end, self.settle, self.kept_back, self.bounds = slack, at_end, settle, kept_back, bounds
        self.holds = at_end or algorithm == CONCURRENT
        self.sig = unit * 2**21 + algorithm * 2**19 + at_end * 2**18 + per % 262139
        self.width = -(-per // 120)
        self.stay = per + slack
        self._packed = struct.pack("<BBBqqqqq", unit, algorithm, at_end | settle << 1, amount, self.capacity, *kept_back) \
            + per.to_bytes(6, "little") + struct.pack("<I", slack) + self.sig.to_bytes(3, "little")

    def pack(self):
        if self.algorithm == CALENDAR:
            return self._packed + b"".join(b.to_bytes(6, "little") for b in self.bounds)
        return self._packed

    def change(self, **changes):
        old = {name: getattr(self, name) for name in
               ("unit", "algorithm", "amount", "capacity", "per", "slack", "at_end", "settle", "kept_back", "bounds")}
        old.update(changes)
        return Limit(**old)

    def __repr__(self):
        return (f"Limit({UNITS[self.unit]} {('bucket', 'rolling', 'calendar', 'concurrent')[self.algorithm]}"
                f" {self.amount}/{self.per} capacity {self.capacity} slack {self.slack} at_end {self.at_end}"
                f" settle {self.settle} kept back {self.kept_back})")


class Feedback:
    """What a report says of the provider. `seen` are (unit, per or 0, limit or 0, remaining)."""

    def __init__(self, failed=False, pause=0, reason="", seen=()):
        self.failed, self.pause, self.reason, self.seen = failed, pause, reason, tuple(seen)

    def pack(self):
        packed = struct.pack("<BIB", self.failed, self.pause, len(self.reason)) + self.reason.encode() + bytes([len(self.seen)])
        for unit, *numbers in self.seen:
            packed += bytes([unit]) + b"".join(n.to_bytes(6, "little") for n in numbers)
        return packed

    def __repr__(self):
        return f"Feedback(failed {self.failed} pause {self.pause} reason {self.reason!r} seen {self.seen})"


class Breaker:
    """When a pool's circuit opens. share 0: never."""

    def __init__(self, share=0, at_least=20, window=30000, cool=5000):
        self.share, self.at_least, self.window, self.cool = share, at_least, window, cool

    def pack(self):
        return struct.pack("<IIII", round(self.share * 1000000), self.at_least, self.window, self.cool)


class Op:
    """One operation. `buckets` are keys of buckets, `slice` is the key of a slice, cost has the six units. Of a free-form id `names` are
    b"tenant pool", and `owner` is the key that says whose it is."""

    __slots__ = ("kind", "buckets", "cost", "resent", "dry", "partial", "split_unknown", "priority", "n", "stated", "slice",
                 "member", "nonce", "check", "ttl", "names", "owner", "token", "estimates", "feedback")

    def __init__(self, kind, buckets, cost=(0, 0, 0, 0, 0, 0), resent=False, dry=False, partial=False, split_unknown=False,
                 priority=1, n=1, stated=0, slice=None, member=0, nonce=bytes(8), check=1, ttl=60000, names=None, owner=None,
                 token=None, estimates=None, feedback=None):
        self.kind, self.buckets, self.cost, self.resent, self.dry = kind, buckets, cost, resent, dry
        self.partial, self.split_unknown, self.priority, self.n, self.stated = partial, split_unknown, priority, n, stated
        self.slice, self.member, self.nonce, self.check, self.ttl = slice, member, nonce, check, ttl
        self.names, self.owner, self.token, self.estimates, self.feedback = names, owner, token, estimates, feedback

    def change(self, **changes):
        copy = Op(self.kind, self.buckets)
        for name in self.__slots__:
            setattr(copy, name, changes.get(name, getattr(self, name)))
        return copy

    def pack(self, bucket_index, slice_index, estimate_index):
        which = [bucket_index[b] for b in self.buckets]
        flags = self.resent | self.dry << 1 | self.partial << 2 | self.split_unknown << 3 \
            | (self.names is not None) << 4 | (self.token is not None) << 5 | (self.estimates is not None) << 6 \
            | (self.feedback is not None) << 7
        parts = [struct.pack("<6B4HB8s", self.kind, flags, self.priority, self.n, self.stated, len(which),
                             *(which + [0, 0])[:3], slice_index.get(self.slice, 0), self.member, self.nonce),
                 self.check.to_bytes(6, "little"), self.ttl.to_bytes(4, "little")]
        parts += [c.to_bytes(6, "little") for c in self.cost]
        if self.names is not None:
            parts += [struct.pack("<H", len(self.names)), self.names, struct.pack("<H", slice_index[self.owner])]
        if self.token is not None:
            parts.append(self.token)
        if self.estimates is not None:
            parts.append(struct.pack("<H", estimate_index[self.estimates]))
        if self.feedback is not None:
            parts.append(self.feedback.pack())
        return b"".join(parts)

    def __repr__(self):
        return "Op(" + " ".join(f"{n}={getattr(self, n)!r}" for n in self.__slots__) + ")"


class Bucket:
    """Where a bucket is kept and which limits it has now. A pool's (with ledger) may have a breaker, and then knows
    things; a tenant's counts what is outstanding."""

    def __init__(self, key, limits, ledger=False, breaker=None, counts=False):
        self.key, self.limits, self.ledger, self.breaker, self.counts = key, list(limits), ledger, breaker, counts

    @property
    def health_key(self):
        return self.key + ":k"

    @property
    def slots_key(self):
        return self.key + "+s"

    @property
    def has_slots(self):
        return self.ledger or any(l.holds or l.algorithm == ROLLING for l in self.limits)


def pack_batch(buckets, ops, max_outstanding=10_000):
    """KEYS and the argument for a batch over these buckets (a dict by key): only those that an operation names are sent."""
    used = list(dict.fromkeys(b for o in ops for b in o.buckets))
    slices = list(dict.fromkeys(s for o in ops for s in (o.slice, o.owner) if s is not None))
    estimates = list(dict.fromkeys(o.estimates for o in ops if o.estimates is not None))
    bucket_index = {b: i for i, b in enumerate(used)}
    estimate_index = {e: i for i, e in enumerate(estimates)}
    slice_index = {s: i for i, s in enumerate(slices)}
    keys, sets, places = [], {}, []
    for name in used:
        b = buckets[name]
        packed = bytes([len(b.limits)]) + b"".join(l.pack() for l in b.limits)
        places.append(struct.pack("<HB", sets.setdefault(packed, len(sets)), b.has_slots | b.ledger << 1 | (b.breaker is not None) << 2
                                  | b.counts << 3))
        keys.append(b.key)
        if b.has_slots:
            keys.append(b.slots_key)
        if b.breaker is not None:
            keys.append(b.health_key)
            places[-1] += b.breaker.pack()
    argument = struct.pack("<BHHHHI", 4, len(sets), len(used), len(estimates), len(ops), max_outstanding) \
        + b"".join(struct.pack("<H", len(s)) + s for s in sets) + b"".join(places) \
        + b"".join(o.pack(bucket_index, slice_index, estimate_index) for o in ops)
    return keys + estimates + slices, argument


class Answer:
    __slots__ = ("outcome", "granted", "bucket", "limit", "wait", "rows", "reason", "failures", "reports", "cool", "over_input")

    def __init__(self, outcome, granted=0, bucket=0, limit=0, wait=0, rows=None):
        self.outcome, self.granted, self.bucket, self.limit, self.wait = outcome, granted, bucket, limit, wait
        self.rows, self.reason, self.failures, self.reports, self.cool, self.over_input = rows, None, None, None, None, None

    @property
    def state(self):
        return STATES[self.bucket]  # of a pool that is shown

    def __repr__(self):
        return (f"Answer(outcome {self.outcome} granted {self.granted} by {self.bucket}.{self.limit} wait {self.wait}"
                f" rows {self.rows} reason {self.reason!r} failures {self.failures} of {self.reports})")


def unpack_answer(data):
    """(stale, the store's clock, {place of a bucket: its time} of those that are ahead, [Answer])."""
    stale, clock, n = data[0], int.from_bytes(data[1:7], "little"), int.from_bytes(data[7:9], "little")
    answers, at, ahead = [], 9, {}
    for _ in range(n):
        ahead[int.from_bytes(data[at:at + 2], "little")] = int.from_bytes(data[at + 2:at + 8], "little")
        at += 8
    while at < len(data):
        a = Answer(*struct.unpack_from("<BBBBq", data, at))
        at += 12
        if a.outcome in (PEEKED, FORGIVEN):
            a.rows = [struct.unpack_from("<qq", data, at + 16 * i) for i in range(a.granted)]
            at += 16 * a.granted
        if a.outcome in (SETTLED, LATE) and a.bucket & LEARNED_INPUT:
            a.over_input, = struct.unpack_from("<q", data, at)
            at += 8
        if a.outcome == SHOWN:
            a.failures, a.reports, a.cool = struct.unpack_from("<III", data, at)
            at += 12
        if a.outcome == SHOWN or a.limit == IS_CLOSED:
            a.reason = data[at + 1:at + 1 + data[at]].decode()
            at += 1 + data[at]
        answers.append(a)
    return stale == STALE, clock, ahead, answers


ACCOUNTS = ("granted", "reported", "expired", "cancelled", "spent", "outstanding")
STORED_BOOKS = ("granted", "outstanding", "reported", "expired", "cancelled", "spent")


def unpack_ledger(levels):
    """The ledger at the end of a pool's levels, as {name: [requests tokens input output usd reservations]}."""
    last = [int.from_bytes(levels[at:at + 7], "little", signed=True) for at in range(len(levels) - 36 * 7, len(levels), 7)]
    return {name: last[i * 6:i * 6 + 6] for i, name in enumerate(STORED_BOOKS)}


def unpack_audit(data):
    """(second, [ledger of each pool that was read], how many slices were counted, {pool's part of the check: [six outstanding]})."""
    second, n, at, ledger, sums = int.from_bytes(data[:6], "little"), int.from_bytes(data[6:8], "little"), 8, [], {}
    for _ in range(n):
        numbers = struct.unpack_from("<36q", data, at)
        ledger.append({name: numbers[i * 6:i * 6 + 6] for i, name in enumerate(ACCOUNTS)})
        at += 36 * 8
    slices, n = struct.unpack_from("<HI", data, at)
    at += 6
    for _ in range(n):
        pool, *numbers = struct.unpack_from("<I6q", data, at)
        assert pool not in sums
        sums[pool] = numbers
        at += 52
    assert at == len(data)
    return second, ledger, slices, sums
