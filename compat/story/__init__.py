"""The steps of every Python client: each public method, and known error cases.

Steps run in the order of the imports below, within a file from top to bottom; they share `World`.
"""

# isort: off
import world  # first: it silences mem0's telemetry
from story import construction
from story import writing
from story import searching
from story import reading
from story import changing
from story import entities
from story import exports
from story import profiles
from story import project
from story import deleting
# isort: on

import mem0

from report import Report


async def run(name, client_class, project_class):
    """Runs the steps with one client class; returns the exit code."""
    shared = world.World(client_class, project_class)
    report = Report(name, mem0.__version__)
    for method, run in world.STEPS:
        await report.step(method, lambda: run(shared))
    return 1 if report.failed else 0
