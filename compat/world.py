"""Shared by all steps: the clients of three keys, and checks of how a call fails.

The sync and the async client have the same methods, so one story serves both: a call's answer
is awaited where it has to be.
"""

import logging
import os
import tempfile
import uuid

os.environ["MEM0_TELEMETRY"] = "false"
os.environ["MEM0_DIR"] = tempfile.mkdtemp(prefix="mem0-")

import httpx
import mem0
from mem0 import exceptions

from report import Skip, setting, settle

MAJOR = int(mem0.__version__.split(".")[0])
UNKNOWN = "00000000-0000-4000-8000-000000000000"
ERROR_OF_STATUS = {
    400: exceptions.ValidationError,
    401: exceptions.AuthenticationError,
    403: exceptions.AuthenticationError,
    404: exceptions.MemoryNotFoundError,
    405: exceptions.MemoryError,
    409: exceptions.ValidationError,
    422: exceptions.ValidationError,
    501: exceptions.MemoryError,
    503: exceptions.NetworkError,
}

logging.disable(logging.CRITICAL)  # the clients log every error that a step asks for
STEPS = []


def step(method, since=1, until=9):
    """Adds a step for the major versions of the client that have the tested feature."""

    def add(run):
        if since <= MAJOR <= until:
            STEPS.append((method, run))
        return run

    return add


class Recorder:
    """Wraps a client or its project and records which methods were called."""

    def __init__(self, inner, called):
        self.inner = inner
        self.called = called

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name == "project":
            return Recorder(value, self.called)
        if callable(value) and not name.startswith("_"):
            self.called.add((type(self.inner).__name__, name))
        return value


class World:
    """The clients of three keys, and values that earlier steps leave for later ones."""

    def __init__(self, client_class, project_class):
        self.client_class = client_class
        self.project_class = project_class
        self.is_async = client_class.__name__.startswith("Async")
        self.base = setting("BASE_URL").rstrip("/")
        self.user = setting("API_USER", "alice")
        self.other_user = setting("OTHER_USER", "bob")
        self.run = uuid.uuid4().hex[:8]
        self.app = f"story-{self.run}"
        self.book = f"book-{self.run}"
        self.called = set()
        self.clients = {}
        self.memory = None
        self.theirs = None

    def client(self, key="API_KEY"):
        if key == "ADMIN_KEY" and not os.environ.get(key):
            raise Skip("ADMIN_KEY is not set")
        if key not in self.clients:
            client = self.client_class(api_key=setting(key), host=self.base)
            self.clients[key] = Recorder(client, self.called)
        return self.clients[key]

    @property
    def mine(self):
        return self.client()

    @property
    def other(self):
        return self.client("OTHER_KEY")

    @property
    def admin(self):
        return self.client("ADMIN_KEY")

    def all_of(self, **ids):
        """The filter form in which each id is a condition."""
        return {"AND": [{key: value} for key, value in ({"user_id": self.user} | ids).items()]}

    async def add(self, text, client=None, **options):
        """Adds one message verbatim and returns the id of its memory."""
        options.setdefault("user_id", self.user)
        answer = await settle((client or self.mine).add(text, infer=False, **options))
        assert len(answer["results"]) == 1, answer
        return answer["results"][0]["id"]

    async def get(self, memory_id):
        return await settle(self.mine.get(memory_id))

    async def count(self, client=None, user=None):
        """The number of memories of a user, including expired ones."""
        answer = await settle(
            (client or self.mine).get_all(
                filters={"user_id": user or self.user}, page=1, page_size=1, show_expired=True
            )
        )
        return answer["count"]

    async def raw(self, verb, path, **options):
        """A request that no method of the client makes, sent by the client's own connection."""
        inner = self.mine.inner
        http = inner.async_client if self.is_async else inner.client
        return await settle(http.request(verb, path, **options))

    async def refused(self, call, *statuses):
        """The call must fail with one of these statuses, in the client's class for it."""
        try:
            answer = await settle(call())
        except exceptions.MemoryError as error:
            status = error.debug_info.get("status_code")
            assert status in statuses, f"expected {statuses}, got {status}: {error}"
            assert type(error) is ERROR_OF_STATUS[status], f"{type(error).__name__} for {status}"
            assert isinstance(error.message, str) and error.message, "the error has no text"
        except httpx.HTTPStatusError as error:
            assert self.is_async and MAJOR == 1, "only the async 1.x client lets this through"
            status = error.response.status_code
            assert status in statuses, f"expected {statuses}, got {status}"
        else:
            raise AssertionError(f"expected {statuses}, but it answered {answer!r}")
        return f"{status}"

    async def harmless(self, call, *statuses):
        """As `refused`; in addition, no memory of either user may be lost."""
        before = await self.count(), await self.count(self.other, self.other_user)
        assert before[0] and before[1], "nothing there that could be deleted"
        try:
            return await self.refused(call, *statuses)
        finally:
            after = await self.count(), await self.count(self.other, self.other_user)
            assert after == before, f"memories before {before}, after {after}"


async def client_refuses(call, error=ValueError):
    """The client itself must refuse the call before it sends a request."""
    try:
        answer = await settle(call())
    except error:
        return "refused by the client"
    raise AssertionError(f"expected {error.__name__}, but it answered {answer!r}")


def texts(answer):
    return {result["memory"] for result in answer["results"]}


def ids(answer):
    return [result["id"] for result in answer["results"]]
