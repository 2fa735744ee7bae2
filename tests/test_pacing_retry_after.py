"""What Retry-After asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import retry_after_s
from crawler.pacing.retry_after import LONGEST_S, http_date_s

NOW_S = datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("values", "asked_s"),
    [
        ([b"120"], 120),
        ([b"0"], 0),
        ([b"007"], 7),
        ([b" \t120 "], 120),
        ([b"1.5"], 2),  # later is safe
        ([b"0.0"], 0),
        ([b"31622400"], LONGEST_S),
        ([b"5", b"60", b"10"], 60),
        ([b"junk", b"5"], 5),
        ([b"5, 10"], 10),  # one header made of two
        ([b"Sun, 22 Nov 2026 15:05:05 GMT"], 60),
        ([b"Sun, 22 Nov 2026 15:05:05 GMT", b"30"], 60),
        ([b"sun, 22 nov 2026 15:05:05 gmt"], 60),
        ([b"Sunday, 22-Nov-26 15:05:05 GMT"], 60),
        ([b"Sun Nov 22 15:05:05 2026"], 60),
        ([b"Mon Dec  7 15:04:05 2026"], 15 * 86_400),
        ([b"Mon, 22 Nov 2026 15:05:05 GMT"], 60),  # the weekday is wrong, the date is what counts
        ([b"Sun, 22 Nov 2026 15:04:60 GMT"], 55),  # a leap second
        ([b"Sun, 06 Nov 1994 08:49:37 GMT"], 0),  # over
        ([b"Sunday, 06-Nov-94 08:49:37 GMT"], 0),
        ([str(int(NOW_S) + 90).encode()], 90),  # seconds since 1970, by mistake
        ([], None),
        ([b""], None),
        ([b"-1"], None),
        ([b"+5"], None),
        ([b"1e3"], None),
        ([b"0x10"], None),
        ([b"soon"], None),
        ([b"5, soon"], None),
        ([b"5,"], None),
        ([b"1000000000"], None),
        ([b"31622401"], None),
        ([b"9" * 400], None),
        ([b"9" * 100_000], None),
        (["٣".encode()], None),  # another script's digits
        ([b"\xff\xfe"], None),
        ([b"Fri, 31 Dec 9999 23:59:59 GMT"], None),
        ([b"Sun, 31 Feb 2027 00:00:00 GMT"], None),
        ([b"Sun, 22 Nov 2026 25:00:00 GMT"], None),
        ([b"Sun, 22 Nov 2026 15:04:61 GMT"], None),
        ([b"Sun, 22 Xyz 2026 15:05:05 GMT"], None),
        ([b"Sun, 22 Nov 2026 15:05:05 +0100"], None),
        ([b"2026-11-22T15:05:05Z"], None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dated", [True, False])
def test_it_is_read_or_left(values: list[bytes], asked_s: float | None, dated: bool) -> None:
    date = b"Sun, 22 Nov 2026 15:04:05 GMT" if dated else None
    assert retry_after_s(values, date=date, wall_s=NOW_S) == asked_s


def test_a_time_is_measured_on_the_clock_that_set_it() -> None:
    """The server's clock is a day behind ours, or ahead: 60 seconds are 60 seconds."""
    for day in (b"21", b"23"):
        date, until = (b"Sun, %b Nov 2026 %b GMT" % (day, time) for time in (b"15:04:05", b"15:05:05"))
        assert retry_after_s([until], date=date, wall_s=NOW_S) == 60


def test_a_date_that_cannot_be_read_leaves_our_clock() -> None:
    assert retry_after_s([b"Sun, 22 Nov 2026 15:05:05 GMT"], date=b"today", wall_s=NOW_S - 0.5) == 61


@given(st.lists(st.binary() | st.from_regex(rb"[0-9]+|[A-Za-z]{3}, .*")), st.none() | st.binary(), st.floats(0, 1e18))
def test_no_bytes_raise(values: list[bytes], date: bytes | None, wall_s: float) -> None:
    asked_s = retry_after_s(values, date=date, wall_s=wall_s)
    assert asked_s is None or 0 <= asked_s <= LONGEST_S


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001  # hypothesis wants them without
def test_every_date_is_read_in_all_three_forms(when: datetime) -> None:
    when = when.replace(microsecond=0, tzinfo=UTC)
    wall_s = when.timestamp()
    forms = [
        format_datetime(when, usegmt=True),
        f"{when:%A, %d-%b-%y %H:%M:%S} GMT",
        f"{when:%a %b} {when.day:2} {when:%H:%M:%S %Y}",
    ]
    assert [http_date_s(form.encode(), wall_s=wall_s) for form in forms] == [wall_s] * 3


@pytest.mark.parametrize(
    ("year", "two", "meant"), [(2026, 76, 2076), (2026, 77, 1977), (2026, 0, 2000), (2099, 0, 2100), (2099, 60, 2060)]
)
def test_two_digits_mean_the_past_when_they_would_be_50_years_ahead(year: int, two: int, meant: int) -> None:
    now = datetime(year, 11, 22, tzinfo=UTC)
    at_s = http_date_s(b"Sunday, 06-Nov-%02d 08:49:37 GMT" % two, wall_s=now.timestamp())
    assert at_s is not None
    assert (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s)).year == meant
