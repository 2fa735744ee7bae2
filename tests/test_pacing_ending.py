"""How an ending is read from a response, and what it means for the host."""

from __future__ import annotations

import pytest

from crawler.pacing import Cause, Ending, Hint, read_ending

WALL_S = 1_800_000_000.0


def read(status: int, **fields: str) -> Ending:
    """The ending of a response; underscores stand for hyphens in names."""
    headers = {name.replace("_", "-").encode(): [value.encode()] for name, value in fields.items()}
    return read_ending(status, headers, wall_s=WALL_S)


def test_a_plain_answer_is_its_status() -> None:
    assert read(200, Content_Type="text/plain", Date="x") == Ending(status=200)
    assert read(404) == Ending(status=404)


@pytest.mark.parametrize("name", ["Retry_After", "retry_after"])
@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_refusal_says_how_long(status: int, name: str) -> None:
    assert read(status, **{name: "7"}) == Ending(status=status, retry_after_s=7)


def test_an_answer_is_not_asked_when_to_come_back() -> None:
    assert read(202, Retry_After="7") == Ending(status=202)
    assert read(202, Retry_After="7", X_RateLimit_Remaining="3").retry_after_s is None


def test_a_date_is_measured_against_the_servers_own() -> None:
    ending = read(429, Retry_After="Sun, 06 Nov 1994 08:49:40 GMT", Date="Sun, 06 Nov 1994 08:49:37 GMT")
    assert ending.retry_after_s == 3


def test_limits_are_read_from_every_answer() -> None:
    told = read(200, X_RateLimit_Remaining="3", X_RateLimit_Reset="9")
    assert told.hint == Hint(remaining=3, reset_s=9)
    assert read(429, RateLimit='"a";r=0;t=5').asked_s == 5


@pytest.mark.parametrize(
    ("ending", "cause", "refusal"),
    [
        (Ending(status=429), Cause.THROTTLED, True),
        (Ending(status=503), Cause.THROTTLED, False),
        (Ending(status=503, retry_after_s=1), Cause.THROTTLED, True),
        (Ending(status=403), None, False),
        (Ending(status=403, retry_after_s=1), Cause.THROTTLED, True),
        (Ending(status=403, hint=Hint(remaining=0)), Cause.THROTTLED, True),
        (Ending(status=403, hint=Hint(remaining=1)), None, False),
        (Ending(status=401, retry_after_s=1), None, False),
        (Ending(failed=Cause.NETWORK), Cause.NETWORK, False),
        (Ending(), None, False),
    ],
)
def test_what_counts_as_a_refusal(ending: Ending, cause: Cause | None, *, refusal: bool) -> None:
    assert (ending.cause, ending.is_refusal) == (cause, refusal)
