"""Drives mem0's MemoryClient, 2.x or 1.x, against BASE_URL."""

import asyncio
import sys

import story  # first: it silences mem0's telemetry
from mem0 import MemoryClient
from mem0.client.project import Project

if __name__ == "__main__":
    sys.exit(asyncio.run(story.run("python-sync", MemoryClient, Project)))
