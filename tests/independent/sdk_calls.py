"""Makes the calls of the request test with the providers' own SDKs: run in the SDKs' environment.

stdin has {case: base URL}; stdout gets {case: {"text", "input", "output"}}, what the SDK made of
the answer.
"""
import json
import sys

import anthropic
import openai
from google import genai

KEY = "sdk-key"
PROMPT = "Say hello to everybody, please"
MESSAGES = [{"role": "user", "content": PROMPT}]


def of_openai(url):
    return openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0)


def of_azure(url):
    return openai.AzureOpenAI(azure_endpoint=url, api_key=KEY, api_version="2024-10-21", max_retries=0)


def of_anthropic(url):
    return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)


def of_gemini(url, **more):
    return genai.Client(api_key=KEY, http_options={"base_url": url, **more})


def result_of(text, usage, into="prompt_tokens", out="completion_tokens"):
    return {"text": text, "input": getattr(usage, into), "output": getattr(usage, out, 0) or 0}


def chat(client, **more):
    answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=20, **more)
    return result_of(answer.choices[0].message.content, answer.usage)


def chat_streamed(client, **more):
    text, usage = "", None
    for event in client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=20, stream=True, **more):
        text += "".join(choice.delta.content or "" for choice in event.choices)
        usage = event.usage or usage
    return result_of(text, usage)


def responses(client):
    answer = client.responses.create(model="gpt-4o", input=PROMPT, max_output_tokens=20)
    return result_of(answer.output_text, answer.usage, "input_tokens", "output_tokens")


def responses_streamed(client):
    text, usage = "", None
    for event in client.responses.create(model="gpt-4o", input=PROMPT, max_output_tokens=20, stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.completed":
            usage = event.response.usage
    return result_of(text, usage, "input_tokens", "output_tokens")


def embeddings(client):
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    return result_of(None, answer.usage)


def completions(client):
    answer = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=PROMPT, max_tokens=20)
    return result_of(answer.choices[0].text, answer.usage)


def messages(client, **more):
    answer = client.messages.create(model="claude-sonnet-4-5", max_tokens=20, messages=MESSAGES, **more)
    return result_of(answer.content[0].text, answer.usage, "input_tokens", "output_tokens")


def messages_streamed(client):
    with client.messages.stream(model="claude-sonnet-4-5", max_tokens=20, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        return result_of(text, stream.get_final_message().usage, "input_tokens", "output_tokens")


def gemini(client):
    answer = client.models.generate_content(model="gemini-2.5-flash", contents=PROMPT)
    return result_of(answer.text, answer.usage_metadata, "prompt_token_count", "candidates_token_count")


def gemini_streamed(client):
    text, usage = "", None
    for event in client.models.generate_content_stream(model="gemini-2.5-flash", contents=PROMPT):
        parts = event.candidates[0].content.parts or []
        text += "".join(part.text or "" for part in parts if not part.thought)
        usage = event.usage_metadata or usage
    return result_of(text, usage, "prompt_token_count", "candidates_token_count")


ASKED = {"stream_options": {"include_usage": True}}
CASES = {
    "openai-chat": lambda url: chat(of_openai(url)),
    "openai-chat-streamed": lambda url: chat_streamed(of_openai(url), **ASKED),
    "openai-organization": lambda url: chat(of_openai(url).with_options(organization="org-1", project="proj_1")),
    "openai-responses": lambda url: responses(of_openai(url)),
    "openai-responses-streamed": lambda url: responses_streamed(of_openai(url)),
    "openai-embeddings": lambda url: embeddings(of_openai(url)),
    "openai-completions": lambda url: completions(of_openai(url)),
    "azure-chat": lambda url: chat(of_azure(url)),
    "azure-chat-streamed": lambda url: chat_streamed(of_azure(url), **ASKED),
    "anthropic": lambda url: messages(of_anthropic(url)),
    "anthropic-streamed": lambda url: messages_streamed(of_anthropic(url)),
    "anthropic-beta": lambda url: messages(of_anthropic(url), extra_headers={"anthropic-beta": "one-2025-01-01"},
                                           extra_query={"beta": "true"}),
    "gemini": lambda url: gemini(of_gemini(url, api_version="v1beta")),
    "gemini-streamed": lambda url: gemini_streamed(of_gemini(url, api_version="v1beta")),
    "gemini-default-version": lambda url: gemini(of_gemini(url)),
}  # fmt: skip


def main():
    out = {}
    for case, url in json.load(sys.stdin).items():
        try:
            out[case] = CASES[case](url)
        except Exception as error:  # what it makes of the answer is the result, whatever that is
            out[case] = {"error": f"{type(error).__name__}: {error}"}
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
