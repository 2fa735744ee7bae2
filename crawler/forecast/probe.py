"""A probe: some calls of the list made for real, by the crawl itself, into a folder that is thrown away.

Owns how such a crawl is asked for, and what its records come to.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ProbeError
from crawler.forecast.estimate import Measured
from crawler.library.child import crawl_command, crawl_environment
from crawler.pacing.rate import Quota
from crawler.pacing.rate_limit import read_hint
from crawler.store.exports import list_line
from crawler.store.reading import open_ledger

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from crawler.items import Entry

OF_THE_LIST: Final = {
    "urls", "format", "column", "template", "method", "data", "out", "limit", "redo", "duplicates", "max_calls",
    "max_failed", "echo", "shard", "workers", "pack",
}  # fmt: skip
"""Arguments that say which calls are made and when it ends, not how one is made."""

_BLOCK_BYTES: Final = 4096  # what a file takes at the least, and grows by, on ext4, XFS and APFS
_USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe came to. measured: None when nothing was answered. quotas: announced, with their header.

    said: the outcomes, `http_error 404` and such.
    """

    calls: int
    said: Counter[str]
    measured: Measured | None
    quotas: Mapping[str, Quota]


def probe(
    sample: Sequence[Entry], arguments: Mapping[str, str], settings: Mapping[str, str], *, spider: str, workers: int
) -> Probed:
    """Make the calls of *sample* once. arguments: of the run. workers: of the run. Raises ProbeError.

    With a fourth as many workers as calls, so that most calls find a connection open, as in the run.
    """
    workers = min(workers, max(1, len(sample) // 4))
    with TemporaryDirectory(prefix="apifetch-plan-") as folder:
        urls, out = Path(folder, "sample.jsonl"), Path(folder, "out")
        urls.write_text("".join(_line(entry) for entry in sample), "utf-8")
        own = {name: value for name, value in arguments.items() if name not in OF_THE_LIST}
        command = crawl_command({**own, "urls": urls, "out": out, "workers": workers}, settings, spider=spider)
        done = subprocess.run(command, env=crawl_environment(), capture_output=True, text=True, check=False)
        if done.returncode == _USAGE or not (out / "ledger.sqlite").exists():
            raise ProbeError(f"the probe could not be made: {done.stderr.strip()[-2000:]}")
        with open_ledger(out) as db:
            return _probed(db, out, cold=workers)


def _line(entry: Entry) -> str:
    request: dict[str, Any] = {"url": entry.url, "method": entry.method, "headers": entry.headers, "id": entry.key}
    return json.dumps(list_line(request, entry.body, "")) + "\n"


def _probed(db: sqlite3.Connection, out: Path, *, cold: int) -> Probed:
    """cold: so many calls, the first, had to open a connection."""
    said: Counter[str] = Counter()
    quotas: dict[str, Quota] = {}
    latencies_s: list[float] = []
    attempts = body_bytes = file_bytes = files = 0
    with closing(db.execute(_SQL)) as rows:
        for elapsed_ms, tries, length, location, outcome, status, headers in rows:
            said[" ".join(str(part) for part in (outcome, status) if part is not None)] += 1
            attempts += tries
            if status is not None:
                latencies_s.append(elapsed_ms / 1000)
                body_bytes += length or 0
                quotas |= _announced(json.loads(headers or "{}"))
            if location is not None:
                file_bytes += ceil((out / location).stat().st_size / _BLOCK_BYTES) * _BLOCK_BYTES
                files += 1
    count = len(latencies_s)
    warm = latencies_s[cold:] if count > 2 * cold else latencies_s
    measured = Measured(
        latencies_s=sorted(warm), attempts=attempts / said.total(), body_bytes=body_bytes / count,
        file_bytes=file_bytes / max(1, files),
    ) if count else None  # fmt: skip
    return Probed(said.total(), said, measured, quotas)


_SQL: Final = """
SELECT elapsed_ms, attempts, bytes, location, outcome, status, headers FROM records
WHERE outcome NOT IN ('duplicate', 'invalid') ORDER BY started_at
"""


def _announced(headers: Mapping[str, Any]) -> dict[str, Quota]:
    """The quota that a response tells of, by the header that does."""
    pairs = [
        (name.encode("latin-1"), text.encode("latin-1"))
        for name, value in headers.items()
        for text in ([value] if isinstance(value, str) else value)
    ]
    hint = read_hint(pairs, wall_s=time.time())
    if hint is None or not hint.limit or not hint.window_s:
        return {}
    return {hint.header: Quota(hint.limit, hint.window_s)}
