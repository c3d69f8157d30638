"""Compares what came of a call with what its sidecar says. Each difference is one line.

The sidecar states only what its case is about. One thing is checked for every call: the request that
was sent must be the recorded one.
"""
import json
import urllib.parse

from dialect import KEYS
from replaying import KEY

# Recorded headers that are compared; a sidecar names further ones in request.headers.
COMPARED_HEADERS = ("content-type", "accept", "anthropic-version", "anthropic-beta", "openai-organization", "http-referer")
KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


def _path(uri):
    """The unescaped path: "%3A" and ":" are the same."""
    return urllib.parse.unquote(urllib.parse.urlsplit(uri).path)


def _query(uri):
    pairs = urllib.parse.parse_qsl(urllib.parse.urlsplit(uri).query, keep_blank_values=True)
    return sorted((k, v) for k, v in pairs if k not in KEYS)


def _media_type(value):
    return (value or "").split(";")[0].strip().lower()


def _auth_form(value):
    """What precedes the key: "Bearer", or nothing."""
    return value.rsplit(" ", 1)[0] if " " in value else ""


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _fits(wanted, seen):
    """A pair of numbers is a range, "*" anything; objects may have extra members; 0 may be absent."""
    if wanted == "*":
        return seen not in (None, "")
    if isinstance(wanted, list) and len(wanted) == 2 and all(_is_number(n) for n in wanted):
        return _is_number(seen) and wanted[0] <= seen <= wanted[1]
    if isinstance(wanted, dict):
        return isinstance(seen, dict) and all(_fits(value, seen.get(key)) for key, value in wanted.items())
    if _is_number(wanted) and wanted == 0:
        return seen in (0, None)
    return wanted == seen


class Comparison:
    def __init__(self, came):
        self.came = came
        self.differences = []

    def check(self, what, wanted, seen):
        if not _fits(wanted, seen):
            self.differences.append(f"{what}: right {_show(wanted)}, seen {_show(seen)}")

    # ---- The request ----

    def request(self, wanted):
        recorded = self.came.exchange.request
        for sent in self.came.requests:
            self.check("method", recorded.method, sent.method)
            self.check("path", wanted.get("path", _path(recorded.uri)), _path(sent.uri))
            self.check("query", _query(recorded.uri), _query(sent.uri))
            for name in COMPARED_HEADERS:
                if recorded.headers.get(name) is not None:
                    self.check(name, _media_type(recorded.headers.get(name)), _media_type(sent.headers.get(name)))
            for name, value in wanted.get("headers", {}).items():
                self.check(name, value, sent.headers.get(name))
            self.key(recorded, sent)
            self.body(wanted.get("body", "same"), recorded.body, sent.body)

    def key(self, recorded, sent):
        for name in KEY_HEADERS:
            value = recorded.headers.get(name)
            if value is None or value.startswith("AWS4"):
                continue
            self.check(f"{name}: before the key", _auth_form(value), _auth_form(sent.headers.get(name) or "(none)"))
            if sent.headers.get(name) and not sent.headers.get(name).endswith(KEY):
                self.differences.append(f"{name}: it does not end with the key")

    def body(self, rule, recorded, sent):
        """ "same": byte for byte. An object: its member is inserted, all else is the caller's."""
        if rule == "same":
            self.check("body sent", recorded.decode(errors="replace"), sent.decode(errors="replace"))
            return
        try:
            changed = json.loads(sent)
        except ValueError:
            changed = None
        self.check("body sent", {**json.loads(recorded), **rule}, changed)
        kept = _common_ends(recorded, sent)
        if kept < len(recorded) and len(sent) >= len(recorded):
            self.differences.append(f"body sent: only {kept} of {len(recorded)} bytes are the caller's own: {sent[:300]!r}")

    # ---- What came of it ----

    def result(self, wanted):
        result = self.came.result or {}
        for name in ("outcome", "http_status", "tries", "retry_after_ms", "waited_ms", "usage", "service_tier", "used", "used_known"):
            if name in wanted:
                self.check(name, wanted[name], result.get(name))
        if "exit" in wanted:
            self.check("exit status", wanted["exit"], self.came.status)
        if "message" in wanted and wanted["message"] not in (result.get("message") or ""):
            self.differences.append(f"message: {wanted['message']!r} is not in {result.get('message')!r}")
        for unit, amount in wanted.get("charged", {}).items():
            self.check(f"charged {unit}", amount, self.came.charged.get(unit))
        for limit, amount in wanted.get("left", {}).items():
            self.check(f"left of {limit}", amount, self.came.left.get(limit))
        for name, value in wanted.get("pool", {}).items():
            self.check(f"pool {name}", value, self.came.pool.get(name))

    def answer(self, wanted):
        if "text" in wanted:
            printed = self.came.printed
            self.check("text", wanted["text"], printed[:-1] if printed and printed.endswith("\n") else printed)
        if wanted.get("body") == "same":
            body = self.came.exchange.answer.plain_body().decode("utf-8-sig", "replace")
            self.check("body", json.loads(body), (self.came.result or {}).get("body"))


def _common_ends(recorded, sent):
    """How many bytes of `recorded` begin and end `sent`: with a single insertion, all of them."""
    head = next((i for i, (a, b) in enumerate(zip(recorded, sent)) if a != b), min(len(recorded), len(sent)))
    rest = recorded[head:]
    tail = next((i for i, (a, b) in enumerate(zip(reversed(rest), reversed(sent[head:]))) if a != b), len(rest))
    return head + min(tail, len(rest))


def _show(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:140]} [...] {text[-140:]}"


def differences(came):
    """How the call differs from the exchange's sidecar."""
    comparison = Comparison(came)
    expected = came.exchange.expected
    comparison.request(expected.get("request", {}))
    comparison.result(expected["expect"])
    comparison.answer(expected["expect"])
    return list(dict.fromkeys(comparison.differences))
