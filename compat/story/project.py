"""The project, its members and its webhooks."""

from world import UNKNOWN, client_refuses, settle, step


@step("project.get and get_project")
async def _(w):
    for call in (w.mine.project.get, w.mine.get_project):
        assert isinstance(await settle(call()), dict)
        answer = await settle(call(fields=["custom_instructions", "custom_categories"]))
        assert {"custom_instructions", "custom_categories"} <= set(answer), answer


@step("project.update and update_project")
async def _(w):
    before = await settle(w.admin.project.get(fields=["custom_instructions"]))
    for call, text in ((w.admin.project.update, "short"), (w.admin.update_project, "long")):
        await settle(call(custom_instructions=text, custom_categories=[{"food": "what is eaten"}]))
        answer = await settle(w.admin.project.get())
        assert answer["custom_instructions"] == text, answer
        assert answer["custom_categories"] == [{"food": "what is eaten"}], answer
    restored = before.get("custom_instructions") or ""
    await settle(w.admin.project.update(custom_instructions=restored, custom_categories=[]))


@step("project: what a user key may not do")
async def _(w):
    project = w.mine.project
    await w.harmless(lambda: project.delete(), 403)
    await w.refused(lambda: project.create("mine"), 403)
    await w.refused(lambda: project.get_members(), 403)
    await w.refused(lambda: project.add_member("m@example.com", "OWNER"), 403)
    await w.refused(lambda: project.update_member("m@example.com", "OWNER"), 403)
    return await w.refused(lambda: project.remove_member("m@example.com"), 403)


@step("project.create and project.delete")
async def _(w):
    try:
        answer = await settle(w.admin.project.create(f"story {w.run}", "made by a test"))
    except Exception:  # a server of one project says so, and keeps it
        status = await w.refused(lambda: w.admin.project.create(f"story {w.run}"), 400)
        await w.harmless(lambda: w.admin.project.delete(), 400)
        return f"one project: {status}"
    inner = w.admin.inner
    project = w.project_class(
        client=inner.async_client if w.is_async else inner.client,
        org_id=inner.org_id,
        project_id=answer["project_id"],
        user_email=inner.user_email,
    )
    assert answer["project_id"] != inner.project_id, "the project of every other test"
    assert (await settle(project.delete()))["message"]
    assert await w.count() > 0, "deleting a new project took the memories of another"


@step("project members")
async def _(w):
    project, email = w.admin.project, f"m-{w.run}@example.com"

    async def role():
        members = (await settle(project.get_members()))["members"]
        return {member["username"]: member["role"] for member in members}.get(email)

    await settle(project.add_member(email, "READER"))
    assert await role() == "READER"
    await settle(project.update_member(email, "OWNER"))
    assert await role() == "OWNER"
    await client_refuses(lambda: project.update_member(email, "KING"))
    await settle(project.remove_member(email))
    assert await role() is None


@step("webhooks: by a user key")
async def _(w):
    project = w.mine.project_id
    await w.refused(lambda: w.mine.get_webhooks(project), 403)
    url = "https://example.com/hook"
    return await w.refused(lambda: w.mine.create_webhook(url, "n", project, ["memory_add"]), 403)


@step("webhooks")
async def _(w):
    project = w.admin.project_id
    url, kinds = "https://example.com/hook", ["memory_delete"]
    hook = await settle(w.admin.create_webhook(url, "story", project, kinds))
    assert (hook["url"], hook["name"], hook["event_types"]) == (url, "story", kinds), hook
    hook_id = hook["webhook_id"]

    async def names():
        hooks = await settle(w.admin.get_webhooks(project))
        return {hook["webhook_id"]: hook["name"] for hook in hooks}

    try:
        assert (await names())[hook_id] == "story"
        assert await settle(w.admin.update_webhook(hook_id, name="renamed"))
        assert (await names())[hook_id] == "renamed"
    finally:
        assert await settle(w.admin.delete_webhook(hook_id))
    assert hook_id not in await names()
    return await w.refused(lambda: w.admin.delete_webhook(UNKNOWN), 404)
