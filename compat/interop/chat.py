"""OpenAI's own client against a Mnemon: chat.py BASE_URL KEY prints the answers as JSON."""

import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
question = [{"role": "user", "content": "Where do I live?"}]
whole = client.chat.completions.create(model="any", messages=question, temperature=0.3, user="whoever")
pieces = client.chat.completions.create(
    model="any", messages=question, stream=True, stream_options={"include_usage": True}, extra_body={"remember": False}
)
chunks = list(pieces)
try:
    client.chat.completions.create(model="any", messages=question, tools=[{"type": "function", "function": {"name": "f"}}])
    refused = None
except openai.BadRequestError as error:
    refused = error.body["message"]
try:
    openai.OpenAI(base_url=sys.argv[1], api_key="wrong", max_retries=0).models.list()
    stranger = None
except openai.AuthenticationError as error:
    stranger = error.status_code
print(json.dumps({
    "whole": whole.choices[0].message.content,
    "finish": whole.choices[0].finish_reason,
    "memories": [memory["memory"] for memory in whole.memories_used],
    "pieces": [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content],
    "usage": chunks[-1].usage is not None,
    "models": [model.id for model in client.models.list()],
    "refused": refused,
    "stranger": stranger,
}))
