"""Class, text and usage of a recorded answer without a sidecar, read by rules of our own.

These rules are a second opinion, not the truth: they know only the documented places. A table at the
end of the run shows where they and `ration call` disagree, for somebody to look at.
"""
import json
import urllib.parse

EXHAUSTED = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated",
             "enforced_spend_limit_reached")  # fmt: skip
LIMITED = ("rate_limit", "RESOURCE_EXHAUSTED", "ThrottlingException")
HAS_ANSWER = ("choices", "content", "candidates", "output", "data", "embeddings", "embedding", "message")
RETRIED_STATUS = (408, 409, 425, 498, 500, 502, 503, 504, 529)


def events(text):
    """(name, data) of a stream's events."""
    name, data = "", []
    for line in text.replace("\r\n", "\n").split("\n") + [""]:
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "data" and line:
            data.append(value)
        elif field == "event" and line:
            name = value
        elif not line:
            if data:
                yield name, "\n".join(data)
            name, data = "", []


def _json(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def _objects(answer, streamed):
    """The JSON objects of an answer: one, or those of its events or lines."""
    text = answer.plain_body().decode("utf-8-sig", "replace")
    if not streamed:
        return [_json(text)]
    found = [_json(data) for _, data in events(text)]
    if not found:
        found = [_json(line) for line in text.splitlines() if line.strip()]
    return [one for one in found if one is not None]


def outcome(answer, streamed):
    """answered, limited, exhausted, refused or failed; None: these rules cannot tell."""
    body = answer.plain_body().decode("utf-8-sig", "replace")
    if answer.status // 100 != 2:
        if answer.status == 402 or any(word in body for word in EXHAUSTED):
            return "exhausted"
        if answer.status == 429:
            return "limited"
        if answer.status in RETRIED_STATUS or answer.status >= 500:
            return "failed or overloaded"
        return "refused"
    objects = [one for one in _objects(answer, streamed) if isinstance(one, dict)]
    if not objects:
        return None if answer.body else "failed"
    if any(one.get("error") or one.get("type") in ("error", "response.failed") for one in objects):
        return None
    return "answered" if streamed or any(key in objects[0] for key in HAS_ANSWER) else None


def _deltas(event):
    """The text of one event, according to each provider's reference."""
    for choice in event.get("choices") or []:
        content = (choice.get("delta") or {}).get("content")
        if isinstance(content, str):
            yield content
        for part in content if isinstance(content, list) else []:
            if part.get("type") == "text":
                yield part.get("text") or ""
    if event.get("type") == "response.output_text.delta":
        yield event.get("delta") or ""
    if event.get("type") == "content_block_delta" and (event.get("delta") or {}).get("type") == "text_delta":
        yield event["delta"].get("text") or ""
    for candidate in event.get("candidates") or []:
        for part in (candidate.get("content") or {}).get("parts") or []:
            if not part.get("thought"):
                yield part.get("text") or ""


def text(answer, streamed):
    """The text of a stream; None if it is not a stream of server-sent events or not a success."""
    if not streamed or answer.status // 100 != 2 or "event-stream" not in (answer.headers.get("content-type") or ""):
        return None
    return "".join(delta for one in _objects(answer, True) if isinstance(one, dict) for delta in _deltas(one))


def _usage_of(one):
    holders = [one, one.get("response"), one.get("message"), one.get("x_groq"), one.get("metadata")]
    holders += (one.get("choices") or [])[:1] if isinstance(one.get("choices"), list) else []
    for holder in holders:
        usage = holder.get("usage") or holder.get("usageMetadata") if isinstance(holder, dict) else None
        if isinstance(usage, dict):
            yield usage


def _first(usage, *names):
    return next((usage[name] for name in names if isinstance(usage.get(name), int)), 0)


def usage(answer, streamed):
    """(input, output), the most that was reported of each; None: nothing was reported."""
    if answer.status // 100 != 2:
        return None
    best = [0, 0]
    for one in _objects(answer, streamed):
        for reported in _usage_of(one) if isinstance(one, dict) else []:
            into = _first(reported, "prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens")
            into += _first(reported, "cache_creation_input_tokens", "cacheWriteInputTokens")
            into += _first(reported, "cache_read_input_tokens", "cacheReadInputTokens")
            into += _first(reported, "toolUsePromptTokenCount")
            out = _first(reported, "completion_tokens", "output_tokens", "outputTokens")
            out += _first(reported, "candidatesTokenCount") + _first(reported, "thoughtsTokenCount")
            total = _first(reported, "total_tokens", "totalTokenCount", "totalTokens")
            best = [max(best[0], into), max(best[1], out, total - into if total and into else 0)]
    return tuple(best) if any(best) else None


def wait_ms(answer):
    """The wait, if given in whole seconds and longer than the call's deadline."""
    reported = answer.headers.get("retry-after") or ""
    return int(reported) * 1000 if answer.status // 100 != 2 and reported.isdigit() and 10 < int(reported) < 86400 else None


def differences(came):
    """(what, theirs, ours) rows: where the call differs from what the recording itself says."""
    answer, streamed, result = came.exchange.answer, came.plan["stream"], came.result or {}
    if not came.requests:
        return [("sent", "a request", f"nothing: {came.message()}")]
    rows = []
    wanted = outcome(answer, streamed)
    if wanted and result.get("outcome") not in wanted.split(" or "):
        rows.append(("class", wanted, result.get("outcome")))
    said = text(answer, streamed)
    if said is not None and came.printed is not None and came.printed.rstrip("\n") != said.rstrip("\n"):
        rows.append(("text", said[-60:], came.printed[-60:]))
    reported, seen = usage(answer, streamed), result.get("usage") or result.get("used") or {}
    if reported and result.get("outcome") == "answered":
        ours = (seen.get("input_tokens") or 0, seen.get("output_tokens") or 0)
        if ours != reported:
            rows.append(("usage", reported, ours))
    wait = wait_ms(answer)
    if wait is not None and result.get("outcome") == "limited" and not wait - 2000 <= result["retry_after_ms"] <= wait:
        rows.append(("wait", wait, result["retry_after_ms"]))
    recorded, sent = came.exchange.request.parts.path, came.requests[0].parts.path
    if urllib.parse.unquote(sent) != urllib.parse.unquote(recorded):
        rows.append(("path", recorded, sent))
    return rows
