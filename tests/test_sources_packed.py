"""Packed lists: every packing gives what was packed, and what is cut or damaged says so after all that was whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from crawler.exceptions import ListError
from crawler.items import BadLine, Entry
from crawler.sources import open_source
from crawler.sources.packed import MAGIC, unpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Pack = Callable[[bytes], bytes]

PACK: dict[str, Pack] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
SKIPPABLE = b"\x50\x2a\x4d\x18\x03\0\0\0abc"  # RFC 8878, section 3.1.2

every_packing = pytest.mark.parametrize("ending", PACK)


def drawn(path: Path) -> list[str]:
    """Every URL; bad lines fail the test. Raises what the source raises."""
    found: list[str] = []
    with closing(open_source(str(path))) as source:
        while batch := source.next_batch(1_000):
            assert not [item for item in batch if isinstance(item, BadLine)]
            found += [item.url for item in batch if isinstance(item, Entry)]
    return found


@every_packing
@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list"])
def test_a_packed_list_is_read_like_the_plain_one_by_its_name_or_by_its_bytes(
    tmp_path: Path, ending: str, name: str
) -> None:
    lines = [f"http://x/{n}" for n in range(9_000)]
    content = "\n".join((["url"] if name.endswith("csv") else []) + lines).encode()
    for path in (tmp_path / f"{name}{ending}", tmp_path / name):
        path.write_bytes(PACK[ending](content))
        assert drawn(path) == lines


@every_packing
def test_members_in_a_row_are_one_list_wherever_they_are_cut(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"list.txt{ending}"
    path.write_bytes(b"".join(map(PACK[ending], (b"http://x/1\nhtt", b"", b"p://x/2", b"\nhttp://x/3\n"))))
    assert drawn(path) == ["http://x/1", "http://x/2", "http://x/3"]


def test_what_may_stand_between_members_is_passed_over(tmp_path: Path) -> None:
    one, two = b"http://x/1\n", b"http://x/2\n"
    for ending, padding in ((".gz", b"\0" * 100_000), (".xz", b"\0" * 8), (".zst", SKIPPABLE)):
        path = tmp_path / f"list.txt{ending}"
        path.write_bytes(PACK[ending](one) + padding + PACK[ending](two) + padding)
        assert drawn(path) == ["http://x/1", "http://x/2"], ending
    path.write_bytes(SKIPPABLE + PACK[".zst"](one))
    assert drawn(path) == ["http://x/1"]


@every_packing
@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage"])
def test_what_was_whole_is_read_and_then_it_says_where_it_broke(tmp_path: Path, ending: str, damage: str) -> None:
    lines = [f"http://api.example/items/{n * 7919 % 35_023}" for n in range(35_000)]  # more than a block of bzip2
    packed = bytearray(PACK[ending]("\n".join(lines).encode()))
    if damage == "cut":
        del packed[-100:]
    elif damage == "flipped":
        packed[-20 if ending == ".xz" else -3] ^= 1
    else:
        packed += b"garbage"
    path = tmp_path / f"list.txt{ending}"
    path.write_bytes(packed)
    found: list[str] = []
    source = open_source(str(path))

    def read_on() -> None:
        while batch := source.next_batch(1_000):
            found.extend(item.url for item in batch if isinstance(item, Entry))

    with closing(source), pytest.raises(ListError) as caught:
        read_on()
    assert found == lines[: len(found)]
    assert f"list.txt{ending}: breaks off in line {len(found) + 1} " in str(caught.value)
    assert ("cut short" if damage == "cut" else "damaged") in str(caught.value)


@every_packing
def test_no_byte_more_is_held_than_is_asked_for(ending: str) -> None:
    """20 MB of lines in a few kB take what a chunk takes."""
    packed = PACK[ending](b"http://x/\n" * 100_000) * 20
    name = next(name for name, magics in MAGIC.items() if packed.startswith(magics[0]))
    tracemalloc.start()
    sizes = {len(plain) for plain in unpack((packed[at : at + 65536] for at in range(0, len(packed), 65536)), name)}
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(sizes) <= 65536
    assert peak_bytes < 12 << 20  # 8 MiB are the dictionary of `xz -6`


@every_packing
@pytest.mark.parametrize("content", [b"", b"http://x/1\n", b"PK\x03\x04"])
def test_a_name_that_says_how_it_is_packed_must_be_right(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"list.txt{ending}"
    path.write_bytes(content)
    with pytest.raises(ListError, match="the name says"):
        open_source(str(path))


def test_an_archive_in_an_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress(PACK[".zst"](b"http://x/")))
    with pytest.raises(ListError, match="packed twice: what is inside is zstd again"):
        open_source(str(path))
