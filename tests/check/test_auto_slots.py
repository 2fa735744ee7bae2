"""The proof of `workers=auto` against a server of its own process, small: the long one is tests/proofs/auto.py."""

from __future__ import annotations

import pytest

from tests.proofs.auto import LONG, Case, measure

pytestmark = pytest.mark.check


def test_most_of_the_slots_are_used_and_calls_do_not_queue() -> None:
    """So few that a machine which is busy with other tests makes a hundred calls a second all the same."""
    found = measure(Case(10, 0.1), seconds=12)
    assert found.share >= 0.75  # the start is a larger part than of the 30 s in the proof
    assert found.waited <= LONG
