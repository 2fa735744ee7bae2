"""The same aiohttp program on uvloop."""

from __future__ import annotations

import uvloop

from benchmarks.peers.aiohttp_asyncio import main
from benchmarks.peers.job import read_job

if __name__ == "__main__":
    uvloop.run(main(read_job()))
