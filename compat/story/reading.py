"""Pages of memories and single ones."""

from world import UNKNOWN, client_refuses, ids, settle, step


@step("get_all: three pages")
async def _(w):
    added = []
    for start in range(0, 250, 50):
        messages = [
            {"role": "user", "content": f"Page {number} of the book"}
            for number in range(start, start + 50)
        ]
        answer = await settle(w.mine.add(messages, user_id=w.user, app_id=w.book, infer=False))
        added += ids(answer)
    assert len(set(added)) == 250, "each message is a separate memory"
    seen = []
    for page, size in ((1, 100), (2, 100), (3, 50)):
        answer = await settle(
            w.mine.get_all(filters=w.all_of(app_id=w.book), page=page, page_size=100)
        )
        assert (answer["count"], len(answer["results"])) == (250, size), f"page {page}"
        assert bool(answer["next"]) == (page < 3), answer["next"]
        assert bool(answer["previous"]) == (page > 1), answer["previous"]
        seen += ids(answer)
    assert len(seen) == len(set(seen)), "a memory came twice"
    assert set(seen) == set(added), "not the memories that were added"


@step("get_all: page or page_size alone")
async def _(w):
    filters = w.all_of(app_id=w.book)
    few = await settle(w.mine.get_all(filters=filters, page_size=7))
    second = await settle(w.mine.get_all(filters=filters, page=2))
    assert len(few["results"]) == 7, len(few["results"])
    assert len(second["results"]) == 100, "100 to a page where nothing is said"
    assert not set(ids(few)) & set(ids(second))


@step("get_all: expired, dates, categories")
async def _(w):
    filters = w.all_of(app_id=w.app)
    plain = await settle(w.mine.get_all(filters=filters))
    shown = await settle(w.mine.get_all(filters=filters, show_expired=True))
    assert shown["count"] == plain["count"] + 1, (plain["count"], shown["count"])
    dated = await settle(
        w.mine.get_all(filters=filters, start_date="2023-11-01", end_date="2023-12-01")
    )
    assert ids(dated) == [w.dated], dated
    none = await settle(w.mine.get_all(filters=filters, categories=["no-such-category"]))
    assert none["results"] == [], none


@step("get_all: typed options", since=2)
async def _(w):
    from mem0.client.types import GetAllMemoryOptions

    options = GetAllMemoryOptions(filters=w.all_of(agent_id="pilot", app_id=w.app), page_size=5)
    assert ids(await settle(w.mine.get_all(options))) == [w.dated]


@step("get_all: ids beside filters", since=2)
async def _(w):
    return await client_refuses(lambda: w.mine.get_all(user_id=w.user))


@step("get_all: ids beside filters", until=1)
async def _(w):
    answer = await settle(w.mine.get_all(user_id=w.user, app_id=w.app))
    assert w.memory in ids(answer) and len(answer["results"]) < 50, answer


@step("get_all: another's memories")
async def _(w):
    answer = await settle(w.other.get_all(filters={"user_id": w.other_user}, page_size=1000))
    assert {result["user_id"] for result in answer["results"]} == {w.other_user}, answer
    return await w.refused(lambda: w.other.get_all(filters={"user_id": w.user}), 403)


@step("get: unknown id")
async def _(w):
    return await w.refused(lambda: w.mine.get(UNKNOWN), 404)


@step("get: not an id")
async def _(w):
    return await w.refused(lambda: w.mine.get("a/b"), 400, 404, 422)


@step("get: another's memory")
async def _(w):
    return await w.refused(lambda: w.mine.get(w.theirs), 404)
