"""Adding memories, and the event of the addition."""

from world import UNKNOWN, ids, settle, step, texts


@step("add: a string")
async def _(w):
    answer = await settle(
        w.mine.add("Alice drinks green tea", user_id=w.user, app_id=w.app, infer=False)
    )
    result = answer["results"][0]
    assert answer["status"] == "SUCCEEDED" and answer["event_id"], answer
    assert result["event"] == "ADD" and result["data"]["memory"] == result["memory"], result
    w.memory, w.event = result["id"], answer["event_id"]
    memory = await w.get(w.memory)
    assert (memory["id"], memory["memory"]) == (w.memory, "Alice drinks green tea"), memory
    assert memory["user_id"] == w.user, memory


@step("add: a dict")
async def _(w):
    memory = await w.get(await w.add({"role": "user", "content": "Alice has a cat"}, app_id=w.app))
    assert memory["memory"] == "Alice has a cat", memory


@step("add: a list")
async def _(w):
    messages = [
        {"role": "user", "content": "Where is Lisbon?"},
        {"role": "assistant", "content": "Lisbon is in Portugal"},
    ]
    answer = await settle(w.mine.add(messages, user_id=w.user, app_id=w.app, infer=False))
    assert texts(answer) == {message["content"] for message in messages}, answer


@step("add: metadata, timestamp, expiration date and every id")
async def _(w):
    w.dated = await w.add(
        "Alice sailed to Porto",
        app_id=w.app,
        agent_id="pilot",
        run_id="trip",
        metadata={"colour": "blue", "deep": {"list": [1, None, "ü"]}},
        timestamp=1700000000,
        expiration_date="2099-12-31",
    )
    memory = await w.get(w.dated)
    assert memory["metadata"] == {"colour": "blue", "deep": {"list": [1, None, "ü"]}}, memory
    scope = [memory[key] for key in ("user_id", "app_id", "agent_id", "run_id")]
    assert scope == [w.user, w.app, "pilot", "trip"], memory
    assert memory["created_at"].startswith("2023-11-14T22:13:20"), memory["created_at"]
    assert memory["expiration_date"] == "2099-12-31", memory


@step("add: ids in filters")
async def _(w):
    answer = await settle(
        w.mine.add("Alice plays chess", filters={"user_id": w.user, "app_id": w.app}, infer=False)
    )
    memory = await w.get(ids(answer)[0])
    assert (memory["user_id"], memory["app_id"]) == (w.user, w.app), memory


@step("add: typed options", since=2)
async def _(w):
    from mem0.client.types import AddMemoryOptions

    options = AddMemoryOptions(filters={"user_id": w.user}, infer=False, metadata={"typed": True})
    answer = await settle(w.mine.add("Alice keeps bees", options=options))
    assert (await w.get(ids(answer)[0]))["metadata"] == {"typed": True}


@step("add: infer")
async def _(w):
    answer = await settle(w.mine.add("Alice rows on Sundays", user_id=w.user, app_id=w.app))
    assert answer["results"], answer
    if texts(answer) == {"Alice rows on Sundays"}:
        return "no LLM: stored as it stands"


@step("add: no messages")
async def _(w):
    return await w.refused(lambda: w.mine.add([], user_id=w.user), 400, 422)


@step("add: an id with a space")
async def _(w):
    return await w.refused(lambda: w.mine.add("x", agent_id="two words", infer=False), 400, 422)


@step("add: another's user_id")
async def _(w):
    w.theirs = await w.add("Bob hides gold in Lisbon", client=w.other, user_id=w.other_user)
    return await w.refused(lambda: w.mine.add("x", user_id=w.other_user, infer=False), 403)


@step("events of an add (no method of the client)")
async def _(w):
    one = (await w.raw("GET", f"/v1/event/{w.event}/")).json()
    assert (one["id"], one["status"]) == (w.event, "SUCCEEDED"), one
    assert one["results"][0]["data"]["memory"] == "Alice drinks green tea", one
    page = (await w.raw("GET", "/v1/events/")).json()
    assert w.event in [event["id"] for event in page["results"]], page
    assert (await w.raw("GET", f"/v1/event/{UNKNOWN}/")).status_code == 404
