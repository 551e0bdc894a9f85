"""Drives mem0's AsyncMemoryClient, 2.x or 1.x, against BASE_URL."""

import asyncio
import sys

import story  # first: it silences mem0's telemetry
from mem0 import AsyncMemoryClient
from mem0.client.project import AsyncProject

if __name__ == "__main__":
    sys.exit(asyncio.run(story.run("python-async", AsyncMemoryClient, AsyncProject)))
