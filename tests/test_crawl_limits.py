"""A machine that has too little, or changes under the run: the right exit code, and the same command goes on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.audit import audit, outcomes, refused

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl
    from tests.mounts import Mount

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@pytest.mark.parametrize(
    ("disk", "settings", "says"),
    [
        ("size=24m", {"APIFETCH_MIN_FREE_BYTES": "12MiB", "APIFETCH_MIN_FREE_INODES": 0}, "MiB free on its disk"),
        (
            "size=200m,nr_inodes=420",
            {"APIFETCH_MIN_FREE_BYTES": "12MiB", "APIFETCH_MIN_FREE_INODES": 150},
            "more files on its disk",
        ),
    ],
    ids=["bytes", "files"],
)
def test_a_disk_that_fills_up_ends_the_run_while_it_can_still_store_what_it_has(
    api: ApiServer, crawl: Crawl, mount: Mount, disk: str, settings: dict[str, object], says: str
) -> None:
    """Four calls of 50 ms at a time bring 16 MB a second at the most, and five looks a second."""
    out = crawl.cwd / "out" / "items"
    out.mkdir(parents=True)
    mount(out, disk)
    urls = [api.url(f"/items/{n}?size=200000&delay_ms=50") for n in range(320)]
    settings = {**settings, "APIFETCH_FOLDER_LEVELS": 0}
    result = crawl(urls, workers=4, settings=settings)
    refused(result, 3, says, "Make room, then run the same command again")
    assert "No space left" not in result.stderr
    equation = result.summary["equation"]
    assert (result.summary["state"], result.summary["stop_reason"]) == ("stopped", "disk")
    assert 0 < equation["ok"] == len(result.rows()) == len(result.files()) == api.stats()["requests"] < 320
    higher = {"APIFETCH_MIN_FREE_BYTES": "23MiB", "APIFETCH_MIN_FREE_INODES": 400}  # the ledger's log is gone by now
    refused(crawl("items.txt", workers=4, settings={**settings, **higher}), 3, "make room")
    assert api.stats()["requests"] == equation["ok"], "nothing begins that cannot be stored"
    mount(out, "size=200m,nr_inodes=2000")
    again = crawl("items.txt", workers=20, settings=settings)
    audit(again, 0)
    assert outcomes(again) == {"ok": 320}
    assert set(api.seen().values()) == {1}


def test_forty_descriptors_are_enough_for_fewer_workers(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url(f"/items/{n}?delay_ms=5") for n in range(60)]
    result = crawl(urls, workers=100, within=["sh", "-c", 'ulimit -n 40 && exec "$@"', "sh"])
    assert audit(result, 0)["equation"]["ok"] == 60
    assert "Too few open files are allowed (ulimit -n) for 100 workers: 3" in result.stderr
    assert api.stats()["peak"] <= 3
    assert "Too many open files" not in result.stderr


@pytest.mark.parametrize("way", [pytest.param("moved", marks=pytest.mark.check), "removed"])
def test_a_directory_taken_away_in_mid_run_ends_it_and_given_back_it_goes_on(
    api: ApiServer, crawl: Crawl, way: str
) -> None:
    # the last take so long that the run cannot be over before its directory is gone
    urls = [api.url(f"/items/{n}?delay_ms={20 if n < 40 else 600}") for n in range(120)]
    running = crawl(urls, wait=False, workers=4)
    out = running.output.out
    running.wait_for(lambda: len(running.output.rows()) > 20)
    away = out.with_name("away")
    out.rename(away)
    while way == "removed" and away.exists():  # the run may write more meanwhile
        shutil.rmtree(away, ignore_errors=True)
    result = running.wait()
    assert result.returncode == 3, result.stderr
    assert "No such file or directory" in result.stderr
    assert "Traceback" not in result.stderr
    if way == "moved":
        away.rename(out)
    again = crawl("items.txt", workers=20)
    audit(again, 0)
    assert outcomes(again) == {"ok": 120}
    if way == "moved":
        assert max(api.seen().values()) <= 2


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize("days", ["+1d", pytest.param("-1d", marks=pytest.mark.check)])
def test_a_clock_that_jumps_by_a_day_neither_stalls_nor_hurries_a_run(api: ApiServer, crawl: Crawl, days: str) -> None:
    """The wall clock alone, as when an administrator sets it: 60 calls at 50 a second, one in ten is refused once."""
    jump = crawl.cwd / "clock"
    jump.write_text("+0\n")
    env = {
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(jump), "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    urls = [api.url(f"/items/{n}" if n % 10 else f"/flaky/{n}") for n in range(60)]
    before, after = ("".join(f"{url}\n" for url in part).encode() for part in (urls[:30], urls[30:]))
    running = crawl("-", wait=False, env=env, rate="50/s", stdin=subprocess.PIPE, out="out")
    assert running.process.stdin is not None
    running.process.stdin.write(before)
    running.process.stdin.flush()
    running.wait_for(lambda: len(running.output.rows()) > 10)
    jump.write_text(f"{days}\n")
    running.process.stdin.write(after)
    result = running.wait()
    summary = audit(result, 0)
    assert outcomes(result) == {"ok": 60}
    assert 1.0 < summary["run"]["seconds"] < 50_000
    assert len({row["started_at"][:10] for row in result.rows()}) == 2, "the clock did jump"
    audit(crawl("-", stdin=before + after, out="out"), 0)
