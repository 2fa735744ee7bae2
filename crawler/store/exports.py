"""The small files beside the ledger: failed.jsonl, invalid.jsonl, summary.json, metrics.prom.

Each part of a list has its own. Each is made anew from the ledger and replaces its predecessor whole, never
in place: failed.jsonl may be the very list that is being read.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final

from crawler.exceptions import StoreError
from crawler.items import WHOLE, Shard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from crawler.store.ledger import Ledger

FAILED: Final = "failed.jsonl"
INVALID: Final = "invalid.jsonl"
SUMMARY: Final = "summary.json"
METRICS: Final = "metrics.prom"
RUN_LOG: Final = "run.log"

# CROSS JOIN: SQLite then begins with the few requests that are kept, not with all calls.
_FAILED_SQL: Final = """
SELECT r.request, r.body, c.outcome, c.status, c.error FROM requests r CROSS JOIN calls c ON c.id = r.record
WHERE c.outcome IS NOT NULL AND c.outcome != 'ok' AND c.state != 1
  AND (? IS NULL OR c.list IN (SELECT value FROM json_each(?)) OR c.parent IS NOT NULL)
ORDER BY c.line IS NULL, c.list, c.line, c.id
"""

# source: the file of the line, where a run's list is several: its rows are then other lists' than the run's.
_INVALID_SQL: Final = """
SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM runs WHERE runs.list = c.list) THEN l.path END, c.line, c.url, c.error
FROM calls c LEFT JOIN lists l ON l.id = c.list
WHERE c.outcome = 'invalid' AND c.uuid8 IS NULL ORDER BY c.list, c.line
"""


def write_lists(ledger: Ledger, directory: Path, lists: Collection[int] | None, shard: Shard = WHOLE) -> None:
    """Write failed.jsonl (a valid list of the calls that failed) and invalid.jsonl. Raises StoreError.

    lists: the rows of the list as it is now, read to its end, so that lines it no longer has are left out; None: of
    all.
    """
    ids = None if lists is None else json.dumps([*lists])
    with replacing(directory / shard.file(FAILED)) as file:
        for request, body, outcome, status, error in ledger.each(_FAILED_SQL, (ids, ids)):
            note = " ".join(str(part) for part in (outcome, status, error) if part is not None)
            file.write(json.dumps(list_line(json.loads(request), body, note), ensure_ascii=False) + "\n")
    with replacing(directory / shard.file(INVALID)) as file:
        for source, line, text, reason in ledger.each(_INVALID_SQL):
            where = {"source": source, "line": line} if source else {"line": line}
            file.write(json.dumps({**where, "text": text, "reason": reason}, ensure_ascii=False) + "\n")


def list_line(request: Mapping[str, Any], body: bytes | None, note: str) -> dict[str, Any]:
    """A call as a line of a jsonl list; note: what became of it, ignored when it is read."""
    line: dict[str, Any] = {"url": request["url"]}
    if request["method"] != "GET" or body:
        line["method"] = request["method"]
    if headers := request.get("headers"):
        line["headers"] = {}
        for name, value in headers:
            line["headers"].setdefault(name, []).append(value)
    if body:
        try:
            line["body"] = body.decode()
        except UnicodeDecodeError:
            line["body_base64"] = b64encode(body).decode()
    line.update({name: request[name] for name in ("id", "meta", "n") if request.get(name)})
    line["_error"] = note
    return line


def write_summary(directory: Path, summary: Mapping[str, Any], shard: Shard = WHOLE) -> None:
    """Write summary.json. Raises StoreError."""
    with replacing(directory / shard.file(SUMMARY)) as file:
        file.write(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def write_metrics(directory: Path, text: str, shard: Shard = WHOLE) -> None:
    """Write metrics.prom, whole but not durable: it is old in ten seconds. Raises StoreError."""
    with replacing(directory / shard.file(METRICS), durable=False) as file:
        file.write(text)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[IO[str]]:
    """A file that takes *path*'s place once it is whole, and on disk if durable. Raises StoreError.

    Nothing is left of one that was not to be.
    """
    partial = path.with_name(f".{path.name}.tmp")
    try:
        partial.unlink(missing_ok=True)  # a killed run's; were it a link, it would not be followed
        with partial.open("x", encoding="utf-8") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as exc:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(exc, OSError):
            raise StoreError(f"cannot write {path}: {exc.strerror}") from exc
        raise
