"""Lists in Parquet: columns pass through with their types, row groups come one at a time."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crawler.exceptions import ListError
from crawler.items import BadLine, Entry
from crawler.sources import Shape, check_list, open_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write(path: Path, columns: Mapping[str, Sequence[Any]], **how: Any) -> str:
    pq.write_table(pa.table(columns), path, **how)
    return str(path)


def drawn(path: str, **shape: Any) -> list[Entry | BadLine]:
    with closing(open_source(path, Shape(**shape))) as source:
        return [item for batch in iter(lambda: source.next_batch(7), []) for item in batch]


def test_columns_pass_through_with_their_types(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        {
            "url": ["http://x/1", " http://x/2 ", None, "bad"],
            "id": [10, None, 12, 13],
            "at": [dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)] * 4,
            "price": [Decimal("1.50")] * 4,
            "share": [0.5, float("nan"), 1.0, 1.0],
            "tags": [["a", "b"], [], None, None],
            "raw": [b"text", b"\xff", b"", None],
        },
    )
    one, two, three, four = drawn(path)
    assert isinstance(one, Entry)
    assert isinstance(two, Entry)
    assert (one.url, one.key, one.line) == ("http://x/1", "10", 1)
    assert dict(one.meta) == {
        "at": "2026-11-01T12:00:00+00:00", "price": "1.50", "share": 0.5, "tags": ["a", "b"], "raw": "text",
    }  # fmt: skip
    assert (two.url, two.key, two.meta["share"], two.meta["raw"]) == ("http://x/2", None, None, "/w==")
    assert isinstance(three, BadLine)
    assert isinstance(four, BadLine)
    assert [(bad.line, bad.reason[:12]) for bad in (three, four)] == [(3, "URL is empty"), (4, "no scheme: a")]
    assert '"id": 12' in three.text


def test_templates_take_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"id": [1, 2], "c": ["S E", None], "n": [1.5, 2.0]})
    one, two = drawn(path, template="http://x/{id}?c={c}", data='{"n": {n}, "c": {c}}')
    assert isinstance(one, Entry)
    assert (one.url, one.body, one.method, one.key) == ("http://x/1?c=S%20E", b'{"n": 1.5, "c": "S E"}', "POST", "1")
    assert isinstance(two, BadLine)
    assert two.reason == "column 'c' is empty, and a template needs it"


def test_rows_that_are_known_are_skipped_and_the_number_of_lines_is_known(tmp_path: Path) -> None:
    count = 5_000
    path = write(tmp_path / "a.parquet", {"url": [f"http://x/{n}" for n in range(count)]}, row_group_size=700)
    with closing(open_source(path, skip=lambda line: line % 2 == 0, limit=3_000)) as source:
        first = source.next_batch(10)
        assert source.lines_about == count
        found = first + [item for batch in iter(lambda: source.next_batch(64), []) for item in batch]
    assert [item.line for item in found] == [*range(1, 3_001, 2)]
    assert (source.count, source.skipped) == (3_000, 1_500)


def test_what_cannot_be_read_is_said_before_the_first_call(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"link": ["http://x/"]})
    with pytest.raises(ListError, match="has no column 'url'; it has 'link'"):
        check_list(path, Shape())
    check_list(path, Shape(column="link"))
    with pytest.raises(ListError, match="has no column 'id', which the template names; it has 'link'"):
        check_list(path, Shape(template="http://x/{id}"))
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:-20])
    with pytest.raises(ListError, match="is no Parquet file that can be read"):
        check_list(path, Shape())
    with pytest.raises(ListError, match="no such file"):
        drawn(str(tmp_path / "none.parquet"))
    with pytest.raises(ListError, match="cannot come by a pipe"):
        drawn("-", format="parquet")
    (tmp_path / "b.txt").write_bytes(whole)
    with pytest.raises(ListError, match="Parquet under another name"):
        drawn(str(tmp_path / "b.txt"))
    assert len(drawn(str(tmp_path / "b.txt"), format="parquet", column="link")) == 1


def test_a_file_that_is_damaged_inside_says_in_which_row(tmp_path: Path) -> None:
    urls = [f"http://x/{n * 7919}" for n in range(20_000)]
    path = Path(write(tmp_path / "a.parquet", {"url": urls}, row_group_size=5_000, compression="gzip"))
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data[start : start + 200] = b"\xff" * 200
    path.write_bytes(data)
    found: list[Entry | BadLine] = []

    def read_on() -> None:
        while batch := source.next_batch(100):
            found.extend(batch)

    with closing(open_source(str(path))) as source, pytest.raises(ListError, match=r"breaks off in row \d+ "):
        read_on()
    assert [item.url for item in found if isinstance(item, Entry)] == urls[: len(found)]
