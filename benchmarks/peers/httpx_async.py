"""httpx on asyncio: N tasks take the next URL from one iterator."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import httpx  # type: ignore[import-not-found, unused-ignore]  # only .venv-bench has it

from benchmarks.peers.job import Job, read_job

if TYPE_CHECKING:
    from collections.abc import Iterator


async def fetch(job: Job, client: httpx.AsyncClient, urls: Iterator[str]) -> None:
    for url in urls:
        response = await client.get(url)
        response.raise_for_status()
        job.save(url, response.content)


async def main(job: Job) -> None:
    limits = httpx.Limits(max_connections=job.workers, max_keepalive_connections=job.workers)
    urls = iter(job.urls)
    verify = ssl.create_default_context(cafile=job.ca)
    async with httpx.AsyncClient(limits=limits, timeout=30, verify=verify) as client, asyncio.TaskGroup() as tasks:
        for _ in range(job.workers):
            tasks.create_task(fetch(job, client, urls))


if __name__ == "__main__":
    asyncio.run(main(read_job()))
