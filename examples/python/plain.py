"""Store, search and delete memories over HTTP, with Python's standard library alone."""

import json
import os
import urllib.request

BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("API_KEY", "any")


def call(method, path, body=None):
    """Sends JSON and returns the JSON of the answer. A status of 400 or more raises urllib.error.HTTPError."""
    request = urllib.request.Request(
        BASE_URL + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": API_KEY, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


messages = [
    {"role": "user", "content": "We moved to Lisbon in May."},
    {"role": "user", "content": "I am allergic to peanuts."},
]
stored = call("POST", "/memories", {"user_id": "alice", "messages": messages, "infer": False})["results"]
print(f"stored {len(stored)} memories")

# Only memories of this user are searched. The best hit is first.
question = "where do we live?"
found = call("POST", "/memories/search", {"query": question, "user_id": "alice", "top_k": 1})["results"]
print(question, found[0]["memory"])

for memory in stored:
    call("DELETE", f"/memories/{memory['id']}")
print(f"deleted {len(stored)} memories")
