"""Store, search and delete memories with mem0's own client (`pip install mem0ai`): only its host differs."""

import os

# mem0's client reports its use to its maker unless this is set before it is imported.
os.environ.setdefault("MEM0_TELEMETRY", "false")

from mem0 import MemoryClient

client = MemoryClient(
    api_key=os.environ.get("API_KEY", "any"),
    host=os.environ.get("BASE_URL", "http://127.0.0.1:8000"),
)

messages = [
    {"role": "user", "content": "We moved to Lisbon in May."},
    {"role": "user", "content": "I am allergic to peanuts."},
]
stored = client.add(messages, user_id="alice", infer=False)["results"]
print(f"stored {len(stored)} memories")

# Only memories of this user are searched. The best hit is first.
question = "where do we live?"
found = client.search(question, filters={"user_id": "alice"}, top_k=1)["results"]
print(question, found[0]["memory"])

for memory in stored:
    client.delete(memory["id"])
print(f"deleted {len(stored)} memories")
