"""What the bar says, for windows of every width. tests/test_crawl_progress.py sees it in a real terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.bar.lines import lines_of
from crawler.meter import BOUNDS_MS, Limit, Progress, Verdict
from crawler.meter.bottleneck import Measured, sentence
from crawler.meter.progress import IN_A_LOG, as_json, from_json, in_a_log, last_told

AT = Progress(
    name="items", ok=31_204, failed=312, total=50_000, is_estimate=False, calls=31_600, calls_per_s=91.2,
    bytes=640_000_000, bytes_per_s=1.9e6, latency={160: 290, 200: 400, 400: 106, 500: 200, 630: 4}, in_flight=20,
    limit=20, retries=41, resting=3, left_s=250,
    why=Verdict(
        limit=Limit.LATENCY, share=1.0,
        sentence=sentence(Limit.LATENCY, Measured(ceiling=20, calls_per_s=91.2, p50_ms=181)),
    ),
)  # fmt: skip


def shown(at: Progress, columns: int = 80, *, ascii_only: bool = False) -> list[str]:
    return [text.plain.rstrip() for text in lines_of(at, columns, ascii_only=ascii_only)]


def test_the_picture_in_the_documentation_is_a_bar() -> None:
    page = Path(__file__).parent.parent / "docs/progress.md"
    assert "\n".join(shown(AT)) in page.read_text("utf-8")


@pytest.mark.parametrize("at", [AT, replace(AT, total=None, left_s=None), Progress(name="n" * 300)])
@pytest.mark.parametrize("columns", [22, 40, 60, 80, 120, 200, 500])
def test_no_line_is_as_wide_as_the_window(at: Progress, columns: int) -> None:
    """A character in the last column would wrap. Everything is said at every width."""
    lines = shown(at, columns)
    assert max(map(len, lines[1:])) < max(columns, 30)
    said = " ".join(lines)
    assert f"{at.ok:,} ok" in said
    assert f"{at.failed:,} failed" in said
    assert "calls/s" in said
    if columns >= 40:
        assert len(lines[0]) < columns


@pytest.mark.parametrize("at", [AT, Progress(name="n"), replace(AT, latency=Counter(AT.latency))])
def test_another_process_is_told_the_same(at: Progress) -> None:
    assert from_json(as_json(at)) == at


def test_what_is_told_fits_into_a_pipe() -> None:
    latency = dict.fromkeys(BOUNDS_MS, 1_000_000)
    assert (
        len(as_json(replace(AT, name="\U0001f40d" * 300, latency=latency))) < 4096
    )  # PIPE_BUF of Linux: whole, or not at all


@pytest.mark.parametrize(
    "log",
    [
        f"12:00 INFO: {in_a_log(replace(AT, ok=1))}\n12:01 INFO: {in_a_log(AT)}\n12:02 INFO: more\n",
        f"00 INFO: {in_a_log(AT)}\n{IN_A_LOG}of the API's\n{IN_A_LOG}{{}}\n{IN_A_LOG}[1]\n{IN_A_LOG}1\n",
        f"{in_a_log(AT)}\n{in_a_log(replace(AT, ok=1))}",  # whose end is still to come
    ],
)
def test_the_last_that_a_log_tells(log: str) -> None:
    assert last_told(log) == AT
    assert last_told("12:02 INFO: nothing\n") is None


def test_the_strip_shows_even_one_failure() -> None:
    (headline, *_) = lines_of(replace(AT, ok=1_000_000, failed=1, total=1_000_001), 80)
    strip = [
        (str(span.style), headline.plain[span.start : span.end]) for span in headline.spans if "━" in headline.plain[
            span.start : span.end
        ]
    ]  # fmt: skip
    assert [style for style, _ in strip] == ["green", "red"]
    assert strip[1][1] == "━"
    assert " 99 % ok" in headline.plain


def test_without_a_total_it_counts_up() -> None:
    lines = shown(replace(AT, total=None, left_s=None))
    assert lines[0].startswith("items  31,516 done")
    assert "%" not in lines[0]
    assert "length of the list unknown" in lines[1]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert all(line.isascii() for line in shown(AT, ascii_only=True))


def test_while_it_stops_it_says_what_it_waits_for() -> None:
    lines = shown(replace(AT, is_stopping=True, in_flight=1))
    assert lines[0].endswith("stopping")
    assert lines[-1] == "Stopping: 1 call on the way may still end"
