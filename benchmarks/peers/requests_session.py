"""The same script with one Session, whose pool keeps a connection for each worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

from benchmarks.peers.job import read_job


def main() -> None:
    job = read_job()
    session = requests.Session()
    adapter = HTTPAdapter(pool_maxsize=job.workers)  # default 10: more workers would close and open connections
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.verify = job.ca or True

    def fetch(url: str) -> None:
        response = session.get(url, timeout=30)
        response.raise_for_status()
        job.save(url, response.content)

    with session, ThreadPoolExecutor(max_workers=job.workers) as pool:
        for _ in pool.map(fetch, job.urls):
            pass


if __name__ == "__main__":
    main()
