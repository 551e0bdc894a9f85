"""Exports, the summary, and the method that does not exist."""

import httpx
from mem0 import exceptions

from world import UNKNOWN, client_refuses, settle, step


@step("create_memory_export")
async def _(w):
    answer = await settle(
        w.mine.create_memory_export(
            schema='{"type": "object", "properties": {"pets": {"type": "array"}}}',
            filters=w.all_of(app_id=w.app),
            export_instructions="short",
        )
    )
    assert answer["id"] and answer["message"], answer
    w.export = answer["id"]


@step("get_memory_export")
async def _(w):
    by_id = await settle(w.mine.get_memory_export(memory_export_id=w.export))
    by_filter = await settle(w.mine.get_memory_export(filters=w.all_of(app_id=w.app)))
    for answer in (by_id, by_filter):
        assert isinstance(answer, dict) and "gold" not in str(answer), answer


@step("get_memory_export: unknown or another's")
async def _(w):
    await w.refused(lambda: w.mine.get_memory_export(memory_export_id=UNKNOWN), 404)
    return await w.refused(lambda: w.other.get_memory_export(memory_export_id=w.export), 404)


@step("get_summary")
async def _(w):
    try:
        answer = await settle(w.mine.get_summary(filters={"user_id": w.user}))
    except (exceptions.NetworkError, httpx.HTTPStatusError):
        await w.refused(lambda: w.mine.get_summary(), 503)
        return "no LLM: 503"
    assert answer, answer


@step("chat")
async def _(w):
    return await client_refuses(w.mine.chat, NotImplementedError)
