"""Opening a list: files, gzip, pipes, formats, what it is called, and what breaks while it is read."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import tracemalloc
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crawler.exceptions import ListError
from crawler.items import BadLine, Entry
from crawler.sources import FileSource, Shape, Source, fingerprint, list_name, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

    Open = Callable[..., FileSource]

PROJECT = Path(__file__).parent.parent
DEMO_API = "http://127.0.0.1:8765/"


@pytest.fixture
def open_list() -> Iterator[Open]:
    """open_source, whose files are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda path, shape=None, **options: stack.enter_context(closing(open_source(str(path), shape, **options)))


def urls(source: Source) -> list[str]:
    found = []
    while batch := source.next_batch(1_000):
        assert not [item for item in batch if isinstance(item, BadLine)]
        found += [item.url for item in batch if isinstance(item, Entry)]
    return found


# The lists that come with the project


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("items.txt", 47),
        ("items.txt.gz", 47),
        ("items.csv", 12),
        ("items.tsv", 12),
        ("calls.jsonl", 8),
        ("commands.curl", 5),
        ("orders.parquet", 6),
    ],
)
def test_every_sample_calls_the_demo_api(open_list: Open, name: str, count: int) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    found = urls(open_list(PROJECT / "urls" / name))
    assert len(found) == count
    assert all(url.startswith(DEMO_API) for url in found)


def test_the_compressed_sample_is_the_plain_one() -> None:
    packed = (PROJECT / "urls" / "items.txt.gz").read_bytes()
    assert gzip.decompress(packed) == (PROJECT / "urls" / "items.txt").read_bytes()


# Which format


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.TXT", b"http://x/1"),
        ("a.list", b"http://x/1"),
        ("a.urls", b"http://x/1"),
        ("a.csv", b"url\nhttp://x/1"),
        ("a.tsv", b"a\turl\n\thttp://x/1"),
        ("a.jsonl", b'{"url":"http://x/1"}'),
        ("a.jl", b'{"url":"http://x/1"}'),
        ("a.ndjson", b'{"url":"http://x/1"}'),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_name_tells_the_format(open_list: Open, tmp_path: Path, name: str, content: bytes, packed: bool) -> None:
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert urls(open_list(path)) == ["http://x/1"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'# a\n\n {"url": "http://x/1"}\n', ["http://x/1"]),
        (b"id,url\n1,http://x/1\n", ["http://x/1"]),
        (b"url\nhttp://x/1\n", ["http://x/1"]),
        (b'url,"a\nb"\nhttp://x/1,c\n', ["http://x/1"]),
        (b"id\turl\n1\thttp://x/1\n", ["http://x/1"]),
        (b"1,http://x/1\n", ["http://x/1"]),
        (b'"http://x/1",1\n', ["http://x/1"]),
        (b"http://x/1\tone\n", ["http://x/1"]),
        (b"http://x/?a=1,2\n", ["http://x/?a=1,2"]),  # no table: a URL may hold commas
        (b"http://x/?to=,http://y/\n", ["http://x/?to=,http://y/"]),
        (b"# only\n# comments\n", []),
        (b"", []),
        (b"#" * 100_000 + b"\nhttp://x/1\n", ["http://x/1"]),
    ],
)
def test_else_the_first_line_that_counts_tells_it(
    open_list: Open, tmp_path: Path, content: bytes, expected: list[str]
) -> None:
    path = tmp_path / "list.dat"
    path.write_bytes(content)
    assert urls(open_list(path)) == expected


def test_a_format_that_is_given_wins_over_the_name(open_list: Open, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"http://x/?a=1,2\n")
    assert urls(open_list(path, Shape(format="txt"))) == ["http://x/?a=1,2"]


# What cannot be opened


def _missing(path: Path) -> None:
    pass


def _unreadable(path: Path) -> None:
    path.touch(mode=0o000)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.txt", _missing, "no such file"),
        ("a.txt", Path.mkdir, "is a folder"),
        ("a.txt", _unreadable, "may not be read"),
        ("a\x00.txt", _missing, "is no path"),
        ("a.txt.gz", Path.touch, "not gzip"),
        ("a.txt.gz", lambda path: path.write_bytes(b"http://x/\n"), "not gzip"),
        ("a.txt.gz", lambda path: path.write_bytes(b"\x1f\x8bhttp://x/\n"), "cannot be read"),
        ("a", lambda path: path.write_bytes(gzip.compress(b"http://x/1\n")[:-12]), "breaks off"),
        ("a.csv.gz", lambda path: path.write_bytes(gzip.compress(b"url,a,b,c")[:-12]), "breaks off"),
        ("a.txt", lambda path: path.write_bytes("http://x/".encode("utf-16")), "UTF-16"),
        ("a.txt", lambda path: path.write_bytes(b"\xfe\xff\x00h"), "UTF-16"),
        ("a.txt", lambda path: path.write_bytes(b"\xfd7zXZ\x00"), "xz"),
        ("a.parquet", lambda path: path.write_bytes(b"PAR1" * 9), "parquet"),
        ("a.csv", lambda path: path.write_bytes(b"id,link\n"), "has no column 'url'"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_with_its_name_and_the_reason(
    open_list: Open, tmp_path: Path, name: str, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(ListError) as caught:
        open_list(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert words in str(caught.value)


def test_an_unknown_format_is_refused_with_those_that_are_known(open_list: Open) -> None:
    with pytest.raises(ListError, match=r"format 'yaml' is not known; there are txt, csv, tsv, jsonl"):
        open_list("list.txt", Shape(format="yaml"))


# What breaks while it is read


@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage"])
def test_a_damaged_gzip_gives_every_whole_line_and_then_says_where_it_broke(
    open_list: Open, tmp_path: Path, damage: str
) -> None:
    lines = [f"http://x/{n}\n" for n in range(50_000)]
    packed = bytearray(gzip.compress("".join(lines).encode()))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "flipped":
        packed[-8] ^= 1  # in the checksum
    else:
        packed += b"garbage"
    path = tmp_path / "list.txt.gz"
    path.write_bytes(packed)
    source = open_list(path)
    found: list[str] = []

    def read_on() -> None:
        while batch := source.next_batch(1_000):
            found.extend(item.url for item in batch if isinstance(item, Entry))

    with pytest.raises(ListError) as caught:
        read_on()
    assert found == [line.strip() for line in lines[: len(found)]]
    assert len(found) > 10_000
    assert (len(found) == 50_000) is (damage == "garbage")  # what fails its checksum is not given out
    assert f"list.txt.gz: breaks off in line {len(found) + 1} " in str(caught.value)
    with pytest.raises(ListError):  # asked again, it is still no end of the list
        source.next_batch(1)


def test_gzip_may_have_members_and_padding(open_list: Open, tmp_path: Path) -> None:
    path = tmp_path / "list.gz"
    path.write_bytes(gzip.compress(b"http://x/1\nhttp:") + gzip.compress(b"//x/2\n") + b"\0" * 100_000)
    assert urls(open_list(path)) == ["http://x/1", "http://x/2"]


# Size


def test_an_endless_line_takes_no_memory(open_list: Open, tmp_path: Path) -> None:
    """64 MiB without a line feed, which gzip makes small."""
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress(b"a" * (64 << 20) + b"\nhttp://x/\n"))
    tracemalloc.start()
    bad, good = open_list(path).next_batch(2)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(bad, BadLine)
    assert isinstance(good, Entry)
    assert peak_bytes < 2 << 20


def test_only_the_first_lines_are_read_to_open_a_huge_list(open_list: Open, tmp_path: Path) -> None:
    """A terabyte, nearly all of it a hole in the file."""
    path = tmp_path / "list"
    path.write_bytes(b"http://x/1\n")
    os.truncate(path, 1 << 40)
    assert urls(open_list(path, limit=1)) == ["http://x/1"]


# Skipping and limits


def test_a_skipped_line_counts_and_is_not_even_looked_at(open_list: Open, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"# a\nhttp://x/2\n\xff\x00\n\nhttp://x/5\n")
    asked: list[int] = []

    def skip(line: int) -> bool:
        asked.append(line)
        return line == 3

    source = open_list(path, skip=skip)
    assert urls(source) == ["http://x/2", "http://x/5"]
    assert (source.count, source.skipped, asked) == (3, 1, [2, 3, 5])


def test_limit_counts_skipped_lines(open_list: Open, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"".join(b"http://x/%d\n" % n for n in range(1, 9)))
    source = open_list(path, skip={1, 2}.__contains__, limit=3)
    assert urls(source) == ["http://x/3"]
    assert (source.count, source.skipped) == (3, 2)


def test_a_batch_is_as_large_as_asked_for_or_smaller(open_list: Open, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"".join(b"http://x/%d\n" % n for n in range(10)))
    source = open_list(path)
    assert [len(source.next_batch(4)) for _ in range(4)] == [4, 4, 2, 0]


def test_counts_are_exact_between_batches(open_list: Open, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"".join(b"http://x/%d\n" % n for n in range(1, 11)))
    source = open_list(path, skip={1, 2, 9}.__contains__)
    source.next_batch(2)
    assert (source.count, source.skipped) == (4, 2)


def test_a_closed_source_has_ended(open_list: Open, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"http://x/\n" * 100_000)
    source = open_list(path)
    source.next_batch(1)
    source.close()
    assert source.next_batch(1) == []
    source.close()


# Pipes


@pytest.fixture
def pipe() -> Iterator[tuple[str, FileIO]]:
    """The path of a pipe's end to read, and its end to write."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0), os.fdopen(write_end, "wb", buffering=0) as end:
        yield f"/dev/fd/{read_end}", end


def test_a_pipe_gives_what_has_been_written_so_far(open_list: Open, pipe: tuple[str, FileIO]) -> None:
    """However large a batch is asked for: this would hang if it waited for more."""
    path, end = pipe
    end.write(b"http://x/1\nhttp://x/2\nhttp:")
    source = open_list(path)
    assert [item.line for item in source.next_batch(100)] == [1, 2]
    end.write(b"//x/3\n")
    assert [item.line for item in source.next_batch(100)] == [3]
    end.write(b"http://x/4")
    end.close()
    assert [item.line for item in source.next_batch(100)] == [4]
    assert source.next_batch(100) == []


def test_a_limit_is_reached_without_waiting_for_more(open_list: Open, pipe: tuple[str, FileIO]) -> None:
    path, end = pipe
    end.write(b"http://x/1\n")
    assert urls(open_list(path, limit=1)) == ["http://x/1"]


def test_a_table_in_a_pipe_does_not_wait_for_the_end_of_an_open_quote(
    open_list: Open, pipe: tuple[str, FileIO]
) -> None:
    path, end = pipe
    end.write(b'url,a\nhttp://x/2,\nhttp://x/3,"b\n')
    source = open_list(path)
    assert [item.line for item in source.next_batch(100)] == [2]
    end.write(b"c\n")
    end.write(b'"\nhttp://x/6,\n')
    end.close()
    found: list[Entry | BadLine] = []
    while batch := source.next_batch(100):
        found += batch
    assert [(item.line, item.meta["a"]) for item in found if isinstance(item, Entry)] == [(3, "b\nc\n"), (6, "")]


def test_bytes_may_arrive_one_by_one(open_list: Open, pipe: tuple[str, FileIO]) -> None:
    path, end = pipe
    content = b"\xef\xbb\xbf# a\r\nhttp://x/1\r\nhttp://x/2"

    def write() -> None:
        for at in range(len(content)):
            end.write(content[at : at + 1])
        end.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert urls(open_list(path)) == ["http://x/1", "http://x/2"]
    writer.join()


READ_STDIN = """
import sys
from crawler.sources import open_source
source = open_source("-")
while batch := source.next_batch(100):
    print(*(item.url for item in batch), flush=True)
"""

BLOCK_ON_STDIN = """
import threading
from crawler.sources import Shape, open_source
source = open_source("-", Shape(format="txt"))
source.next_batch(1)
threading.Thread(target=source.next_batch, args=(1,), daemon=True).start()
"""


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_a_list_too_plain_or_gzip(packed: bool) -> None:
    content = b"http://x/1\nhttp://x/2\n"
    run = subprocess.run(
        [sys.executable, "-c", READ_STDIN],
        input=gzip.compress(content) if packed else content,
        capture_output=True,
        cwd=PROJECT,
        check=True,
    )
    assert (run.stdout, run.stderr) == (b"http://x/1 http://x/2\n", b"")


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    """Some programs leave their standard output non-blocking, and a read that finds nothing is no end."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.write(write_end, b"http://x/1\n")
    with subprocess.Popen(
        [sys.executable, "-c", READ_STDIN], stdin=read_end, stdout=subprocess.PIPE, cwd=PROJECT
    ) as process:
        os.close(read_end)
        assert process.stdout is not None
        assert process.stdout.readline() == b"http://x/1\n"
        os.write(write_end, b"http://x/2\n")
        assert process.stdout.readline() == b"http://x/2\n"
        os.close(write_end)
        assert process.stdout.read() == b""


def test_a_silent_pipe_does_not_keep_the_process_alive() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BLOCK_ON_STDIN], stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"http://x/1\n")
        process.stdin.flush()
        assert process.wait() == 0
        assert process.stderr.read() == b""


# Whether it is the same list, and what it is called


def test_an_untouched_list_has_the_same_fingerprint_and_an_edited_one_another(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"a" * 200_000)
    before = fingerprint(str(path))
    assert before is not None
    assert before == fingerprint(str(path))
    assert before.size_bytes == 200_000
    for content in (b"a" * 200_001, b"b" + b"a" * 199_999, b"a" * 199_999 + b"b"):
        path.write_bytes(content)
        os.utime(path, ns=(before.mtime_ns, before.mtime_ns))
        assert before != fingerprint(str(path))
    path.write_bytes(b"a" * 200_000)
    os.utime(path, ns=(before.mtime_ns + 1, before.mtime_ns + 1))
    assert before != fingerprint(str(path))


def test_a_pipe_has_no_fingerprint(pipe: tuple[str, FileIO]) -> None:
    assert fingerprint("-") is None
    assert fingerprint(pipe[0]) is None


def test_the_fingerprint_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="no such file"):
        fingerprint(str(tmp_path / "list.txt"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("urls/items.csv.gz", "items"),
        ("items.JSONL", "items"),
        ("-", "stdin"),
        ("/a/b/items.v2.txt", "items.v2"),
        ("api.example.com", "api.example.com"),
        ("a b/c d:e?.txt", "c_d_e"),
        ("lists/2026-*.csv.xz", "2026"),
        ("lists/**/*.csv", "lists"),
        ("[ab].txt", "list"),
        ("https://h/a/items.csv.zst?key=1#x", "items"),
        ("https://me:pw@api.example.com:8/", "api.example.com"),
        ("åäö.txt", "åäö"),
        ("..", "list"),
        ("", "list"),
        ("/", "list"),
        (".txt", "txt"),
        ("...gz", "list"),
        (".hidden.csv", "hidden"),
        ("a" * 300 + ".csv", "a" * 60),
        ("\udcff.txt", "_"),
        ("out/items/failed.jsonl", "failed"),
    ],
)
def test_a_list_is_called_what_its_file_is_called(path: str, name: str) -> None:
    assert list_name(path) == name


def test_a_file_needs_no_word_of_what_is_done(open_list: Open) -> None:
    source: Source = open_list(PROJECT / "urls" / "items.txt")
    batch = source.next_batch(1)
    source.ack(batch)
    assert len(batch) + len(urls(source)) == source.count == 47
