"""The script of countless blogs: requests.get in a thread pool. Every call opens a connection of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests

from benchmarks.peers.job import read_job


def main() -> None:
    job = read_job()

    def fetch(url: str) -> None:
        response = requests.get(url, timeout=30, verify=job.ca or True)
        response.raise_for_status()
        job.save(url, response.content)

    with ThreadPoolExecutor(max_workers=job.workers) as pool:
        for _ in pool.map(fetch, job.urls):  # so that an error is not lost
            pass


if __name__ == "__main__":
    main()
