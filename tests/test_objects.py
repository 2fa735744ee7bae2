"""The lease of a prefix, bodies as objects, and a working directory: with a store in memory, no server and no clock."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("obstore", reason="pip install obstore")

from obstore.store import MemoryStore

from crawler.exceptions import ArgumentError, BodyError, OtherRunError, StoreError
from crawler.items import WHOLE, Shard
from crawler.store.bodies import Body
from crawler.store.ledger import Ledger
from crawler.store.objects.address import Mark, fit, is_address, local_name, mark_of
from crawler.store.objects.bodies import ObjectBodies, ObjectReader
from crawler.store.objects.client import AT_ONCE, Client, ConflictError
from crawler.store.objects.lease import NAME, RUNS_OUT_S, SKEW_S, Lease, Terms, confirm, read
from crawler.store.objects.packs import FRAMES_AHEAD, LINES_AHEAD, ObjectPacks, ObjectPartReader
from crawler.store.objects.prefix import Prefix
from crawler.store.objects.upkeep import Upkeep
from crawler.store.parts import FRAME_BYTES
from tests.harness import PATIENCE_S
from tests.weed import names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

URL = "s3://bucket/prefix"
UUID = "ab000000-0000-5000-8000-000000000001"
OK, ERROR = f"responses/ab/{UUID}.json", f"errors/ab/{UUID}.json"
NOW_S = 1_800_000_000.0


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(Client(URL, store=MemoryStore())) as client:
        yield client


def take(client: Client, who: str, now_s: float = NOW_S, *, known: str = "") -> Lease:
    return Lease.take(client, known=known, new=f"directory of {who}", token=f"token of {who}", who=who, now_s=now_s)


# The lease


def test_of_two_runs_one_is_refused_and_told_who_has_it_and_until_when(client: Client) -> None:
    take(client, "process 7 on one")
    with pytest.raises(OtherRunError, match=r"s3://bucket/prefix: process 7 on one, until 2027-01-15T08:01:00Z"):
        take(client, "two", NOW_S + 1)


@pytest.mark.parametrize(("later_s", "is_free"), [(RUNS_OUT_S + SKEW_S - 1, False), (RUNS_OUT_S + SKEW_S, True)])
def test_a_lease_that_nobody_renews_runs_out(client: Client, later_s: float, *, is_free: bool) -> None:
    one = take(client, "one")
    if is_free:
        two = take(client, "two", NOW_S + later_s)
        assert two.terms.killed  # there may be objects that no row names
        with pytest.raises(OtherRunError, match="two"):
            one.renew(NOW_S + later_s)
        confirm(client, two.terms.token)
    else:
        with pytest.raises(OtherRunError, match="one"):
            take(client, "two", NOW_S + later_s)


def test_a_renewed_lease_holds_longer(client: Client) -> None:
    take(client, "one").renew(NOW_S + 50)
    with pytest.raises(OtherRunError):
        take(client, "two", NOW_S + RUNS_OUT_S + SKEW_S)


def test_what_was_given_back_is_free_at_once(client: Client) -> None:
    one = take(client, "one")
    one.give_back(clean=True)
    assert not take(client, "two").terms.killed
    with pytest.raises(OtherRunError, match="two"):
        one.renew(NOW_S)


def test_what_was_given_back_by_a_run_that_was_refused_by_the_store_may_have_left_objects(client: Client) -> None:
    take(client, "one").give_back(clean=False)
    two = take(client, "two")
    two.give_back(clean=True)
    assert take(client, "three").terms.killed


def test_the_directory_that_had_it_need_not_wait_and_is_known_again(client: Client) -> None:
    one = take(client, "one")
    again = take(client, "one, again", NOW_S + 1, known=one.terms.holder)
    assert again.terms.holder == one.terms.holder
    assert again.terms.killed
    with pytest.raises(OtherRunError):
        one.renew(NOW_S + 2)


def test_a_directory_from_which_another_took_it_is_another_holder(client: Client) -> None:
    one = take(client, "one")
    one.give_back(clean=True)
    take(client, "two").give_back(clean=True)
    assert take(client, "three", known=one.terms.holder).terms.holder == "directory of three"


def test_a_put_whose_answer_was_lost_is_no_other_run(client: Client) -> None:
    one = take(client, "one")
    client.put(NAME, replace(one.terms, renewed=1).data())  # carried out, and repeated for want of an answer
    one.renew(NOW_S + 1)
    confirm(client, one.terms.token)


def test_a_lease_that_was_removed_is_lost(client: Client) -> None:
    one = take(client, "one")
    client.remove(NAME)
    with pytest.raises(OtherRunError, match="removed"):
        one.renew(NOW_S)
    with pytest.raises(OtherRunError, match="removed"):
        confirm(client, one.terms.token)


def test_what_is_no_lease_is_not_overwritten(client: Client) -> None:
    client.put(NAME, b"my own")
    with pytest.raises(StoreError, match="not what a run wrote"):
        take(client, "one")


def test_conditional_puts_refuse(client: Client) -> None:
    etag = client.put_if("a", b"1", None)
    with pytest.raises(ConflictError):
        client.put_if("a", b"2", None)
    client.put_if("a", b"3", etag)
    with pytest.raises(ConflictError):
        client.put_if("a", b"4", etag)
    assert (client.get("a") or (b"", ""))[0] == b"3"


# A list in parts


def hold(client: Client, directory: Path, part: str) -> Prefix:
    """A run's hold on its part, from a machine of its own."""
    directory.mkdir(exist_ok=True)
    shard = Shard(*map(int, part.split("/")))
    prefix = Prefix(client, directory, shard, patience_s=1)
    try:
        prefix.take(shard)
        prefix.take_others()
    except OtherRunError:
        prefix.give_back()
        raise
    return prefix


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [
        ("1/2", "2/2", None),
        ("1/2", "1/2", "part 1/2 of s3"),
        ("1/2", "3/8", "part 1/2 of s3"),
        ("1/2", "1/1", "part 1/2 of s3"),
        ("1/1", "3/8", "holds s3"),
    ],
)
def test_a_prefix_is_one_runs_or_that_of_parts_of_one_number(
    client: Client, tmp_path: Path, first: str, second: str, refusal: str | None
) -> None:
    one = hold(client, tmp_path / "a", first)
    if refusal is None:
        hold(client, tmp_path / "b", second)
        return
    with pytest.raises(OtherRunError, match=refusal):
        hold(client, tmp_path / "b", second)
    one.give_back()
    hold(client, tmp_path / "c", second)


def test_a_ledger_of_another_number_comes_with_what_its_run_may_have_left(client: Client, tmp_path: Path) -> None:
    """Of a part that was killed and whose machine is gone; whoever takes its ledger is the one to go on with it."""
    hold(client, tmp_path / "a", "1/2")
    client.put("ledger-1-of-2.sqlite", b"copied")
    killed = read(client, "lease-1-of-2.json")
    assert killed is not None
    client.put("lease-1-of-2.json", replace(killed[0], until_s=1).data())
    whole = hold(client, tmp_path / "b", "1/1")
    assert whole.others == [Shard(1, 2)]
    assert (tmp_path / "b" / "ledger-1-of-2.sqlite").read_bytes() == b"copied"
    whole.renew()
    assert [(mark_of(tmp_path / "b", shard) or Mark(url="", holder="")).killed for shard in (WHOLE, Shard(1, 2))] == [
        True,
        True,
    ]
    lease = read(client, NAME)
    assert lease is not None
    assert lease[0].killed
    whole.give_back()
    (tmp_path / "a" / "ledger-1-of-2.sqlite").write_bytes(b"of before")
    hold(client, tmp_path / "a", "1/2")
    assert (tmp_path / "a" / "ledger-1-of-2.sqlite").read_bytes() == b"copied"


# Bodies


def bodies(client: Client, *, killed: bool = False) -> ObjectBodies:
    return ObjectBodies(client, Mark(url=URL, holder="h", token="t", killed=killed), levels=1)


def test_bodies_have_the_names_of_files_and_are_there_at_the_barrier(client: Client) -> None:
    store = bodies(client)
    batch = [Body(UUID.replace("1", str(n)), n % 2 == 0, b"%d" % n) for n in range(2, 9)]
    locations = store.put(batch)()
    store.barrier()
    assert names_of(client) == set(locations)
    reader = ObjectReader(client)
    assert [reader.read(location or "") for location in locations] == [body.data for body in batch]


def test_a_successor_waits_beside_what_it_replaces_until_it_is_settled(client: Client) -> None:
    store = bodies(client)
    store.put([Body(UUID, True, b"old")])()
    assert store.put([Body(UUID, True, b"new", prior=OK)])() == [OK]
    store.barrier()
    reader = ObjectReader(client)
    assert reader.read(OK) == b"old"
    for _ in range(2):  # a killed run does it again
        store.settle(UUID, OK)
        store.barrier()
        assert reader.read(OK) == b"new"
        assert names_of(client) == {OK}


def test_an_ok_successor_of_an_error_takes_its_place(client: Client) -> None:
    store = bodies(client)
    store.put([Body(UUID, False, b"no")])()
    assert store.put([Body(UUID, True, b"yes", prior=ERROR)])() == [OK]
    store.barrier()
    store.settle(UUID, OK)
    store.barrier()
    assert names_of(client) == {OK}


@pytest.mark.parametrize("killed", [True, False])
def test_after_a_killed_run_what_it_left_under_a_name_goes_with_the_next_put(client: Client, *, killed: bool) -> None:
    client.put(ERROR, b"put, and never committed")
    store = bodies(client, killed=killed)
    store.put([Body(UUID, True, b"yes")])()
    store.barrier()
    assert names_of(client) == ({OK} if killed else {OK, ERROR})  # not asked for where no run was killed


def test_what_was_never_committed_is_withdrawn(client: Client) -> None:
    for name in (OK, ERROR, f"{OK}.new"):
        client.put(name, b"x")
    store = bodies(client)
    store.withdraw(UUID, ERROR)
    store.barrier()
    assert names_of(client) == {ERROR}


@pytest.mark.parametrize("location", [OK, "../secret", "ledger.sqlite"])
def test_a_reader_says_what_is_not_there_and_reads_nothing_else(client: Client, location: str) -> None:
    client.put("ledger.sqlite", b"x")
    with pytest.raises(BodyError):
        ObjectReader(client).read(location)


def test_many_are_read_at_once_and_come_in_order(client: Client) -> None:
    """No more are asked for than the client takes, whatever the number of records."""
    names = [OK.replace("0001.json", f"{number:04}.json") for number in range(3 * AT_ONCE)]
    for name in names[:-1]:
        client.put(name, name.encode())
    drawn = []
    read = ObjectReader(client).read_all(drawn.append(name) or name for name in names)  # type: ignore[func-returns-value]
    assert next(read) == names[0].encode()
    assert len(drawn) == AT_ONCE
    *others, last = read
    assert others == [name.encode() for name in names[1:-1]]
    assert isinstance(last, BodyError)


def test_what_was_not_begun_when_a_client_is_closed_is_not_begun(client: Client) -> None:
    """A store that is down is waited for once, not once for each request."""
    go_on = threading.Event()
    begun = [client.soon(go_on.wait, PATIENCE_S) for _ in range(AT_ONCE)]
    waits = client.soon(client.size, OK)
    closing_it = threading.Thread(target=client.close)
    closing_it.start()
    with pytest.raises(CancelledError):
        waits.result(PATIENCE_S)
    go_on.set()
    closing_it.join()
    assert all(each.result() for each in begun)


# Packs


def test_a_part_is_there_before_its_rows_and_one_without_rows_is_removed(client: Client, tmp_path: Path) -> None:
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        mark = Mark(url=URL, holder="h", token="t")
        store = ObjectPacks(client, mark, ledger)
        bodies = [Body(f"{n:08}-0000-5000-8000-000000000001", n != 3, b'{"uuid":"%d"}\n' % n) for n in range(5)]
        locations = store.put([*bodies, Body(UUID, False, None)])()
        store.barrier()
        assert locations[-1] is None
        parts = {(place or "").partition("#")[0] for place in locations[:-1]}
        assert names_of(client) == parts
        assert [name.partition("/")[0] for name in sorted(parts)] == ["errors", "responses"]
        with ledger.transaction():
            store.enter()
        reader = ObjectPartReader(client)
        assert [reader.read(place or "") for place in locations[:-1]] == [body.data for body in bodies]
        store.put(bodies)()  # and killed before the commit
        store.barrier()
        assert len(names_of(client)) == 4
        ObjectPacks(client, mark, ledger).recover()
        assert names_of(client) == parts
        assert ledger.query("SELECT name, closed FROM packs ORDER BY name") == [(name, 1) for name in sorted(parts)]


def test_a_part_that_is_begun_meanwhile_is_not_committed_with_the_one_before_it(client: Client, tmp_path: Path) -> None:
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        mark = Mark(url=URL, holder="h", token="t")
        store = ObjectPacks(client, mark, ledger)
        first, second = (store.put([Body(UUID, True, b'{"uuid":"%d"}\n' % n)]) for n in (1, 2))
        (place,) = first()
        store.barrier()
        with ledger.transaction():
            store.enter()
        part = (place or "").partition("#")[0]
        assert ledger.query("SELECT name FROM packs WHERE closed") == [(part,)]
        second()  # and killed before its commit
        ObjectPacks(client, mark, ledger).recover()
        assert names_of(client) == {part}


@pytest.mark.parametrize("cut", [0, 10])
def test_a_part_that_was_cut_is_told(client: Client, tmp_path: Path, cut: int) -> None:
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        store = ObjectPacks(client, Mark(url=URL, holder="h", token="t"), ledger)
        (place,) = store.put([Body(UUID, True, b"{}\n")])()
        store.barrier()
    assert place is not None
    part = place.partition("#")[0]
    client.put(part, (client.get(part) or (b"", ""))[0][:cut])
    with pytest.raises(BodyError, match=rf"^{URL}/{part} ends before byte"):
        ObjectPartReader(client).read(place)
    client.remove(part)
    with pytest.raises(BodyError, match="no such object"):
        ObjectPartReader(client).read(place)


def lines_of(client: Client, folder: Path, sizes: Iterable[int]) -> tuple[list[bytes], list[str]]:
    """Lines of these sizes in packs, and where they are."""
    lines = [b'{"uuid":"%d"%s}\n' % (n, b" " * size) for n, size in enumerate(sizes)]
    with closing(Ledger(folder, durable=False)) as ledger:
        store = ObjectPacks(client, Mark(url=URL, holder="h", token="t"), ledger)
        places = store.put([Body(f"{n:08}-0000-5000-8000-000000000001", True, line) for n, line in enumerate(lines)])()
        store.barrier()
    return lines, [place for place in places if place is not None]


def test_frames_are_asked_for_ahead_and_their_lines_come_in_order(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is answered before as many are asked for as may be on their way."""
    lines, places = lines_of(client, tmp_path, [FRAME_BYTES - 100, 10] * FRAMES_AHEAD)
    asked = counted_gets(client, monkeypatch, threading.Barrier(FRAMES_AHEAD, timeout=PATIENCE_S))
    assert list(ObjectPartReader(client).read_all(places)) == lines
    assert len(asked) == len(set(asked)) == FRAMES_AHEAD


def test_no_more_lines_are_looked_at_ahead_than_memory_has_room_for(client: Client, tmp_path: Path) -> None:
    lines, places = lines_of(client, tmp_path, [1] * (LINES_AHEAD + 10))
    drawn = iter(places)
    found = ObjectPartReader(client).read_all(drawn)
    assert next(found) == lines[0]
    assert next(drawn) == places[LINES_AHEAD]


def test_a_frame_that_is_gone_is_asked_for_once_whatever_the_number_of_its_lines(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, places = lines_of(client, tmp_path, [10] * 50 + [FRAME_BYTES])
    part = places[0].partition("#")[0]
    kept = client.get(part)
    assert kept is not None
    client.put(part, kept[0][:-1])  # the last frame is cut
    asked = counted_gets(client, monkeypatch)
    *whole, cut = ObjectPartReader(client).read_all(["nowhere", *places])
    assert isinstance(whole[0], BodyError)
    assert whole[1:] == lines[:-1]
    assert isinstance(cut, BodyError)
    client.remove(part)
    asked.clear()
    assert all(isinstance(found, BodyError) for found in ObjectPartReader(client).read_all(places))
    assert len(asked) == 2


def test_the_sizes_of_all_parts_come_with_their_names(client: Client, tmp_path: Path) -> None:
    _, places = lines_of(client, tmp_path, [10])
    part = places[0].partition("#")[0]
    there = client.get(part)
    assert there is not None
    assert list(ObjectPartReader(client).sizes("responses")) == [(part, len(there[0]))]
    assert list(ObjectPartReader(client).sizes("errors")) == []


def counted_gets(
    client: Client, patch: pytest.MonkeyPatch, together: threading.Barrier | None = None
) -> list[tuple[str, int, int]]:
    """The ranges that are asked for from now on. together: what each waits at."""
    asked: list[tuple[str, int, int]] = []
    get = client.get_range

    def get_range(name: str, at: int, size: int) -> bytes | None:
        asked.append((name, at, size))
        if together is not None:
            together.wait()
        return get(name, at, size)

    patch.setattr(client, "get_range", get_range)
    return asked


# Addresses and working directories


@pytest.mark.parametrize("url", ["s3://bucket", "s3://b.c-d/p/q=1", "gs://b/p", "az://b/p/", "s3://b/2026-01-01T00-00"])
def test_addresses(url: str) -> None:
    assert is_address(url)


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///p", "s3://key:secret@b/p", "s3://b/p?x=1", "s3://b/../c", "s3://b//p", "s3://b/a b", "ftp://b/p"],
)
def test_what_is_no_address(url: str) -> None:
    assert not is_address(url)


def test_a_prefix_has_a_directory_here() -> None:
    assert local_name("s3://bucket/a/b/") == "s3/bucket/a/b"
    assert is_address(f"s3://bucket/{fit('a list: é')}")


def test_a_directory_knows_its_store(tmp_path: Path) -> None:
    assert mark_of(tmp_path) is None
    mark = Mark(url=URL, holder="h", token="t", killed=True, patience_s=3)
    mark.write(tmp_path)
    assert mark_of(tmp_path) == mark


@pytest.mark.parametrize("text", ["", "[]", '{"url": "file:///etc", "holder": ""}', '{"x": 1}'])
def test_a_mark_that_no_run_wrote_leads_nowhere(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError):
        mark_of(tmp_path)


def test_azure_without_an_account_is_told_in_a_line() -> None:
    with pytest.raises(ArgumentError, match="Account must be specified"):
        Client("az://container/prefix")


def test_terms_are_read_as_they_were_written() -> None:
    terms = Terms(holder="h", token="t", who="w", until_s=1.5, renewed=3, killed=True)
    assert Terms.read(terms.data(), URL) == terms


def test_copies_of_the_ledger_are_made_one_after_the_other(client: Client, tmp_path: Path) -> None:
    """The one of the end begins when the run ends, whatever the one of every five minutes is about."""
    upkeep = Upkeep(tmp_path, client, WHOLE, hold(client, tmp_path, "1/1"), print)
    Ledger(tmp_path, durable=True).close()
    for future in [client.soon(upkeep.copy_ledger) for _ in range(20)]:
        future.result()
    assert client.fetch("ledger.sqlite", tmp_path / "copy.sqlite")
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as db:
        assert db.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_an_object_is_fetched_whole_or_not_at_all(client: Client, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as db:
        db.executescript("create table t (x); insert into t values (7)")
    client.put("copy", tmp_path / "a.sqlite")
    assert client.fetch("copy", tmp_path / "b.sqlite")
    with closing(sqlite3.connect(tmp_path / "b.sqlite")) as db:
        assert db.execute("select x from t").fetchall() == [(7,)]
    assert not client.fetch("none", tmp_path / "c.sqlite")
    assert {path.name for path in tmp_path.iterdir()} == {"a.sqlite", "b.sqlite"}
