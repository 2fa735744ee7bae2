"""`curl --parallel`: a config file of URLs and outputs is written, then curl takes this process over.

Python's start and the file's writing count: something has to make the names, and it takes well under 0.1 s.
"""

from __future__ import annotations

import os

from benchmarks.peers.job import read_job

MOST = 300  # curl before 8.16 takes a larger --parallel-max for a mistake, and does 50 at once; the report says so


def main() -> None:
    job = read_job()
    config = job.out.with_name("curl.txt")
    config.write_text("".join(f'url = "{url}"\noutput = "{job.path(url)}"\n' for url in job.urls), "utf-8")
    command = ["curl", "--parallel", "--parallel-max", str(min(job.workers, MOST)), "--config", str(config)]
    trust = ["--cacert", job.ca] if job.ca else []
    os.execvp("curl", [*command, *trust, "--silent", "--show-error", "--fail", "--fail-early", "--max-time", "30"])


if __name__ == "__main__":
    main()
