"""Bodies in memory: beyond the budget transfers pause, one goes on, and the time is not held against them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from crawler.wire.curl import flow as room
from tests.proofs.large_bodies import measure

pycurl = pytest.importorskip("pycurl")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import ApiServer

BUDGET = 1000
PIECE = 100


class Wire:
    """What a transfer and its handle are to the flow. told: options and pauses, as libcurl would hear them."""

    def __init__(self, flow: room.Flow) -> None:
        self.flow = flow
        self.size = 0
        self.timeout_ms = 30_000
        self.handle = self
        self.told: list[tuple[int, int]] = []

    def setopt(self, option: int, value: int) -> None:
        self.told.append((option, value))

    def pause(self, mask: int) -> None:
        self.told.append((0, mask))

    def receive(self) -> bool:
        """One more piece of a body, whose first one has come."""
        transfer: Any = self
        if not self.flow.may_go_on(transfer):
            return False
        self.size += PIECE
        self.flow.held_bytes += PIECE
        return True

    def fill(self) -> int:
        """As many pieces as it may, at most 50."""
        return next((count for count in range(50) if not self.receive()), 50)


class Disk:
    queued = 0

    def __call__(self) -> int:
        return self.queued


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def flow(disk: Disk) -> Iterator[room.Flow]:
    flow = room.Flow(BUDGET, disk)
    yield flow
    flow.close()


def paused(flow: room.Flow, *wires: Wire) -> list[bool]:
    transfers: tuple[Any, ...] = wires
    return [flow.is_paused(transfer) for transfer in transfers]


async def turn(flow: room.Flow) -> None:
    await asyncio.sleep(0)
    flow._look()


def test_beyond_the_budget_one_goes_on_and_the_others_pause(flow: room.Flow) -> None:
    async def scene() -> None:
        first, second, third = Wire(flow), Wire(flow), Wire(flow)
        assert first.fill() == 50, "the one that always ends"
        assert (second.fill(), third.fill()) == (0, 0)
        await turn(flow)
        assert paused(flow, first, second, third) == [False, True, True]
        flow.leave(first)  # type: ignore[arg-type]
        assert flow.held_bytes == 0
        await turn(flow)
        assert paused(flow, second, third) == [False, False]
        assert second.fill() == 50

    asyncio.run(scene())


def test_what_waits_for_the_disk_is_waited_for(flow: room.Flow, disk: Disk) -> None:
    """It makes room by itself, so nobody need go on without any."""

    async def scene() -> None:
        disk.queued = BUDGET
        wire = Wire(flow)
        assert wire.fill() == 0
        await turn(flow)
        assert paused(flow, wire) == [True]
        disk.queued = 0
        await turn(flow)
        assert paused(flow, wire) == [False]

    asyncio.run(scene())


def test_the_time_of_a_pause_is_added_to_the_timeout(flow: room.Flow) -> None:
    async def scene() -> None:
        first, second = Wire(flow), Wire(flow)
        first.fill()
        assert not second.receive()
        await asyncio.sleep(0)
        assert second.told == [(pycurl.TIMEOUT_MS, 0)]
        flow._paused[second] -= 7.5  # type: ignore[index]  # as if it had begun earlier
        flow.leave(first)  # type: ignore[arg-type]
        await turn(flow)
        assert second.timeout_ms >= 37_500
        assert second.told[1:] == [(pycurl.TIMEOUT_MS, second.timeout_ms), (0, pycurl.PAUSE_CONT)]

    asyncio.run(scene())


def test_a_transfer_that_ends_while_it_pauses_is_forgotten(flow: room.Flow) -> None:
    async def scene() -> None:
        first, second = Wire(flow), Wire(flow)
        first.fill()
        assert not second.receive()
        flow.leave(second)  # type: ignore[arg-type]
        flow.leave(first)  # type: ignore[arg-type]
        await turn(flow)
        assert second.told == []
        assert flow.held_bytes == 0

    asyncio.run(scene())


def test_many_large_bodies_need_no_more_than_the_budget(api: ApiServer, tmp_path: Path) -> None:
    """40 bodies of 4 MB at once, with 16 MiB for them: two bodies more, and 25 MB of what an allocator keeps."""
    how = {"workers": 40, "budget": "16MiB"}
    small = measure(api, tmp_path / "small", bodies=40, size=1000, **how)  # type: ignore[arg-type]
    large = measure(api, tmp_path / "large", bodies=40, size=4_000_000, **how)  # type: ignore[arg-type]
    assert large.engine - small.engine < 16 * 2**20 + 2 * 4_000_000 + 25_000_000
    assert large.writer - small.writer < 16 * 2**20 + 4 * 4_000_000 + 25_000_000
