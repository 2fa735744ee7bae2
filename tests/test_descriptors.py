"""Open files: the soft limit is raised as far as it may be, and workers are as many as fit."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from crawler.descriptors import EACH, OWN, workers_that_fit

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_for_as_many_workers_as_there_are(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (OWN + EACH, limits[1]))
    assert workers_that_fit(20) == 20
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (OWN + 20 * EACH, limits[1])
    assert workers_that_fit(10) == 10
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (OWN + 20 * EACH, limits[1]), "never lowered"


@pytest.mark.parametrize(("limit", "expected"), [(OWN + 2 * EACH, 2), (OWN + EACH, 1), (OWN, 1), (1, 1)])
def test_workers_are_as_many_as_the_hard_limit_allows(
    monkeypatch: pytest.MonkeyPatch, limit: int, expected: int
) -> None:
    """A hard limit cannot be taken back, so here only the system's answer is made up."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (limit, limit))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, _limits: None)
    assert workers_that_fit(20) == expected
