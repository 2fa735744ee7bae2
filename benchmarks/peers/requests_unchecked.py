"""The same script as most blogs have it: nobody looks at the status, so an error page is saved as if it were data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests

from benchmarks.peers.job import read_job


def main() -> None:
    job = read_job()

    def fetch(url: str) -> None:
        job.save(url, requests.get(url, timeout=30, verify=job.ca or True).content)

    with ThreadPoolExecutor(max_workers=job.workers) as pool:
        for _ in pool.map(fetch, job.urls):  # so that an error is not lost
            pass


if __name__ == "__main__":
    main()
