"""What every peer is told: LIST FOLDER WORKERS [CA]. Knows no client."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """urls: what to fetch. out: an empty folder. workers: calls at once. ca: whom to trust, a PEM file."""

    urls: list[str]
    out: Path
    workers: int
    ca: str | None

    def save(self, url: str, body: bytes) -> None:
        self.path(url).write_bytes(body)

    def path(self, url: str) -> Path:
        return self.out / f"{uuid.uuid5(uuid.NAMESPACE_URL, url)}.json"


def read_job() -> Job:
    """Give what the command line says."""
    urls, out, workers, *ca = sys.argv[1:]
    return Job(Path(urls).read_text("utf-8").split(), Path(out), int(workers), ca[0] if ca else None)
