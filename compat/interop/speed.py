"""Measures how fast this venv's mem0 adds memories; prints one line of JSON.

    speed.py QDRANT_HTTP_URL EMBEDDINGS_URL [N]

N short texts (default 500) are added with infer=False: one per call with one thread, one per call with eight, and as conversations of
100 per call; each to a separate collection that is removed afterwards. `embedding_seconds` is the time spent in calls of the
embedder, summed over threads; `adds_per_second` includes it, `adds_per_second_without_embedder` does not.
"""

import json
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import offline

NAMES = ["Nori", "Maria Silva", "Tom", "Captain Haddock", "Aiko"]
PLACES = ["Lisbon", "Porto", "Riga", "Kyoto", "Oslo", "Thessaloniki", "Zürich"]
DEEDS = ["likes the museum in", "moved with two cats to", "is looking for a dentist in", "ran a marathon in"]


def text(number):
    name, deed = NAMES[number % len(NAMES)], DEEDS[number % len(DEEDS)]
    return f"{name} {deed} {PLACES[number % len(PLACES)]}, note {number}."


def measure(qdrant, embedder, count, threads, at_once):
    import mem0

    collection = f"speed_{uuid.uuid4().hex}"
    memory = mem0.Memory.from_config(offline.config(qdrant, collection, embedder, None))
    try:
        # The first add loads spaCy and fastembed.
        memory.add("Warm up.", user_id="nobody", infer=False)
        lock, spent = threading.Lock(), 0.0
        embed = memory.embedding_model.embed

        def timed(*arguments, **named):
            nonlocal spent
            begin = time.perf_counter()
            vector = embed(*arguments, **named)
            with lock:
                spent += time.perf_counter() - begin
            return vector

        memory.embedding_model.embed = timed
        begin = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:

            def add(first):
                talk = [{"role": "user", "content": text(first + n)} for n in range(min(at_once, count - first))]
                return memory.add(talk, user_id=f"user{first // at_once % 10}", infer=False)

            added = pool.map(add, range(0, count, at_once))
            assert sum(len(answer["results"]) for answer in added) == count
        seconds = time.perf_counter() - begin
        assert memory.vector_store.client.count(collection).count == count + 1
    finally:
        memory.vector_store.client.delete_collection(collection)
    return {
        "threads": threads,
        "messages_per_call": at_once,
        "adds": count,
        "seconds": round(seconds, 3),
        "embedding_seconds": round(spent, 3),
        "adds_per_second": round(count / seconds, 1),
        "adds_per_second_without_embedder": round(count / (seconds - spent / threads), 1),
    }


def main():
    import mem0

    qdrant, embedder = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 500
    runs = [measure(qdrant, embedder, count, *how) for how in ((1, 1), (8, 1), (1, 100))]
    print(json.dumps({"mem0": mem0.__version__, "runs": runs}))


main()
