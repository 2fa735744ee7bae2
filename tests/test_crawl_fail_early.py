"""A run that begins with failures of one kind alone: when it stops, and when it does not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from crawler.accounting import Beginning
from crawler.items import Outcome, Record
from tests.audit import audit, outcomes
from tests.scripted import OK, Says, Scripted

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

MOST = 20


def record(outcome: Outcome, status: int | None = None, host: str = "a") -> Record:
    made = Record(outcome=outcome, status=status)
    made.host = host
    return made


FAILED = (Outcome.HTTP_ERROR, 404)
ALIKE = {
    "failures of one status": ([FAILED] * 3, True),
    "too few": ([FAILED] * 2, False),
    "one that is ok": ([FAILED, (Outcome.OK, 200), FAILED, FAILED], False),
    "two statuses": ([FAILED, (Outcome.HTTP_ERROR, 500), FAILED, FAILED], False),
    "one without an answer": ([FAILED, (Outcome.RESET, None), FAILED, FAILED], False),
    "none has an answer": ([(Outcome.DNS, None)] * 5, False),
    "what is no call does not count": ([FAILED, (Outcome.INVALID, None), (Outcome.DUPLICATE, None), FAILED], False),
    "rejected ones": ([(Outcome.REJECTED, 200)] * 3, True),
    "the same status for two reasons": (
        [(Outcome.REJECTED, 200), (Outcome.DECODE, 200), (Outcome.REJECTED, 200)],
        False,
    ),
}


@pytest.mark.parametrize(("kinds", "is_alike"), ALIKE.values(), ids=ALIKE)
def test_a_beginning_is_alike(kinds: list[tuple[Outcome, int | None]], is_alike: bool) -> None:
    beginning = Beginning(3)
    for outcome, status in kinds:
        beginning.add(record(outcome, status))
    assert beginning.is_alike is is_alike


def test_failures_of_two_hosts_are_not_alike() -> None:
    """A list of many sites may well begin with some that have not got the page."""
    beginning = Beginning(3)
    for host in "abab":
        beginning.add(record(*FAILED, host=host))
    assert beginning.is_mixed


@pytest.mark.parametrize(
    ("path", "code"), [("missing/{}?size=3000", 75), pytest.param("status/401?n={}", 6, marks=pytest.mark.check)]
)
def test_a_run_that_begins_with_failures_alone_stops_and_shows_one(
    api: ApiServer, crawl: Crawl, path: str, code: int
) -> None:
    """Those that failed are recorded, the rest is left; the body is shortened, and holds no secret."""
    urls = [api.url("/" + path.format(f"{n}-s3same-sesame")) for n in range(300)]
    result = crawl(urls, workers=5, settings={"APIFETCH_FAIL_EARLY": MOST})
    summary = audit(result, code)
    assert summary["stop_reason"] == "fail_early"
    assert MOST <= outcomes(result)["http_error"] <= MOST + 4 * 5  # those on their way
    assert f"The first {MOST} calls have all failed alike: http_error (HTTP status 40" in result.stderr
    (shown,) = (line for line in result.stderr.splitlines() if "The answer to the first of them, line" in line)
    assert '"status": 40' in shown
    assert len(shown) < 700
    again = crawl("items.txt", settings={"APIFETCH_FAIL_EARLY": 0})
    audit(again, 8)
    assert again.summary["equation"]["left"] == 0


def test_a_list_that_is_over_or_has_ok_lines_ends_as_ever(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url(f"/missing/{n}") for n in range(MOST)]
    result = crawl(urls, workers=5, settings={"APIFETCH_FAIL_EARLY": MOST})
    assert audit(result, 8)["stop_reason"] is None
    # with an ok line in the ledger, failures may begin a further run
    (crawl.cwd / "items.txt").write_text("\n".join([*urls, api.url("/items/1")]))
    audit(crawl("items.txt"), 8)
    result = crawl("items.txt", redo="404", workers=5, settings={"APIFETCH_FAIL_EARLY": 5})
    assert audit(result, 8)["stop_reason"] is None
    assert outcomes(result) == Counter(ok=1, http_error=MOST)


@pytest.mark.check
def test_a_redo_that_begins_with_failures_alone_stops_and_what_was_ok_stands(crawl: Crawl) -> None:
    is_gone = False
    with Scripted(lambda _: Says(404) if is_gone else OK) as server:
        urls = [server.url(f"/{n}") for n in range(400)]
        audit(crawl(urls), 0)
        is_gone = True
        result = crawl("items.txt", redo="all", workers=5, settings={"APIFETCH_FAIL_EARLY": MOST})
        assert len(server.heard) <= 400 + MOST + 4 * 5
    assert audit(result, 75)["stop_reason"] == "fail_early"
    assert outcomes(result) == Counter(ok=400)
