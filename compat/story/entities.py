"""Users, agents, apps and runs, with names that contain paths."""

from world import MAJOR, settle, step


@step("users")
async def _(w):
    answer = await settle(w.mine.users())
    rows = {(row["type"], row["name"]): row for row in answer["results"]}
    assert ("user", w.user) in rows and ("app", w.book) in rows, list(rows)
    assert ("agent", "pilot") in rows and ("run", "trip") in rows, list(rows)
    assert rows["app", w.book]["total_memories"] == 250, rows["app", w.book]
    assert ("user", w.other_user) not in rows, "another user's name is shown"


@step("delete_users: odd names", since=2)
async def _(w):
    for name in ("a/b", "ä@b.c+d", "50%?#"):
        theirs = await w.add("Bob's", client=w.other, user_id=w.other_user, agent_id=name)
        mine = await w.add("Alice's", agent_id=name)
        kept = await w.add("kept", agent_id=name.split("/")[0] + "-kept")
        await settle(w.mine.delete_users(agent_id=name))
        await w.refused(lambda: w.mine.get(mine), 404)
        assert (await w.get(kept))["memory"] == "kept", f"{name} took more than it names"
        assert await settle(w.other.get(theirs)), f"{name} took another user's memory"


@step("delete_users: odd names", until=1)
async def _(w):
    """1.x does not encode names: `a/b` becomes two path segments and must not be treated as `a`."""
    kept = await w.add("kept", agent_id="a")
    mine = await w.add("Alice's", agent_id="ä@b.c+d")
    await w.harmless(lambda: w.mine.delete_users(agent_id="a/b"), 400, 404, 405)
    await w.harmless(lambda: w.mine.delete_users(agent_id="a?b#c"), 400, 404, 405)
    await settle(w.mine.delete_users(agent_id="ä@b.c+d"))
    await w.refused(lambda: w.mine.get(mine), 404)
    assert await w.get(kept)


@step("delete_users: app and run")
async def _(w):
    mine = await w.add("Alice's", app_id="removed-app", run_id="removed-run")
    await settle(w.mine.delete_users(app_id="removed-app"))
    await w.refused(lambda: w.mine.get(mine), 404)
    mine = await w.add("Alice's", run_id="removed-run")
    await settle(w.mine.delete_users(run_id="removed-run"))
    await w.refused(lambda: w.mine.get(mine), 404)


@step("delete_users: dots")
async def _(w):
    """The HTTP library removes dot segments: the server receives the path of a collection."""
    await w.harmless(lambda: w.mine.delete_users(user_id="."), 400, 404, 405)
    return await w.harmless(lambda: w.mine.delete_users(user_id=".."), 400, 404, 405)


@step("delete_users: another user")
async def _(w):
    return await w.harmless(lambda: w.mine.delete_users(user_id=w.other_user), 403)


@step("delete_users: another user, by the admin key")
async def _(w):
    name = "a/b" if MAJOR > 1 else "ä@b.c+d"
    memory = await w.add("a guest's", client=w.admin, user_id=name)
    assert (await settle(w.admin.get(memory)))["user_id"] == name
    await settle(w.admin.delete_users(user_id=name))
    await w.refused(lambda: w.admin.get(memory), 404)
