"""Runs the steps of a client test in order and prints one JSON line for each."""

import inspect
import json
import os
import sys
import traceback


class Skip(Exception):
    """Something that the step needs is missing: counts as skipped, never as passed."""


def setting(name, default=None):
    """Reads a setting of the run from the environment."""
    value = os.environ.get(name) or default
    if value is None:
        sys.exit(f"{name} is not set; see compat/README.md")
    return value


async def settle(answer):
    """Waits for the answer of an async client; a sync client has returned it already."""
    return await answer if inspect.isawaitable(answer) else answer


class Report:
    """The steps of one client; after a failed step the next ones still run."""

    def __init__(self, client, version):
        self.client = client
        self.version = version
        self.failed = 0

    async def step(self, method, run):
        line = {"client": self.client, "version": self.version, "method": method, "ok": True}
        try:
            note = await settle(run())
            if note:
                line["note"] = note
        except Skip as reason:
            line.update(ok=None, note=f"skipped: {reason}")
        except Exception as error:
            self.failed += 1
            line.update(ok=False, error=describe(error))
        print(json.dumps(line, ensure_ascii=False), flush=True)


def describe(error):
    """The error and the last lines of the test in its traceback."""
    here = os.path.dirname(os.path.abspath(__file__)) + os.sep
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        file = frame.filename.removeprefix(here)
        if file != frame.filename and not file.startswith((".venv", "report.py")):
            lines.append(f"{file}:{frame.lineno}")
    return f"{', '.join(lines[-2:])}: {type(error).__name__}: {error}"[:600]
