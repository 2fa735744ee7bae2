"""Any bytes are a list: lines in are entries and bad lines out, and nothing else ever happens."""

from __future__ import annotations

import re
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.exceptions import ListError
from crawler.items import BadLine, Entry
from crawler.sources import Shape, open_source
from crawler.sources.lines import LINE_CAP, read_blocks
from crawler.sources.table import table_records

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ["txt", "csv", "tsv", "jsonl"]

PIECES = [
    *(b"http://", b"https://", b"x", b"user:pw@", b":80", b"/a", b"?b=1", b"#", b"%7E", b"%", b"[::1]", b"${A}"),
    *(b"\n", b"\n", b"\r\n", b"\r", b"\t", b" ", b",", b'"', b'""', b',"', b"\\", b"\x00", b"\x1b", b"\xff"),
    *(b"url\n", b"id,url\n", b"id\turl\n", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xed\xa0\x80", b"\\ud800", b"1e999"),
    *(b'{"url":"http://x/', b'"}', b'{"url":"http://x/"}', b',"body":', b'{"a":1}', b',"headers":{"A":"b"}'),
    *(b',"id":1', b"[", b"]", b"{", b"}", b"null"),
]  # fmt: skip
contents = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "list"


def read(path: Path, content: bytes, kind: str | None) -> list[Entry | BadLine] | None:
    """All items; None when the list as a whole is refused. The counters are checked on the way."""
    path.write_bytes(content)
    try:
        source = open_source(str(path), Shape(format=kind))
    except ListError:
        return None
    found: list[Entry | BadLine] = []
    with closing(source):
        while batch := source.next_batch(2):
            found += batch
            assert (source.count, source.skipped) == (len(found), 0)
    return found


@settings(max_examples=500)
@given(content=contents, kind=st.sampled_from([*FORMATS, None]))
def test_every_item_of_any_list_can_be_used(path: Path, content: bytes, kind: str | None) -> None:
    found = read(path, content, kind) or []
    numbers = [item.line for item in found if item.line is not None]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == len(found)
    for item in found:
        if isinstance(item, Entry):
            assert len(item.uuid) == 16
            assert re.fullmatch(r"[\x21-\x7e]+", item.target)
        else:
            assert item.reason
            assert len(item.text) <= 1_000
            assert item.text.encode()


@settings(max_examples=500)
@given(content=contents, kind=st.sampled_from(["txt", "jsonl"]))
def test_every_line_that_counts_is_one_item(path: Path, content: bytes, kind: str) -> None:
    found = read(path, content, kind)
    if found is not None:
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        counting = [at for at, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith(b"#")]
        assert [item.line for item in found] == counting


@settings(max_examples=500)
@given(content=contents, kind=st.sampled_from(["csv", "tsv"]))
def test_every_row_without_quotes_is_one_item(path: Path, content: bytes, kind: str) -> None:
    content = content.replace(b'"', b"")
    found = read(path, content, kind)
    if found is not None:
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        counting = [at for at, line in enumerate(lines, 1) if line.strip()]
        header = [counting[0]] if counting and b"http" not in lines[counting[0] - 1].lower() else []
        assert [item.line for item in found] in (counting, counting[1:])
        assert not header or counting[0] not in [item.line for item in found]


@settings(max_examples=500)
@given(content=contents, cuts=st.lists(st.integers(0, 200)))
def test_how_the_bytes_arrive_changes_nothing(content: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(content)]
    pieces = [content[a:b] for a, b in pairwise(places) if a < b]
    for cap in (5, LINE_CAP):
        assert lines(pieces, cap) == lines([content], cap)
    assert rows(pieces) == rows([content])


def lines(chunks: list[bytes], cap: int) -> list[tuple[int, bytes]]:
    """Number and bytes of each line, as far as its cap lets tell."""
    blocks = read_blocks(chunks, cap=cap, path="")
    return [(line, raw[: cap + 1]) for first, raws in blocks for line, raw in enumerate(raws, first)]


def rows(chunks: list[bytes]) -> list[tuple[int, bytes]]:
    records = table_records(read_blocks(chunks, cap=LINE_CAP, path=""), ",")
    return [record for block in records for record in block]


@settings(max_examples=500)
@given(content=contents)
def test_every_physical_line_of_a_table_is_in_exactly_one_record(content: bytes) -> None:
    """Joined again, the records are the list without blank lines between records."""
    physical = content.split(b"\n")
    covered: set[int] = set()
    for first, raw in rows([content]):
        own = range(first, first + raw.count(b"\n") + 1)
        assert raw == b"\n".join(physical[at - 1].removesuffix(b"\r") for at in own)
        assert covered.isdisjoint(own)
        covered |= set(own)
    assert not [raw for at, raw in enumerate(physical, 1) if at not in covered and raw.strip()]


@given(content=contents, done=st.sets(st.integers(1, 20)), limit=st.integers(0, 10), kind=st.sampled_from(FORMATS))
def test_skipping_and_limits_leave_the_other_lines_as_they_are(
    path: Path, content: bytes, done: set[int], limit: int, kind: str
) -> None:
    everything = read(path, content, kind)
    if everything is None:
        return
    with closing(open_source(str(path), Shape(format=kind), skip=done.__contains__, limit=limit)) as source:
        found = [item for batch in iter(lambda: source.next_batch(1_000), []) for item in batch]
    expected = everything[:limit]
    assert found == [item for item in expected if item.line not in done]
    assert (source.count, source.skipped) == (len(expected), len(expected) - len(found))
