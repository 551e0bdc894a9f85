"""Profiles: a server may lack them, but must then return a documented error."""

from mem0 import exceptions

from world import UNKNOWN, settle, step


@step("profiles", since=2)
async def _(w):
    calls = {
        "get_profile": lambda: w.mine.get_profile(w.user),
        "generate_profile": lambda: w.mine.generate_profile(w.user, idempotency_key=w.run),
        "get_profile_settings": lambda: w.mine.get_profile_settings(),
        "update_profile_settings": lambda: w.mine.update_profile_settings(enabled=False),
        "sample_profiles": lambda: w.mine.sample_profiles(limit=1),
        "get_profile_job": lambda: w.mine.get_profile_job(UNKNOWN),
    }
    notes = []
    for method, call in calls.items():
        try:
            answer = await settle(call())
        except exceptions.MemoryError as error:
            status = error.debug_info["status_code"]
            assert status in (400, 403, 404, 422, 501, 503), f"{method}: {status} {error}"
            notes.append(f"{method} {status}")
        else:
            assert isinstance(answer, dict), answer
            if method == "get_profile":
                assert answer["status"] and answer["entity_id"] == w.user, answer
            notes.append(f"{method} 200")
    return ", ".join(notes)
