"""Search: scopes, filters, limits, and memories that must not be found."""

from world import client_refuses, ids, settle, step


@step("search")
async def _(w):
    answer = await settle(w.mine.search("green tea", filters={"user_id": w.user}))
    assert w.memory in ids(answer), answer
    assert all(0 <= result["score"] <= 1 for result in answer["results"]), answer
    assert len(answer["results"]) <= 10, "top_k is 10 where nothing is said"


@step("search: AND and OR")
async def _(w):
    either = {"OR": [{"agent_id": "pilot"}, {"agent_id": "nobody"}]}
    filters = {"AND": [{"user_id": w.user}, {"app_id": w.app}, either]}
    answer = await settle(w.mine.search("Porto", filters=filters))
    assert ids(answer) == [w.dated], answer


@step("search: operators")
async def _(w):
    async def found(*conditions):
        filters = {"AND": [{"user_id": w.user}, {"app_id": w.app}, *conditions]}
        return ids(await settle(w.mine.search("Alice sailed to Porto", filters=filters)))

    assert await found({"agent_id": {"in": ["pilot", "x"]}}) == [w.dated]
    assert await found({"metadata": {"colour": "blue"}}) == [w.dated]
    assert await found({"agent_id": "*"}) == [w.dated], "* is: has one"
    assert await found({"created_at": {"lt": "2024-01-01"}}) == [w.dated]
    assert w.dated not in await found({"NOT": [{"agent_id": "pilot"}]})
    assert await found({"metadata": {"colour": "red"}}) == []


@step("search: top_k, threshold, rerank, keyword_search")
async def _(w):
    options = {"threshold": 0.2, "rerank": True, "keyword_search": True}
    answer = await settle(
        w.mine.search("green tea", filters=w.all_of(app_id=w.app), top_k=1, **options)
    )
    assert ids(answer) == [w.memory], answer
    assert answer["results"][0]["score"] >= 0.2, answer


@step("search: fields")
async def _(w):
    answer = await settle(
        w.mine.search("green tea", filters=w.all_of(app_id=w.app), fields=["memory"])
    )
    first = answer["results"][0]
    assert first["memory"] and "metadata" not in first, first


@step("search: categories")
async def _(w):
    answer = await settle(
        w.mine.search("tea", filters=w.all_of(app_id=w.app), categories=["no-such-category"])
    )
    assert answer["results"] == [], answer


@step("search: expired")
async def _(w):
    old = await w.add("Alice rents a barge", app_id=w.app, expiration_date="2020-01-01")
    filters = w.all_of(app_id=w.app)
    plain = await settle(w.mine.search("Alice rents a barge", filters=filters))
    shown = await settle(w.mine.search("Alice rents a barge", filters=filters, show_expired=True))
    assert old not in ids(plain) and old in ids(shown), (plain, shown)


@step("search: blank", since=2)
async def _(w):
    return await client_refuses(lambda: w.mine.search("  ", filters={"user_id": w.user}))


@step("search: blank", until=1)
async def _(w):
    return await w.refused(lambda: w.mine.search("  ", filters={"user_id": w.user}), 400, 422)


@step("search: ids beside filters", since=2)
async def _(w):
    return await client_refuses(lambda: w.mine.search("tea", user_id=w.user))


@step("search: ids beside filters", until=1)
async def _(w):
    answer = await settle(w.mine.search("green tea", user_id=w.user, app_id=w.app, version="v2"))
    assert w.memory in ids(answer), answer


@step("search: unknown filter")
async def _(w):
    filters = {"AND": [{"user_id": w.user}, {"no_such_field": 1}]}
    return await w.refused(lambda: w.mine.search("tea", filters=filters), 400, 422)


@step("search: another's memories")
async def _(w):
    query = "Bob hides gold in Lisbon"
    assert w.theirs not in ids(await settle(w.mine.search(query, filters={"user_id": w.user})))
    either = {"OR": [{"user_id": w.user}, {"user_id": w.other_user}]}
    try:
        found = ids(await settle(w.mine.search(query, filters=either)))
    except Exception:  # refusing the whole is as good
        await w.refused(lambda: w.mine.search(query, filters=either), 403)
    else:
        assert w.theirs not in found, "found by OR"
    return await w.refused(lambda: w.mine.search(query, filters={"user_id": w.other_user}), 403)
