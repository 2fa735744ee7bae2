"""What a response says about its limits, in every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import Hint, read_hint
from crawler.pacing.fields import members
from crawler.pacing.retry_after import LONGEST_S

NOW_S = 1_795_359_845.0
DATE = (b"Date", b"Sun, 22 Nov 2026 15:04:05 GMT")

NEW = [
    ('RateLimit: "default";r=50;t=30', Hint(remaining=50, reset_s=30)),
    ('RateLimit: "default" ; r=50 ; t=30', Hint(remaining=50, reset_s=30)),
    ('RateLimit: "default";r=0', Hint(remaining=0)),
    ("RateLimit: default;r=5;t=3", Hint(remaining=5, reset_s=3)),
    ('RateLimit-Policy: "default";q=100;w=60', Hint(limit=100, window_s=60)),
    (
        'RateLimit: "default";r=50;t=30\nRateLimit-Policy: "default";q=100;w=60',
        Hint(limit=100, remaining=50, window_s=60, reset_s=30),
    ),
    (
        'RateLimit: "burst";r=90;t=5, "daily";r=3;t=4000\nRateLimit-Policy: "burst";q=100;w=60,"daily";q=1000;w=86400',
        Hint(limit=1000, remaining=3, window_s=86_400, reset_s=4_000),
    ),
    ('RateLimit: "a;r=1,";r=7;t=2', Hint(remaining=7, reset_s=2)),
    ('RateLimit: "a\\"b";r=7;t=2', Hint(remaining=7, reset_s=2)),
    ('RateLimit: "a";r=7;t=2;pk=:cGs=:', Hint(remaining=7, reset_s=2)),
    ('RateLimit: "a";r=0;t=9\nRateLimit-Policy: "a";q=9;w=9;qu="content-bytes"', None),
    ('RateLimit-Policy: "a";q=10;w=1, "b";q=100;w=60', Hint(limit=100, window_s=60)),  # 1.7 a second, not 10
]
MIDDLE = [
    ("RateLimit: limit=100, remaining=50, reset=5", Hint(limit=100, remaining=50, reset_s=5)),
    ("RateLimit: limit=100,remaining=0,reset=5\nRateLimit-Policy: 100;w=10", Hint(limit=100, remaining=0, reset_s=5)),
    ("RateLimit-Policy: 100;w=60", Hint(limit=100, window_s=60)),
]
OLD = [
    (
        "RateLimit-Limit: 100\nRateLimit-Remaining: 50\nRateLimit-Reset: 5",
        Hint(limit=100, remaining=50, reset_s=5),
    ),
    ("RateLimit-Limit: 10, 10;w=1, 50;w=60\nRateLimit-Remaining: 9", Hint(limit=10, remaining=9)),
    ("RateLimit-Limit: 10, 10;w=1, 50;w=60", Hint(limit=50, window_s=60)),
]
NAMED = [
    (
        "X-RateLimit-Limit: 5000\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795359905",  # GitHub
        Hint(limit=5_000, remaining=0, reset_s=60),
    ),
    ("x-rate-limit-remaining: 0\nx-rate-limit-reset: 1795359905", Hint(remaining=0, reset_s=60)),  # Twitter
    ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", Hint(remaining=0, reset_s=30)),
    ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795359905000", Hint(remaining=0, reset_s=60)),
    ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795359905.25", Hint(remaining=0, reset_s=61)),
    ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795359000", Hint(remaining=0, reset_s=0)),
    ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset-Ms: 1500", Hint(remaining=0, reset_s=2)),
    ("X-RateLimit-Reset: 1795359905\nX-RateLimit-Reset-After: 0.5", Hint(reset_s=1)),  # Discord
    ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: Sun, 22 Nov 2026 15:05:05 GMT", Hint(remaining=0, reset_s=60)),
    ("X-RateLimit-Remaining-Requests: 0\nX-RateLimit-Reset-Requests: 6m0s", Hint(remaining=0, reset_s=360)),  # OpenAI
    ("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 20ms", Hint(remaining=0, reset_s=1)),
    (
        "X-RateLimit-Remaining-Minute: 59\nX-RateLimit-Remaining-Day: 2\nX-RateLimit-Limit-Day: 9",
        Hint(limit=9, remaining=2, window_s=86_400),
    ),  # Kong
    ("X-RateLimit-Remaining: 12.7", Hint(remaining=12)),
    ("X-RateLimit-Remaining: 5\nX-RateLimit-Remaining: 3", Hint(remaining=3)),
]  # fmt: skip
UNREADABLE = [
    "", "RateLimit: ", "RateLimit: ;;;,,,", 'RateLimit: "', 'RateLimit: "a";r=-1;t=x', "X-RateLimit-Remaining: -1",
    "X-RateLimit-Reset: 99999999999999999999", "X-RateLimit-Reset: 500000000", "X-RateLimit-Reset: s",
    "X-RateLimit-Remaining: unlimited", "X-RateLimit-Resource: core", "Rate: 5", "X-RateLimit-Limit-Tokens: 9",
]  # fmt: skip


@pytest.mark.parametrize(("text", "hint"), [*NEW, *MIDDLE, *OLD, *NAMED, *((text, None) for text in UNREADABLE)])
def test_every_dialect_is_read(text: str, hint: Hint | None) -> None:
    headers = [tuple(line.encode().split(b": ", 1)) for line in text.splitlines()]
    assert read_hint([*headers, DATE], wall_s=0.0) == hint  # type: ignore[list-item]


def test_without_a_date_a_time_is_measured_on_our_clock() -> None:
    assert read_hint([(b"x-ratelimit-reset", b"1795359905")], wall_s=NOW_S + 0.5) == Hint(reset_s=60)


def test_no_speed_is_made_of_what_remains() -> None:
    hint = read_hint([(b"RateLimit", b'"a";r=50;t=30')], wall_s=NOW_S)
    assert hint is not None
    assert (hint.limit, hint.window_s) == (None, None)


NAMES = st.sampled_from(
    [b"RateLimit", b"RateLimit-Policy", b"RateLimit-Limit", b"X-RateLimit-Reset", b"x-rate-limit-limit-day", b"Date"]
) | st.binary()  # fmt: skip
VALUES = st.binary() | st.from_regex(rb'[a"\\;,=0-9rtqw. msh:-]*', fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES)), st.floats(0, 1e12))
def test_no_bytes_raise(headers: list[tuple[bytes, bytes]], wall_s: float) -> None:
    hint = read_hint(headers, wall_s=wall_s)
    if hint is not None:
        assert all(value is None or value >= 0 for value in (hint.limit, hint.remaining, hint.window_s))
        assert hint.reset_s is None or 0 <= hint.reset_s <= LONGEST_S


@pytest.mark.timeout(5)
def test_quotes_that_never_close_take_no_time() -> None:
    for text in (b'"' * 1_000, b'"\\' * 500, b'a"' * 500, b";" * 1_000, b'"a";r=1,' * 1_000_000):
        members(text)
