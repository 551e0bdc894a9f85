"""How fast this venv's mem0 adds: prints one line of JSON.

    speed.py QDRANT_HTTP_URL EMBEDDINGS_URL [N]

N short texts (default 500) are added with infer=False, by one thread and by eight, each into a collection of its own that is
removed afterwards. `embedding_seconds` is the time spent in calls of the embedder, summed over threads; `adds_per_second`
includes it, `adds_per_second_without_embedder` is what is left for a thread's own work.
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


def measure(qdrant, embedder, count, threads):
    import mem0

    collection = f"speed_{uuid.uuid4().hex}"
    memory = mem0.Memory.from_config(offline.config(qdrant, collection, embedder, None))
    try:
        # spaCy and fastembed load at the first add.
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
            added = pool.map(lambda n: memory.add(text(n), user_id=f"user{n % 10}", infer=False), range(count))
            assert sum(len(answer["results"]) for answer in added) == count
        seconds = time.perf_counter() - begin
        assert memory.vector_store.client.count(collection).count == count + 1
    finally:
        memory.vector_store.client.delete_collection(collection)
    return {
        "threads": threads,
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
    runs = [measure(qdrant, embedder, count, threads) for threads in (1, 8)]
    print(json.dumps({"mem0": mem0.__version__, "runs": runs}))


main()
