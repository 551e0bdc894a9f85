"""Drives this venv's mem0 for a test: one JSON command per line on stdin, one JSON answer per line on stdout.

    driver.py QDRANT_HTTP_URL COLLECTION EMBEDDINGS_URL [HISTORY_DB [LLM_URL]]

The first line out is {"ok": true, "result": {"version": …}}. A command is {"op": …} with the arguments of that operation, which
have mem0's names; the answer is {"ok": true, "result": …} or {"ok": false, "kind": exception, "error": message}.

    add      text, or messages; user_id, agent_id, run_id, metadata   always infer=False
    learn    messages; user_id, agent_id, run_id, metadata   infer=True, over LLM_URL
    search   query, filters, top_k, threshold
    get      memory_id
    get_all  filters, top_k
    update   memory_id, text, metadata
    delete   memory_id
    delete_all  user_id, agent_id, run_id
    history  memory_id
    link     memory_id, text, filters   links the entities of a text as add(infer=True) does at its end
    raw      the points of both collections, with vectors, as Qdrant has them
    reset
"""

import json
import sys

import offline

# Only for the protocol: mem0 prints notices to stdout.
ANSWERS, sys.stdout = sys.stdout, sys.stderr


class Driver:
    def __init__(self, qdrant, collection, embedder, history=None, llm=None):
        import mem0

        self.version = mem0.__version__
        config = offline.config(qdrant, collection, embedder, history)
        if llm:
            config["llm"]["config"]["openai_base_url"] = llm
        self.memory = mem0.Memory.from_config(config)

    def add(self, text=None, messages=None, **arguments):
        return self.memory.add(text if messages is None else messages, infer=False, **arguments)

    def learn(self, messages, **arguments):
        return self.memory.add(messages, infer=True, **arguments)

    def search(self, query, **arguments):
        return self.memory.search(query, **arguments)

    def get(self, memory_id):
        return self.memory.get(memory_id)

    def get_all(self, **arguments):
        return self.memory.get_all(**arguments)

    def update(self, memory_id, text, **arguments):
        # The parameter is `data` in 2.0 and `text` in 2.2.
        return self.memory.update(memory_id, text, **arguments)

    def delete(self, memory_id):
        return self.memory.delete(memory_id)

    def delete_all(self, **arguments):
        return self.memory.delete_all(**arguments)

    def history(self, memory_id):
        return self.memory.history(memory_id)

    def link(self, memory_id, text, filters):
        self.memory._link_entities_for_memory(memory_id, text, filters)

    def raw(self):
        name = self.memory.collection_name
        return {"memories": self._points(name), "entities": self._points(f"{name}_entities")}

    def reset(self):
        self.memory.reset()

    def _points(self, collection):
        client = self.memory.vector_store.client
        if not client.collection_exists(collection):
            return None
        points, offset = [], None
        while True:
            page, offset = client.scroll(collection, limit=256, offset=offset, with_vectors=True)
            points += [point.model_dump(include={"id", "payload", "vector"}) for point in page]
            if offset is None:
                return points


OPERATIONS = {name for name in vars(Driver) if not name.startswith("_")}


def answer(driver, line):
    command = json.loads(line)
    operation = command.pop("op")
    if operation not in OPERATIONS:
        raise ValueError(f"no operation {operation!r}")
    return getattr(driver, operation)(**command)


def respond(result):
    print(json.dumps(result, ensure_ascii=False, default=str), file=ANSWERS, flush=True)


def main():
    driver = Driver(*sys.argv[1:])
    respond({"ok": True, "result": {"version": driver.version}})
    for line in sys.stdin:
        try:
            respond({"ok": True, "result": answer(driver, line)})
        except Exception as error:
            respond({"ok": False, "kind": type(error).__name__, "error": str(error)})


main()
