"""A provider written with FastAPI. FastAPI and the types of the providers' own SDKs decide what a
request must look like, the SDKs' models what answers look like, and sse-starlette how streams are
framed.
"""
import time
from typing import Annotated, Optional, Union

from anthropic.types import Message, message_create_params
from anthropic.types import RawContentBlockDeltaEvent, RawContentBlockStartEvent, RawContentBlockStopEvent
from anthropic.types import RawMessageDeltaEvent, RawMessageStartEvent, RawMessageStopEvent
from fastapi import Body, FastAPI, Header, HTTPException
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import Response
from google.genai import types as genai
from openai.types import Completion, CreateEmbeddingResponse, completion_create_params, embedding_create_params
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params as chat_params
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseCompletedEvent, ResponseCreatedEvent, ResponseTextDeltaEvent, response_create_params
from pydantic import BaseModel, ConfigDict
from sse_starlette import EventSourceResponse

app = FastAPI()
app.add_middleware(GZipMiddleware, minimum_size=100)  # for clients that accept compressed answers
PIECES = ["Hello", " from", " FastAPI", ", wörld."]
TEXT = "".join(PIECES)
OUTPUT = 9
reported = []  # (input, output) of each answer

Bearer = Annotated[str, Header(alias="authorization", pattern=r"^Bearer \S+$")]
Key = Annotated[str, Header(min_length=1)]


def tokens(text):
    """The tokens of a request's text, also recorded as what this answer reports."""
    reported.append((len(str(text)), OUTPUT))
    return len(str(text))


def first_content(body):
    """The SDKs type messages as an Iterable, so pydantic does not give a list."""
    return next(iter(body["messages"]))["content"]


def json_of(model):
    return Response(model.model_dump_json(by_alias=True, exclude_none=True), media_type="application/json")


def events(items, named=False, end=()):
    async def generate():
        for item in items:
            data = item if isinstance(item, str) else item.model_dump_json(by_alias=True, exclude_none=True)
            yield {"data": data, "event": item.type} if named else {"data": data}
        for data in end:
            yield {"data": data}

    return EventSourceResponse(generate())


@app.get("/reported")
def get_reported():
    return reported


# ---- OpenAI ----


def openai_usage(count):
    return {"prompt_tokens": count, "completion_tokens": OUTPUT, "total_tokens": count + OUTPUT}


@app.post("/v1/chat/completions")
def chat(
    body: Annotated[Union[chat_params.CompletionCreateParamsStreaming, chat_params.CompletionCreateParamsNonStreaming], Body()],
    authorization: Bearer,
):
    usage = openai_usage(tokens(first_content(body)))
    common = {"id": "chatcmpl-1", "created": int(time.time()), "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
        return json_of(ChatCompletion.model_validate({**common, "object": "chat.completion", "choices": [choice], "usage": usage}))

    def chunk(choices, **more):
        return ChatCompletionChunk.model_validate({**common, "object": "chat.completion.chunk", "choices": choices, **more})

    items = [chunk([{"index": 0, "delta": {"content": piece}, "finish_reason": None}]) for piece in PIECES]
    items.append(chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    if (body.get("stream_options") or {}).get("include_usage"):
        items.append(chunk([], usage=usage))
    return events(items, end=["[DONE]"])


@app.post("/v1/completions")
def completions(
    body: Annotated[
        Union[completion_create_params.CompletionCreateParamsStreaming, completion_create_params.CompletionCreateParamsNonStreaming],
        Body(),
    ],
    authorization: Bearer,
):
    usage = openai_usage(tokens(body["prompt"]))

    def made(text, reason, **more):
        choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}
        return Completion.model_construct(id="cmpl-1", object="text_completion", created=1, model=body["model"], choices=[choice], **more)

    if not body.get("stream"):
        return json_of(made(TEXT, "stop", usage=usage))
    items = [made(piece, None) for piece in PIECES] + [made("", "stop")]
    if (body.get("stream_options") or {}).get("include_usage"):
        items.append(Completion.model_construct(id="cmpl-1", object="text_completion", created=1, model=body["model"], choices=[], usage=usage))
    return events(items, end=["[DONE]"])


@app.post("/v1/embeddings")
def embeddings(body: Annotated[embedding_create_params.EmbeddingCreateParams, Body()], authorization: Bearer):
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    count = tokens("".join(map(str, texts)))
    data = [{"object": "embedding", "index": i, "embedding": [0.1, 0.2]} for i in range(len(texts))]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return json_of(CreateEmbeddingResponse.model_validate({"object": "list", "model": body["model"], "data": data, "usage": usage}))


@app.post("/v1/responses")
def responses(
    body: Annotated[
        Union[response_create_params.ResponseCreateParamsStreaming, response_create_params.ResponseCreateParamsNonStreaming], Body()
    ],
    authorization: Bearer,
):
    count = tokens(body["input"])

    def made(status, text):
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}
        usage = {"input_tokens": count, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": OUTPUT,
                 "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": count + OUTPUT}  # fmt: skip
        return OpenAIResponse.model_construct(
            id="resp_1", object="response", created_at=1, model=body["model"], status=status, output=[message] if text else [],
            usage=usage if text else None, parallel_tool_calls=True, tool_choice="auto", tools=[],
        )  # fmt: skip

    if not body.get("stream"):
        return json_of(made("completed", TEXT))
    items = [ResponseCreatedEvent.model_construct(type="response.created", sequence_number=0, response=made("in_progress", ""))]
    items += [
        ResponseTextDeltaEvent.model_construct(
            type="response.output_text.delta", sequence_number=n + 1, item_id="msg_1", output_index=0, content_index=0, delta=piece
        )
        for n, piece in enumerate(PIECES)
    ]
    items.append(ResponseCompletedEvent.model_construct(type="response.completed", sequence_number=9, response=made("completed", TEXT)))
    return events(items, named=True)


# ---- Anthropic ----


@app.post("/v1/messages")
def messages(
    body: Annotated[Union[message_create_params.MessageCreateParamsStreaming, message_create_params.MessageCreateParamsNonStreaming], Body()],
    anthropic_version: Annotated[str, Header(pattern=r"^20\d\d-\d\d-\d\d$")],
    x_api_key: Annotated[Optional[str], Header()] = None,
    authorization: Annotated[Optional[str], Header(pattern=r"^Bearer \S+$")] = None,
):
    if not x_api_key and not authorization:
        raise HTTPException(401, "a key is needed")
    count = tokens(first_content(body))

    def made(content, output):
        return Message.model_construct(id="msg_1", type="message", role="assistant", model=body["model"], content=content,
                                       stop_reason="end_turn" if content else None, stop_sequence=None,
                                       usage={"input_tokens": count, "output_tokens": output})  # fmt: skip

    if not body.get("stream"):
        return json_of(made([{"type": "text", "text": TEXT}], OUTPUT))
    items = [RawMessageStartEvent.model_construct(type="message_start", message=made([], 1)),
             RawContentBlockStartEvent.model_construct(type="content_block_start", index=0, content_block={"type": "text", "text": ""})]  # fmt: skip
    items += [RawContentBlockDeltaEvent.model_construct(type="content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
              for piece in PIECES]  # fmt: skip
    items += [RawContentBlockStopEvent.model_construct(type="content_block_stop", index=0),
              RawMessageDeltaEvent.model_construct(type="message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
                                                   usage={"output_tokens": OUTPUT}),
              RawMessageStopEvent.model_construct(type="message_stop")]  # fmt: skip
    return events(items, named=True)


# ---- Gemini ----


class GenerateContent(BaseModel):
    """The body of generateContent; unknown members are refused, as by Google."""

    model_config = ConfigDict(extra="forbid")
    contents: list[genai.Content]
    generationConfig: Optional[genai.GenerationConfig] = None
    systemInstruction: Optional[genai.Content] = None


def gemini_answer(text, count, output, reason=None):
    usage = {"prompt_token_count": count, "candidates_token_count": output, "total_token_count": count + output}
    candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, "finish_reason": reason}
    return genai.GenerateContentResponse.model_validate({"candidates": [candidate], "usage_metadata": usage})


@app.post("/v1beta/models/{model}:generateContent")
def generate(model: str, body: GenerateContent, x_goog_api_key: Key):
    return json_of(gemini_answer(TEXT, tokens(body.contents[0].parts[0].text), OUTPUT, "STOP"))


@app.post("/v1beta/models/{model}:streamGenerateContent")
def generate_streamed(model: str, body: GenerateContent, x_goog_api_key: Key, alt: str):
    if alt != "sse":
        raise HTTPException(400, "only alt=sse is streamed here")
    count = tokens(body.contents[0].parts[0].text)
    ends = [None] * (len(PIECES) - 1) + ["STOP"]
    return events([gemini_answer(piece, count, (n + 1) * OUTPUT // len(PIECES), end) for n, (piece, end) in enumerate(zip(PIECES, ends))])
