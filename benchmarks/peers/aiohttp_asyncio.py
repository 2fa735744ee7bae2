"""aiohttp on asyncio's own loop: N tasks take the next URL from one iterator.

Files are written on the loop: handing them to a thread costs more CPU than it saves.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.peers.job import Job, read_job

if TYPE_CHECKING:
    from collections.abc import Iterator


async def fetch(job: Job, session: aiohttp.ClientSession, urls: Iterator[str]) -> None:
    for url in urls:
        async with session.get(url) as response:
            response.raise_for_status()
            job.save(url, await response.read())


async def main(job: Job) -> None:
    connector = aiohttp.TCPConnector(limit=job.workers, ssl=ssl.create_default_context(cafile=job.ca))
    urls = iter(job.urls)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        for _ in range(job.workers):
            tasks.create_task(fetch(job, session, urls))


if __name__ == "__main__":
    asyncio.run(main(read_job()))
