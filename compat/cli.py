"""Drives the mem0 command line against BASE_URL: every verb that talks to a server.

Each verb runs as a user would run it, in a separate home directory. Not run: `identify` and `agent-rush`,
which are for mem0's own hosted service only.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import uuid
from importlib.metadata import version
from pathlib import Path
from urllib.request import Request, urlopen

from report import Report, Skip, setting

UNKNOWN = "00000000-0000-4000-8000-000000000000"
BASE = setting("BASE_URL").rstrip("/")
USER = setting("API_USER", "alice")
OTHER_USER = setting("OTHER_USER", "bob")
HOME = tempfile.mkdtemp(prefix="mem0-home-")
APP = f"cli-{uuid.uuid4().hex[:8]}"
STEPS = []
kept = {}  # what earlier steps left for later ones


def step(method):
    return lambda run: STEPS.append((method, run))


def mem0(*arguments, key="API_KEY", base="environment", stdin=""):
    """Runs the command line; of the caller's environment it gets only PATH."""
    if key == "ADMIN_KEY" and not os.environ.get(key):
        raise Skip("ADMIN_KEY is not set")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "MEM0_TELEMETRY": "false",
        "MEM0_API_KEY": os.environ.get(key, key),
    }
    if base == "environment":
        environment["MEM0_BASE_URL"] = BASE
    return subprocess.run(
        [Path(sys.executable).with_name("mem0"), *arguments],
        env=environment,
        cwd=HOME,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def data(*arguments, **options):
    """The data of a verb that must succeed."""
    done = mem0("--json", *arguments, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "success", answer
    return answer["data"]


def refused(*arguments, **options):
    """The text of the error of a verb that must fail."""
    done = mem0("--json", *arguments, **options)
    assert done.returncode != 0, f"it succeeded: {done.stdout}"
    if not done.stdout:
        return "refused"  # `add` and `event status` print their error on a terminal only
    answer = json.loads(done.stdout)
    assert answer["status"] == "error" and answer["error"], answer
    return answer["error"].splitlines()[0]


def add(text, *arguments, key="API_KEY", user=USER):
    return data("add", text, "-u", user, "--no-infer", *arguments, key=key)[0]["id"]


def count(user=USER, key="API_KEY"):
    """The number of memories of a user; requested without the command line, which starts slowly."""
    request = Request(
        f"{BASE}/v3/memories/?page_size=1",
        data=json.dumps({"filters": {"user_id": user}, "show_expired": True}).encode(),
        headers={"Authorization": f"Token {setting(key)}", "Content-Type": "application/json"},
    )
    with urlopen(request) as answer:
        return json.load(answer)["count"]


def harmless(*arguments, **options):
    """As `refused`; in addition, no memory of either user may be lost."""
    before = count(), count(OTHER_USER, "OTHER_KEY")
    assert before[0] and before[1], "nothing there that could be deleted"
    try:
        return refused(*arguments, **options)
    finally:
        assert (count(), count(OTHER_USER, "OTHER_KEY")) == before, "memories were deleted"


@step("init and config")
def _():
    done = mem0("init", "--api-key", os.environ["API_KEY"], "-u", USER, "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    data("config", "set", "platform.base_url", BASE)
    assert data("config", "get", "defaults.user_id")["value"] == USER
    assert data("config", "show", base="file")["platform"]["base_url"] == BASE


@step("status")
def _():
    assert data("status", base="file")["connected"] is True, "by the file"
    assert data("status")["connected"] is True, "by MEM0_BASE_URL"
    assert data("status", "--base-url", BASE, base="file")["connected"] is True, "by --base-url"


@step("status: wrong key")
def _():
    return refused("list", "-u", USER, key="wrong-key")


@step("add")
def _():
    options = ("--app-id", APP, "--agent-id", "pilot", "--run-id", "trip")
    kept["memory"] = add(
        "Alice drinks green tea", *options, "-m", '{"cup": 1}', "--expires", "2099-12-31"
    )
    memory = data("get", kept["memory"])
    assert memory["memory"] == "Alice drinks green tea", memory
    assert (memory["metadata"], memory["expiration_date"]) == ({"cup": 1}, "2099-12-31"), memory


@step("add: messages, file, standard input, timestamp")
def _():
    messages = json.dumps([{"role": "user", "content": "Alice has a cat"}])
    added = data("add", "--messages", messages, "-u", USER, "--app-id", APP, "--no-infer")
    assert added[0]["memory"] == "Alice has a cat", added
    file = Path(HOME, "messages.json")
    file.write_text(json.dumps([{"role": "user", "content": "Alice keeps bees"}]))
    added = data("add", "-f", str(file), "-u", USER, "--app-id", APP, "--no-infer")
    assert added[0]["memory"] == "Alice keeps bees", added
    piped = mem0("add", "-u", USER, "--app-id", APP, "--no-infer", stdin="Alice plays chess")
    assert piped.returncode == 0 and "Alice plays chess" in piped.stdout, piped.stdout + piped.stderr
    old = add("Alice sailed to Porto", "--app-id", APP, "--timestamp", "1700000000")
    assert data("get", old)["created_at"].startswith("2023-11-14"), "the timestamp is not kept"


@step("add: infer")
def _():
    done = mem0("add", "Alice rows on Sundays", "-u", USER, "--app-id", APP)
    assert done.returncode == 0, done.stderr
    assert "Added" in done.stdout and "Queued" not in done.stdout, done.stdout


@step("add: another's user_id")
def _():
    kept["theirs"] = add("Bob hides gold", key="OTHER_KEY", user=OTHER_USER)
    return refused("add", "x", "-u", OTHER_USER, "--no-infer")


@step("search")
def _():
    options = ("--rerank", "--keyword", "-k", "1", "--threshold", "0.1")
    found = data("search", "green tea", "-u", USER, "--app-id", APP, *options)
    assert [row["id"] for row in found] == [kept["memory"]], found
    either = {"AND": [{"user_id": USER}, {"OR": [{"app_id": APP}]}]}
    found = data("search", "green tea", "--filter", json.dumps(either))
    assert kept["memory"] in [row["id"] for row in found], found


@step("search: another's memories")
def _():
    found = data("search", "Bob hides gold", "-u", USER)
    assert kept["theirs"] not in [row["id"] for row in found], found
    return refused("search", "gold", "-u", OTHER_USER)


@step("get: unknown or another's")
def _():
    refused("get", kept["theirs"])
    return refused("get", UNKNOWN)


@step("list")
def _():
    scope = ("-u", USER, "--app-id", APP)
    rows = {row["id"] for row in data("list", *scope)}
    pages = [
        row["id"]
        for page in "123"
        for row in data("list", *scope, "--page", page, "--page-size", "2")
    ]
    assert len(pages) == len(rows) == 6 and set(pages) == rows, (pages, rows)
    assert len(data("list", *scope, "--after", "2024-01-01")) == 5
    assert len(data("list", *scope, "--before", "2024-01-01")) == 1
    assert data("list", *scope, "--category", "no-such-category") == []
    table = mem0("list", *scope)
    assert table.returncode == 0 and kept["memory"][:8] in table.stdout, table.stdout


@step("update")
def _():
    changed = data(
        "update", kept["memory"], "Alice drinks oolong", "-m", '{"cup": 2}', "--expires", "2098-01-02"
    )
    assert (changed["id"], changed["memory"]) == (kept["memory"], "Alice drinks oolong"), changed
    assert data("get", kept["memory"])["metadata"]["cup"] == 2
    return refused("update", kept["theirs"], "x")


@step("import")
def _():
    rows = [{"memory": f"Imported {n}", "metadata": {"n": n}} for n in range(3)]
    file = Path(HOME, "import.json")
    file.write_text(json.dumps(rows))
    assert data("import", str(file), "-u", USER) == {"added": 3, "failed": 0}


@step("event list and event status")
def _():
    events = data("event", "list")
    assert events, "no events"
    event = data("event", "status", events[0]["id"])
    assert (event["id"], event["status"]) == (events[0]["id"], "SUCCEEDED"), event
    return refused("event", "status", UNKNOWN)


@step("entity list")
def _():
    assert [row["name"] for row in data("entity", "list", "users")] == [USER]
    assert APP in [row["name"] for row in data("entity", "list", "apps")]
    assert "pilot" in [row["name"] for row in data("entity", "list", "agents")]
    assert "trip" in [row["name"] for row in data("entity", "list", "runs")]


@step("entity delete: odd names")
def _():
    for name in ("a/b", "ä@b.c+d"):
        deleted, stays = add("removed", "--agent-id", name), add("stays", "--agent-id", "a")
        data("entity", "delete", "--agent-id", name, "--force")
        refused("get", deleted)
        assert data("get", stays)["memory"] == "stays"
    return harmless("entity", "delete", "-u", OTHER_USER, "--force")


@step("delete --entity: by the admin key")
def _():
    deleted = add("a guest's", key="ADMIN_KEY", user="guest/1")
    data("delete", "--entity", "-u", "guest/1", "--force", key="ADMIN_KEY")
    return refused("get", deleted, key="ADMIN_KEY")


@step("delete")
def _():
    preview = mem0("delete", kept["memory"], "--dry-run")
    assert preview.returncode == 0 and "oolong" in preview.stdout, preview.stdout
    data("delete", kept["memory"], "--force", "--delete-linked")
    refused("get", kept["memory"])
    return harmless("delete", kept["theirs"], "--force")


@step("delete --all")
def _():
    before = count()
    data("delete", "--all", "-u", USER, "--app-id", APP, "--force")
    assert data("list", "-u", USER, "--app-id", APP) == []
    assert count() == before - 5, "not only the five of the scope were deleted"
    return harmless("delete", "--all", "-u", OTHER_USER, "--force")


@step("delete --all: no scope")
def _():
    data("config", "set", "defaults.user_id", "")
    return harmless("delete", "--all", "--force")


@step("delete --all --project")
def _():
    theirs = count(OTHER_USER, "OTHER_KEY")
    data("delete", "--all", "--project", "--force")
    assert count() == 0, "a user key empties what it may reach: all of its user"
    assert count(OTHER_USER, "OTHER_KEY") == theirs, "another user's memories were deleted"
    data("delete", "--all", "-u", OTHER_USER, "--force", key="OTHER_KEY")


@step("version, help, whoami")
def _():
    assert version("mem0-cli") in mem0("--version").stdout
    assert "search" in json.loads(mem0("help", "--json").stdout)["commands"]
    return refused("whoami")


async def main():
    report = Report("cli", version("mem0-cli"))
    for method, run in STEPS:
        await report.step(method, run)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
