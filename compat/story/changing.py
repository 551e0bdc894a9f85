"""Updates, history, feedback and batches."""

from world import UNKNOWN, client_refuses, ids, settle, step


@step("update: text and metadata")
async def _(w):
    answer = await settle(w.mine.update(w.memory, text="Alice drinks oolong", metadata={"cup": 2}))
    assert (answer["id"], answer["memory"]) == (w.memory, "Alice drinks oolong"), answer
    memory = await w.get(w.memory)
    assert memory["memory"] == "Alice drinks oolong" and memory["metadata"]["cup"] == 2, memory
    found = await settle(w.mine.search("oolong", filters=w.all_of(app_id=w.app)))
    assert w.memory in ids(found), "the new text is not found"


@step("update: expiration date set and cleared", since=2)
async def _(w):
    await settle(w.mine.update(w.memory, expiration_date="2098-01-02"))
    assert (await w.get(w.memory))["expiration_date"] == "2098-01-02"
    await settle(w.mine.update(w.memory, expiration_date=None))
    memory = await w.get(w.memory)
    assert memory.get("expiration_date") is None, memory
    assert memory["memory"] == "Alice drinks oolong" and memory["metadata"]["cup"] == 2, memory


@step("update: timestamp")
async def _(w):
    answer = await settle(w.mine.update(w.memory, timestamp=1700000000))
    assert answer["id"] == w.memory, answer


@step("update: nothing")
async def _(w):
    return await client_refuses(lambda: w.mine.update(w.memory))


@step("update: unknown or another's memory")
async def _(w):
    await w.refused(lambda: w.mine.update(UNKNOWN, text="x"), 404)
    status = await w.refused(lambda: w.mine.update(w.theirs, text="x"), 404)
    assert (await settle(w.other.get(w.theirs)))["memory"] == "Bob hides gold in Lisbon"
    return status


@step("history")
async def _(w):
    rows = await settle(w.mine.history(w.memory))
    assert {row["memory_id"] for row in rows} == {w.memory}, rows
    changes = [(row["event"], row["old_memory"], row["new_memory"]) for row in rows]
    assert ("ADD", None, "Alice drinks green tea") in changes, changes
    assert ("UPDATE", "Alice drinks green tea", "Alice drinks oolong") in changes, changes


@step("history: another's memory")
async def _(w):
    try:
        answer = await settle(w.mine.history(w.theirs))
    except Exception:
        return await w.refused(lambda: w.mine.history(w.theirs), 404)
    assert answer == [], answer


@step("feedback", since=2)
async def _(w):
    answer = await settle(w.mine.feedback(w.memory, "positive", "right"))
    assert (answer["feedback"], answer["feedback_reason"]) == ("POSITIVE", "right"), answer
    assert (await settle(w.mine.feedback(w.memory, "VERY_NEGATIVE")))["id"]
    assert (await settle(w.mine.feedback(w.memory, None)))["feedback"] is None
    await client_refuses(lambda: w.mine.feedback(w.memory, "GREAT"))
    return await w.refused(lambda: w.mine.feedback(w.theirs, "POSITIVE"), 404)


@step("feedback", until=1)
async def _(w):
    await client_refuses(lambda: w.mine.feedback(w.memory, "POSITIVE"), TypeError)
    await w.refused(lambda: w.mine.feedback(w.theirs, "POSITIVE"), 404)
    return "sent and taken; then the client fails by its own fault (telemetry)"


@step("batch_update")
async def _(w):
    w.batch = [await w.add(f"Batch {number}", app_id=w.app) for number in range(3)]
    changes = [
        {"memory_id": memory_id, "text": f"Changed {number}", "metadata": {"n": number}}
        for number, memory_id in enumerate(w.batch)
    ]
    assert (await settle(w.mine.batch_update(changes)))["message"]
    for number, memory_id in enumerate(w.batch):
        memory = await w.get(memory_id)
        assert memory["memory"] == f"Changed {number}" and memory["metadata"]["n"] == number


@step("batch_update: another's memory")
async def _(w):
    status = await w.refused(lambda: w.mine.batch_update([{"memory_id": w.theirs, "text": "x"}]), 404)
    assert (await settle(w.other.get(w.theirs)))["memory"] == "Bob hides gold in Lisbon"
    return status


@step("batch_delete: another's memory")
async def _(w):
    return await w.harmless(lambda: w.mine.batch_delete([{"memory_id": w.theirs}]), 404)


@step("batch_delete")
async def _(w):
    answer = await settle(w.mine.batch_delete([{"memory_id": memory} for memory in w.batch]))
    assert answer["message"], answer
    for memory_id in w.batch:
        await w.refused(lambda: w.mine.get(memory_id), 404)
