"""Cassettes: exchanges recorded by VCR.py, pytest-recording and similar tools, read into one form.

A file has a list of interactions. Consecutive ones with the same request, all failed but the last,
are the tries of one call; all others are separate calls. Bodies are the bytes that were on the wire:
strings are UTF-8, `!!binary` and base64 are decoded, and a body that the recorder stored as parsed
JSON is serialised again.
"""
import base64
import dataclasses
import gzip
import json
import pathlib
import urllib.parse

import yaml


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Recorders dump some objects with Python tags; only the contents are read, nothing is run."""


def _plain(loader, _suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)


class Headers(list):
    """(name, value) pairs in wire order; names compare case-insensitively."""

    def all(self, name):
        return [value for key, value in self if key.lower() == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    def without(self, *names):
        return Headers((key, value) for key, value in self if key.lower() not in names)


@dataclasses.dataclass
class Request:
    method: str
    uri: str
    headers: Headers
    body: bytes

    @property
    def parts(self):
        return urllib.parse.urlsplit(self.uri)

    def same_call(self, other):
        return (self.method, self.uri, self.body) == (other.method, other.uri, other.body)

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    headers: Headers
    body: bytes

    def plain_body(self):
        """What the caller should get: the decompressed body."""
        if self.headers.get("content-encoding", "").lower() == "gzip" and self.body[:2] == b"\x1f\x8b":
            return gzip.decompress(self.body)
        return self.body


@dataclasses.dataclass
class Exchange:
    """One call: its request, and the answer to each try."""

    name: str
    request: Request
    responses: list
    expected: dict  # the sidecar's contents; None: no sidecar

    @property
    def answer(self):
        return self.responses[-1]


def _bytes(value):
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value, separators=(",", ":")).encode()


def _body(holder):
    """The body of a request or a response; its form differs between recorders and versions."""
    if "parsed_body" in holder:
        return _bytes(holder["parsed_body"])
    body = holder["body"] if "body" in holder else holder.get("content")
    if isinstance(body, dict):
        for key in ("base64_string", "base64"):
            if body.get(key) is not None:
                return base64.b64decode(body[key])
        if "string" in body:
            return _bytes(body["string"])
        if set(body) <= {"encoding"}:
            return b""
    return _bytes(body)


def _headers(holder):
    headers = holder.get("headers") or {}
    pairs = headers.items() if isinstance(headers, dict) else [tuple(pair) for pair in headers]
    out = Headers()
    for name, values in pairs:
        for value in values if isinstance(values, list) else [values]:
            value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            if not str(name).startswith(":"):  # HTTP/2 pseudo-headers
                out.append((str(name), " ".join(value.splitlines())))
    return out


def _looks_plain(body):
    """Recorders that decompress keep the header, so a body may be plain whatever it says."""
    head = body.lstrip()[:6]
    return not body or head[:1] in (b"{", b"[", b"<", b'"') or head.startswith((b"data:", b"event:", b":", b"id:"))


def _response(holder):
    status = holder.get("status", holder.get("status_code", 200))
    reason = ""
    if isinstance(status, dict):
        status, reason = status.get("code", 200), status.get("message") or ""
    body, headers = _body(holder), _headers(holder)
    if headers.get("content-encoding") and _looks_plain(body):
        headers = headers.without("content-encoding")
    return Response(int(status), reason, headers, body)


def _interactions(path):
    text = path.read_bytes()
    data = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
    if not isinstance(data, dict):
        return []
    return data.get("interactions") or data.get("http_interactions") or []


def _calls(path):
    """Groups the interactions into calls and their tries."""
    calls = []
    for one in _interactions(path):
        sent = one["request"]
        request = Request(sent.get("method", "POST").upper(), sent["uri"], _headers(sent), _body(sent))
        response = _response(one["response"])
        if calls:
            before, responses = calls[-1]
            if request.same_call(before) and responses[-1].status // 100 != 2:
                responses.append(response)
                continue
        calls.append((request, [response]))
    return calls


def sidecar(path):
    return path.with_name(path.stem + ".expect.json")


def read(path, root):
    """The exchanges of a file. With a sidecar the whole file is one call."""
    expect = sidecar(path)
    expected = json.loads(expect.read_text()) if expect.exists() else None
    name = str(path.relative_to(root).with_suffix(""))
    calls = _calls(path)
    if expected is not None:
        responses = [response for _, answers in calls for response in answers]
        return [Exchange(name, calls[0][0], responses, expected)]
    return [
        Exchange(name if len(calls) == 1 else f"{name}#{i + 1}", request, responses, None)
        for i, (request, responses) in enumerate(calls)
    ]


def read_all(root):
    """Returns (exchanges, descriptions of what could not be read)."""
    root = pathlib.Path(root)
    exchanges, unreadable = [], []
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".yaml", ".yml", ".json")):
        if path.name.endswith(".expect.json"):
            continue
        try:
            exchanges += read(path, root)
        except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            unreadable.append(f"{path}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return exchanges, unreadable
