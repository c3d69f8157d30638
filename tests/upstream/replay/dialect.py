"""Which profile a recorded request belongs to, and the command-line options that would make it.

The rules look only at the recorded address. A request that matches none belongs to an API that
Ration does not speak (files, models, audio, assistants) and is left out.
"""
import re
import urllib.parse

# Host, path, profile. The group "base" is the path of the user's base URL, "model" the model.
RULES = [
    (r"api\.openai\.com", r"(?P<base>/v1)/chat/completions", "openai"),
    (r"api\.openai\.com", r"(?P<base>/v1)/responses", "openai-responses"),
    (r"api\.openai\.com", r"(?P<base>/v1)/embeddings", "openai-embeddings"),
    (r"api\.openai\.com", r"(?P<base>/v1)/completions", "openai-completions"),
    (r"api\.anthropic\.com", r"(?P<base>)/v1/messages", "anthropic"),
    (r"generativelanguage\.googleapis\.com", r"(?P<base>/v1(?:alpha|beta)?)/models/(?P<model>[^:/]+):(?:generateContent|streamGenerateContent)", "gemini"),
    (r"generativelanguage\.googleapis\.com", r"(?P<base>/v1(?:alpha|beta)/openai)/chat/completions", "openai-compatible"),
    (r".*aiplatform\.googleapis\.com", r"(?P<base>/v1(?:beta1)?/.*?)/publishers/google/models/(?P<model>[^:/]+):(?:generateContent|streamGenerateContent)", "vertex"),
    (r".*aiplatform\.googleapis\.com", r"(?P<base>/v1(?:beta1)?/.*?)/publishers/anthropic/models/(?P<model>[^:/]+):(?:rawPredict|streamRawPredict)", "vertex-anthropic"),
    (r"api\.groq\.com", r"(?P<base>/openai/v1)/chat/completions", "groq"),
    (r".*\.(?:openai\.azure|cognitiveservices\.azure)\.com", r"(?P<base>)/openai/deployments/(?P<model>[^/]+)/chat/completions", "azure"),
    (r".*\.(?:openai\.azure|cognitiveservices\.azure)\.com", r"(?P<base>)/openai(?:/v1)?/responses", "azure-responses"),
    (r"bedrock-runtime\..*\.amazonaws\.com", r"(?P<base>)/model/(?P<model>[^/]*(?:claude-3-7|claude-[a-z]+-[4-9])[^/]*)/converse(?:-stream)?", "bedrock-claude"),
    (r"bedrock-runtime\..*\.amazonaws\.com", r"(?P<base>)/model/(?P<model>[^/]+)/converse(?:-stream)?", "bedrock"),
    (r"api\.mistral\.ai", r"(?P<base>/v1)/chat/completions", "mistral"),
    (r"api\.x\.ai", r"(?P<base>/v1)/chat/completions", "xai"),
    (r"openrouter\.ai", r"(?P<base>/api/v1)/chat/completions", "openrouter"),
    (r"api\.deepseek\.com", r"(?P<base>(?:/v1|/beta)?)/chat/completions", "deepseek"),
    (r"api\.cohere\.(?:com|ai)", r"(?P<base>)/v2/chat", "cohere"),
    (r"api\.perplexity\.ai", r"(?P<base>)/chat/completions", "perplexity"),
    (r"(?:api\.z\.ai|open\.bigmodel\.cn)", r"(?P<base>/api/(?:coding/)?paas/v4)/chat/completions", "zai"),
    (r".*\.(?:cloud\.databricks|azuredatabricks)\.(?:com|net)", r"(?P<base>/serving-endpoints)/chat/completions", "databricks"),
    (r".*", r"(?P<base>)/api/chat", "ollama"),
    (r".*", r"(?P<base>.*)/v1/messages", "anthropic"),
    (r".*", r"(?P<base>.*)/chat/completions", "openai-compatible"),
    (r".*", r"(?P<base>.*/v1)/responses", "openai-responses"),
    (r".*", r"(?P<base>.*/v1)/embeddings", "openai-embeddings"),
]  # fmt: skip

KEYS = ("key", "api_key", "api-key")  # in a query; recorders scrub them or leave them out


def of(request):
    """{"profile", "base", "model"} of a recorded request, or None."""
    parts = request.parts
    if request.method != "POST":
        return None
    for host, path, profile in RULES:
        match = re.fullmatch(path, parts.path)
        if match and re.fullmatch(host, parts.hostname or ""):
            found = match.groupdict()
            model = urllib.parse.unquote(found["model"]) if found.get("model") else None
            return {"profile": profile, "base": found["base"], "model": model}
    return None


def is_streamed(request):
    path = request.parts.path
    if path.endswith(("converse-stream", ":streamGenerateContent", ":streamRawPredict")):
        return True
    body = request.json()
    return isinstance(body, dict) and body.get("stream") is True


def query(request):
    """The query's pairs without the key."""
    return [(k, v) for k, v in urllib.parse.parse_qsl(request.parts.query, keep_blank_values=True) if k not in KEYS]
