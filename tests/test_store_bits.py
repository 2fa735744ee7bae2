"""Sets that take bits: exact ones of numbers, and of names those that never miss one."""

from __future__ import annotations

from uuid import NAMESPACE_URL

from hypothesis import given
from hypothesis import strategies as st

from crawler.items import uuid5_bytes
from crawler.store import bits as room
from crawler.store.bits import Bits, Names


@given(st.sets(st.integers(min_value=0, max_value=200_000), max_size=50), st.integers(min_value=0, max_value=200_000))
def test_a_number_is_in_the_set_if_it_was_added(numbers: set[int], other: int) -> None:
    found = Bits()
    for number in numbers:
        found.add(number)
    assert all(number in found for number in numbers)
    assert (other in found) is (other in numbers)


@given(
    st.lists(st.integers(min_value=0, max_value=3000), max_size=50)
    | st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda ends: [*range(ends[0], ends[1])]),
    st.lists(st.integers(min_value=0, max_value=3000), max_size=50),
)
def test_many_numbers_are_added_as_one_by_one(numbers: list[int], before: list[int]) -> None:
    """Consecutive ones, too, which are set by whole bytes."""
    found = Bits()
    for number in before:
        found.add(number)
    found.update(numbers)
    assert [number for number in range(3010) if number in found] == sorted({*numbers, *before})


def names(count: int, kind: str) -> list[bytes]:
    return [uuid5_bytes(f"{NAMESPACE_URL}/{kind}/{number}") for number in range(count)]


def test_a_name_that_was_added_is_never_new_again() -> None:
    """Over three filters, of which each is four times the one before."""
    known, added = Names(), names(400_000, "added")
    for name in added:
        known.add(name)
    assert not any(known.add(name) for name in added)


def test_few_names_are_taken_for_others() -> None:
    """One in 200 for a full filter; twice that for two."""
    known, count = Names(), 2 * room._FIRST_NAMES
    wrong = sum(not known.add(name) for name in names(count, "once"))
    assert 0 < wrong < count / 100
