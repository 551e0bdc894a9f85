"""The requests of a client when it is created."""

from world import step


@step("construct")
async def _(w):
    client = w.mine.inner
    for value in (client.org_id, client.project_id):
        assert isinstance(value, str) and value, "ping must give an organisation and a project"
    assert "@" not in (client.user_email or ""), "an address here links telemetry identities"


@step("construct: wrong key")
async def _(w):
    try:
        w.client_class(api_key="wrong-key", host=w.base)
    except ValueError as error:
        assert str(error).startswith("Error: "), error
    else:
        raise AssertionError("a wrong key was taken")
