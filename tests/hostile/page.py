"""docs/hostile.md, made of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.hostile.stock import STOCK, can_try
from tests.hostile.table import BEHAVIOURS, GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.hostile.behaviour import Behaviour

INTRO: Final = """\
# What a hostile server can do, and what becomes of it

A server that misbehaves costs the calls that it answers, and nothing else: each call ends in time, as one
record with one outcome, and the run goes on. Nothing is `ok` unless the whole body came, as far as HTTP can
tell. The {count} behaviours below are served by `tests/hostile`, and every one is held against a real crawl by
`tests/test_hostile.py` (and over TLS, and with Scrapy's own handler, by `make check`); this page is made of
the same table.

What HTTP cannot tell, no client can: a body without a length on a plain connection that is closed too early
and cleanly; a response that was sent unasked and arrives just after the next request on the same connection;
a changed byte that still decodes, in the codings without a checksum (so gzip alone is asked for).

Scrapy's own handler, which serves where libcurl cannot be had, is less strict: the last column says where
it ends otherwise. An `ok` there is a response that it believes and should not; `-`: it is not tried, because
it speaks no HTTP/2, reads without a limit, or ends now so, now so.
"""


def hostile_page() -> str:
    parts = [INTRO.format(count=len(BEHAVIOURS))]
    for title, behaviours in GROUPS.items():
        parts += [f"\n## {title}\n\n", *_table(behaviours)]
    return "".join(parts)


def _table(behaviours: Iterable[Behaviour]) -> Iterable[str]:
    yield "| name | what the server does | outcome | Scrapy's own handler |\n|---|---|---|---|\n"
    for behaviour in behaviours:
        status = f" {behaviour.status}" if behaviour.status not in {None, 200} else ""
        todo = f" (not yet: {behaviour.todo})" if behaviour.todo else ""
        stock = f"`{STOCK[behaviour.name]}`" if behaviour.name in STOCK else "" if can_try(behaviour) else "-"
        note = behaviour.note.replace("|", "\\|")
        yield f"| `{behaviour.name}` | {note} | `{behaviour.outcome}`{status}{todo} | {stock} |\n"
