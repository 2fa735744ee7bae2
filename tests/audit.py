"""What holds after every run, whatever it was asked to do and however it ended.

Every end-to-end test passes its results through here, so that what it does not look at is looked at too.
Knows the output's public face (docs/output.md) and nothing of what a test asked for.
"""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import CrawlResult, Output

NO_CALL = {"invalid", "duplicate", "erased", "pending", "sent"}
"""Outcomes of rows that failed.jsonl does not repeat, with `ok`."""


def audit(result: CrawlResult, code: int, *, tracebacks: int = 0) -> dict[str, Any]:
    """Check the end of a run that took its directory; give its summary. tracebacks: of a user's own code."""
    assert result.returncode == code, result.returncode
    assert (result.stdout + result.stderr).count("Traceback") == tracebacks
    summary = result.summary
    assert summary["exit_code"] == code
    assert summary["state"] == ("stopped" if summary["stop_reason"] else "finished")
    close_equation(summary["equation"])
    audit_files(result)
    failed = [row for row in result.rows() if row["outcome"] not in NO_CALL | {"ok"}]
    assert len(result.lines("failed.jsonl")) == len(failed)
    assert len(result.lines("invalid.jsonl")) == outcomes(result)["invalid"]
    return summary


def close_equation(equation: dict[str, int | str]) -> None:
    """Lines + followed = ok + failed + invalid + duplicate + erased + left, unless the list was not read to its end."""
    if equation["lines"] == "unknown":
        assert equation["left"] == "unknown"
        return
    right = [equation[name] for name in ("ok", "failed", "invalid", "duplicate", "erased", "left")]
    assert int(equation["lines"]) + int(equation["followed"]) == sum(map(int, right)), equation


def audit_files(output: Output) -> None:
    """Every row's file is there and whole, in the right tree; no other file is; all is its owner's only."""
    located = {row["location"]: row for row in output.rows() if row["location"]}
    found = [*output.files("responses"), *output.files("errors")]
    assert {str(path.relative_to(output.out)) for path in found} == set(located)
    for location, row in located.items():
        data = (output.out / location).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["file_digest"], location
        assert location.startswith("responses/") == (row["outcome"] == "ok"), location
        assert location.endswith(f"{row['uuid']}.json"), location
    for path in (output.out, *output.out.rglob("*")):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
        assert not path.name.endswith((".tmp", ".new")), path


def refused(result: CrawlResult, code: int, *says: str) -> None:
    """Check a command that was refused before it fetched anything: each of *says* stands on stderr."""
    assert result.returncode == code, result.returncode
    assert "Traceback" not in result.stdout + result.stderr
    for text in says:
        assert text in result.stderr


def outcomes(output: Output) -> Counter[str]:
    """Outcome -> rows."""
    return Counter(row["outcome"] for row in output.rows())


def by_url(output: Output) -> dict[str, dict[str, Any]]:
    """The row of each URL, as shown, that was called."""
    return {row["url"]: row for row in output.rows() if row["outcome"] not in NO_CALL}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
