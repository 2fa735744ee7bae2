"""How long a list is, as far as that can be told without reading it twice."""

from __future__ import annotations


def length(
    *, read: int, is_read: bool, estimate: int | None, former: int | None, limit: int | None
) -> tuple[int | None, bool]:
    """Give the number of lines, None when nobody knows, and whether it is an estimate.

    read: lines so far; is_read: whether those are all. estimate: from the part of the file that they are. former: of
    the same list in an earlier run, read to its end. limit: the most that are wanted.
    """
    if is_read:
        return read, False
    if former is not None:
        return (former if limit is None else min(former, limit)), False
    if limit is not None and (estimate is None or estimate >= limit):
        return limit, True
    return (None if estimate is None else max(estimate, read)), True
