"""What a list asks for, and how long it takes: counting and the model, without a call."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from crawler.forecast import Counted, Measured, count, needs, seconds_at
from crawler.forecast import counting as room
from crawler.forecast.counting import shown
from crawler.items import Shard
from crawler.pacing.rate import Quota
from crawler.sources import open_source
from crawler.values import HOSTS

if TYPE_CHECKING:
    from pathlib import Path

MEASURED = Measured(latencies_s=[0.1] * 10, attempts=1.0, body_bytes=20_000, file_bytes=24_576)


def unknown(uuid: bytes) -> bool | None:
    return None


def counted(path: Path, content: str, **how: Any) -> Counted:
    path.write_text(content)
    options: dict[str, Any] = {"verdict": unknown, "hosts": None, "repeats": False, "sample": 0}
    with closing(open_source(str(path))) as source:
        return count(source, **(options | how))


def test_every_line_is_counted_once(tmp_path: Path) -> None:
    lines = [
        "http://a/1", "http://a/2", "http://a/1", "http://B:80/1", "bad", "http://c/1", "http://me:s3cret@a/3?token=s3cret",
        "me:s3cret@host/",
    ]  # fmt: skip
    verdicts = iter([None, True, False, None])

    def verdict(uuid: bytes) -> bool | None:
        return next(verdicts)

    content = "# comment\n" + "\n".join(lines)
    found = counted(tmp_path / "a.txt", content, hosts=HOSTS.parse("a,b"), verdict=verdict)
    assert (found.lines, found.duplicates, found.invalid, found.forbidden) == (8, 1, 2, 1)
    assert (found.new, found.stands, found.again, found.to_make) == (2, 1, 1, 3)
    assert found.lines == found.to_make + found.stands + found.duplicates + found.invalid + found.forbidden
    assert found.hosts == {"a": 4, "b:80": 1, "c": 1}
    assert [bad.line for bad in found.bad] == [6, 9]
    assert shown(found.bad[0]).startswith("line 6: no scheme")
    assert "s3cret" not in shown(found.bad[1])
    assert not found.about


def test_of_a_part_its_own_lines_are_counted_and_the_others_are_elsewhere(tmp_path: Path) -> None:
    content = "".join(f"http://a/{n}\n" for n in range(20)) + "bad\nhttp://a/1\n"
    parts = [counted(tmp_path / "a.txt", content, shard=Shard(number, 3)) for number in (1, 2, 3)]
    assert [part.lines + part.elsewhere for part in parts] == [22, 22, 22]
    assert [sum(getattr(part, name) for part in parts) for name in ("new", "duplicates", "invalid")] == [20, 1, 1]
    assert all(part.new for part in parts)


def test_a_call_for_each_line_where_duplicates_are_fetched(tmp_path: Path) -> None:
    assert counted(tmp_path / "a.txt", "http://a/1\n" * 3, repeats=True).new == 3


def test_the_sample_is_drawn_from_all_of_the_list_and_does_no_harm(tmp_path: Path) -> None:
    calls = [{"url": f"http://a/{n}", "method": "GET" if n % 3 else "POST"} for n in range(3_000)]
    lines = "\n".join(map(json.dumps, calls))
    found = counted(tmp_path / "a.jsonl", lines, sample=100)
    numbers = sorted(int(entry.url.rpartition("/")[2]) for entry in found.sample)
    assert len(numbers) == len(set(numbers)) == 100
    assert not [number for number in numbers if number % 3 == 0]
    assert sum(number < 1_500 for number in numbers) in range(30, 71)
    assert len(counted(tmp_path / "b.txt", "http://a/1\nhttp://a/2\n", sample=100).sample) == 2


def test_memory_does_not_grow_with_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EXACT", 1_000)
    monkeypatch.setattr(room, "HOSTS", 100)
    content = "".join(f"http://h{n % 500}/{n % 12_000}\n" for n in range(15_000))
    tracemalloc.start()
    found = counted(tmp_path / "a.txt", content)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 << 20
    assert found.about
    assert abs(found.duplicates - 3_000) < 200
    assert (len(found.hosts), sum(found.hosts.values()) + found.other_hosts) == (100, 15_000)


@pytest.mark.parametrize(
    ("workers", "calls", "quotas", "seconds", "limit"),
    [
        (1, 1_000, [], 100, "latency"),
        (20, 1_000, [], 5, "latency"),
        (10_000, 100_000, [], 50, "this machine"),
        (20, 1_000, [Quota(10, 1)], 99, "10/s"),
        (20, 1_000, [Quota(1_000, 86_400)], 5, "latency"),
        (20, 2_500, [Quota(100, 1), Quota(1_000, 86_400)], 2 * 86_400, "1000/d"),
    ],
)
def test_what_limits_a_run_says_how_long_it_takes(
    workers: int, calls: int, quotas: list[Quota], seconds: float, limit: str
) -> None:
    expected, by = seconds_at(workers, calls, MEASURED, quotas)
    assert by == limit
    assert seconds <= expected <= seconds + 1


def test_room_is_for_files_rows_and_folders() -> None:
    need = needs(1_000, MEASURED, folders=256)
    assert need.bytes == pytest.approx(1_000 * 24_576, rel=0.05)
    assert need.inodes in range(1_256, 1_300)


def test_percentiles_are_of_what_was_measured() -> None:
    measured = Measured(latencies_s=[n / 100 for n in range(1, 101)], attempts=2.0, body_bytes=0, file_bytes=0)
    assert (measured.percentile_s(50), measured.percentile_s(95), measured.percentile_s(100)) == (0.5, 0.95, 1.0)
    assert measured.mean_s == pytest.approx(1.01)
