"""Deleting, and every call that must delete nothing."""

import os

from report import Skip
from world import UNKNOWN, settle, step


@step("delete: unknown or another's memory")
async def _(w):
    await w.refused(lambda: w.mine.delete(UNKNOWN), 404)
    return await w.harmless(lambda: w.mine.delete(w.theirs), 404)


@step("delete: dots and nothing")
async def _(w):
    await w.harmless(lambda: w.mine.delete("."), 400, 404, 405, 422)
    await w.harmless(lambda: w.mine.delete(".."), 400, 404, 405, 422)
    return await w.harmless(lambda: w.mine.delete(""), 400, 404, 405, 422)


@step("delete")
async def _(w):
    assert (await settle(w.mine.delete(w.memory)))["message"]
    await w.refused(lambda: w.mine.get(w.memory), 404)
    return await w.refused(lambda: w.mine.delete(w.memory), 404)


@step("delete: linked", since=2)
async def _(w):
    memory = await w.add("Alice paints", app_id=w.app)
    assert (await settle(w.mine.delete(memory, delete_linked=True)))["message"]
    await w.refused(lambda: w.mine.get(memory), 404)


@step("delete_all: filters sent as Python writes them")
async def _(w):
    filters = {"user_id": w.user}
    await w.harmless(lambda: w.mine.delete_all(filters=filters), 400, 422)
    return await w.harmless(lambda: w.mine.delete_all(user_id=w.user, filters=filters), 400, 422)


@step("delete_all: no filter")
async def _(w):
    await w.harmless(lambda: w.mine.delete_all(), 400, 422)
    await w.harmless(lambda: w.mine.delete_all(user_id=None), 400, 422)
    return await w.harmless(lambda: w.mine.delete_all(user_id=""), 400, 422)


@step("delete_all: metadata sent as Python writes it")
async def _(w):
    call = lambda: w.mine.delete_all(user_id=w.user, metadata={"no": "such"})
    return await w.harmless(call, 400, 422)


@step("delete_all: another user")
async def _(w):
    return await w.harmless(lambda: w.mine.delete_all(user_id=w.other_user), 403)


@step("delete_all")
async def _(w):
    before = await w.count()
    assert (await settle(w.mine.delete_all(user_id=w.user, app_id=w.book)))["message"]
    left = await settle(w.mine.get_all(filters=w.all_of(app_id=w.book)))
    assert (left["count"], left["results"]) == (0, []), left
    assert await w.count() == before - 250, "not only the 250 of the scope were deleted"


@step("reset")
async def _(w):
    await w.add("with every id", agent_id="last", app_id="last", run_id="last")
    theirs = await w.count(w.other, w.other_user)
    assert (await settle(w.mine.reset()))["message"]
    assert await w.count() == 0, "memories are left"
    assert await w.count(w.other, w.other_user) == theirs, "another user's memories were deleted"
    await settle(w.other.delete_all(user_id=w.other_user))


@step("every public method was called")
async def _(w):
    if not os.environ.get("ADMIN_KEY"):
        raise Skip("ADMIN_KEY is not set")
    public = {
        (type(thing).__name__, name)
        for thing in (w.mine.inner, w.mine.inner.project)
        for name in dir(thing)
        if not name.startswith("_") and callable(getattr(thing, name))
    }
    assert not public - w.called, f"not called: {sorted(public - w.called)}"
    return f"{len(public)} methods"
