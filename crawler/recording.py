"""The way of records to the disk: handed in, made durable by the writer, acknowledged.

Owns the writer and who waits for it. What a record means for the run is its listeners' business.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from crawler.exceptions import StoreError
from crawler.items import NOT_A_CALL
from crawler.store.writer import Orders, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.exceptions import ApiFetchError
    from crawler.items import Record, Ticket
    from crawler.store.place import Place


class Recording:
    """The writer of an open run. All methods belong to the event loop's thread.

    error: why the disk refused; nothing is taken from then on. no_calls: records of lines that never become a
    call, which are still to be handed in.
    """

    def __init__(
        self,
        place: Place,
        orders: Orders,
        *,
        hide: Callable[[Record], None],
        acknowledged: Callable[[Record], None],
        on_disk_error: Callable[[ApiFetchError], None],
    ) -> None:
        """Start the writer. hide: takes out of a record what nobody may read; acknowledged: told of what is durable."""
        self.error: ApiFetchError | None = None
        self._on_disk_error = on_disk_error
        self._hide = hide
        self._list_id = orders.list_id
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self._uncommitted: set[asyncio.Event] = set()
        self.no_calls: dict[tuple[str | int | None, ...], Record] = {}
        self.waiting_bytes = 0
        """Of bodies that have arrived and wait for something before they are handed in: to be decoded."""
        self.overhear: Callable[[Record], None] | None = None
        """Told of each record when it is handed in: for who cannot wait until it is durable, as all others should."""
        self._listeners: list[tuple[Callable[[Record], None], Callable[[], None]]] = []
        self.listen(acknowledged)
        self._writer = Writer(
            place, orders, asyncio.get_running_loop(), acknowledged=self._acknowledge, ended=self._end
        )

    # What is handed in

    def expect(self, record: Record) -> Record:
        """Remember a record that no call will bring, until it is handed in."""
        self.no_calls[record.source, record.line, record.uuid, record.parent] = record
        return record

    async def put(self, record: Record) -> None:
        """Hand a record in; returns when there is room for more. Raises StoreError once the disk refused."""
        self.put_nowait(record)
        if self._writer.full:
            await self.room()

    def put_nowait(self, record: Record) -> None:
        """The same for a caller that cannot wait."""
        self._hide(record)
        self._writer.put(record)
        if self.overhear is not None:
            self.overhear(record)
        if record.outcome in NOT_A_CALL:
            self.no_calls.pop((record.source, record.line, record.uuid, record.parent), None)
        elif record.ticket is not None:
            record.ticket.recorded = True

    @property
    def has_room(self) -> bool:
        """Whether a record can be handed in now."""
        return self.error is None and not self._writer.full

    def queued_bytes(self) -> int:
        """Bytes that have arrived and are not on disk yet, those of downloads that run left out."""
        return self._writer.queued_bytes + self.waiting_bytes

    @property
    def queued_records(self) -> int:
        """How many are handed in and not on disk yet, notes included."""
        return self._writer.queued

    async def room(self) -> None:
        """Wait until the writer has caught up."""
        while self._writer.full and self.error is None:
            self._room.clear()
            await self._room.wait()

    async def sent(self, ticket: Ticket) -> None:
        """Return when it is on disk that this call, which may not be repeated, is about to go out."""
        ticket.is_noted = True
        list_id = self._list_id if ticket.entry.line is not None else None
        await self._committed(partial(self._writer.sent, ticket, list_id=list_id))
        if self.error is not None:
            raise self.error

    def unsent(self, ticket: Ticket) -> None:
        """Take that back: it was refused, or may be repeated, and is still to be made."""
        ticket.is_noted = False
        with suppress(StoreError):
            self._writer.sent(ticket, list_id=None, again=True)

    async def _committed(self, hand_in: Callable[..., None]) -> None:
        """Return when this, and all that was handed in before it, is on disk or was refused."""
        written = asyncio.Event()
        self._uncommitted.add(written)
        hand_in(done=written.set)
        await written.wait()
        self._uncommitted.discard(written)

    def second(self, *values: object) -> None:
        """Write down a second of the timeline: the columns of its table, in order."""
        self._writer.second(values)

    def about(self, name: str, value: str) -> None:
        """Have a value of the run's own in the ledger."""
        self._writer.about(name, value)

    def moved(self, rows: list[tuple[int, int | None, int]]) -> None:
        """Write down under which lines of the present list rows were seen."""
        self._writer.moved(rows)

    async def finish(self, moved: list[tuple[int, int | None, int]], *, notes: Callable[[], None]) -> None:
        """Make everything handed in durable and end the writer; what the disk refuses then is in `error`."""
        with suppress(StoreError):  # from a writer that ended a moment ago; `_end` will say why
            notes()
            await self._committed(partial(self._writer.moved, moved))
            for _, at_end in self._listeners:
                at_end()
        self._writer.finish()
        await self._ended.wait()

    def listen(self, listener: Callable[[Record], None], *, at_end: Callable[[], None] = lambda: None) -> None:
        """Call *listener* with every record once it is durable; at_end: after the last, while notes are still taken."""
        self._listeners.append((listener, at_end))

    # The writer's word, in the loop's thread

    def _acknowledge(self, records: Sequence[Record]) -> None:
        for record in records:
            for listener, _ in self._listeners:
                listener(record)
        self._room.set()

    def _end(self, error: ApiFetchError | None) -> None:
        self.error = error
        for waiting in (self._room, self._ended, *self._uncommitted):
            waiting.set()
        if error is not None:
            self._on_disk_error(error)
