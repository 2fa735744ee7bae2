"""Folders, patterns and lists on the web: which files they stand for, in which order, and what entries say of it."""

from __future__ import annotations

import gzip
import threading
from base64 import b64encode
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from crawler.exceptions import ListError
from crawler.items import BadLine
from crawler.sources import Shape, check_list, download, left_out, members, open_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Lists of several formats and packings, and what is none."""
    folder = tmp_path / "lists"
    (folder / "more").mkdir(parents=True)
    (folder / "b.csv").write_text("id,url\nk,http://x/3\n,bad\n")
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"http://x/1\nhttp://x/2\nbad\n"))
    (folder / "B.jsonl").write_text('{"url": "http://x/0"}\n')
    (folder / "c.txt").write_text("")
    (folder / "more" / "d.txt").write_text("http://x/4\n")
    (folder / ".hidden.txt").write_text("http://x/no\n")
    (folder / "README.md").write_text("Lists\n")
    return folder


def names(found: list[str] | None) -> list[str]:
    assert found is not None
    return [path.rpartition("lists/")[2] for path in found]


def test_a_folder_is_the_lists_in_it_sorted_by_name(folder: Path) -> None:
    assert names(members(str(folder))) == ["B.jsonl", "a.txt.gz", "b.csv", "c.txt"]
    assert left_out(str(folder)) == ["README.md"]
    assert left_out(str(folder / "b.csv")) == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["b.csv"]),
        ("*", ["B.jsonl", "README.md", "a.txt.gz", "b.csv", "c.txt"]),
        ("[ab].*", ["a.txt.gz", "b.csv"]),
        ("?.txt", ["c.txt"]),
        ("**/*.txt", ["c.txt", "more/d.txt"]),
        ("*/*", ["more/d.txt"]),
    ],
)
def test_a_pattern_is_every_file_that_it_matches(folder: Path, pattern: str, expected: list[str]) -> None:
    assert names(members(f"{folder}/{pattern}")) == expected


def test_a_file_whose_name_is_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "[a].txt").write_text("http://x/\n")
    assert members(str(folder / "[a].txt")) is None
    assert members(str(folder / "b.csv")) is None
    assert members("-") is None
    assert members("https://h/*.csv") is None


@pytest.mark.parametrize(
    ("make", "urls", "words"),
    [
        (lambda _: None, "none/*.csv", "no file matches this pattern"),
        (lambda path: path.mkdir(), "none", "no list in this folder; it is empty. Names of lists end in .txt"),
        (lambda path: (path / "a.md").mkdir(parents=True), "none", "no list in this folder; it has a.md."),
        (lambda path: (path.mkdir(), (path / "ledger.sqlite").touch()), "none", "is an output directory"),
    ],
)
def test_what_stands_for_no_list_is_refused(
    tmp_path: Path, make: Callable[[Path], object], urls: str, words: str
) -> None:
    make(tmp_path / "none")
    with pytest.raises(ListError) as caught:
        members(str(tmp_path / urls))
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / urls))


def test_files_are_read_one_after_the_other_and_entries_say_from_which(folder: Path) -> None:
    files = members(str(folder))
    with closing(open_list(str(folder), files, Shape())) as source:
        found = [item for batch in iter(lambda: source.next_batch(2), []) for item in batch]
    where = [(item.source and item.source.rpartition("/")[2], item.line, isinstance(item, BadLine)) for item in found]
    assert where == [
        ("B.jsonl", 1, False),
        ("a.txt.gz", 1, False),
        ("a.txt.gz", 2, False),
        ("a.txt.gz", 3, True),
        ("b.csv", 2, False),
        ("b.csv", 3, True),
    ]
    assert (source.count, source.skipped) == (6, 0)


def test_limit_and_skipping_go_over_all_files(folder: Path) -> None:
    files = members(str(folder))
    known = {"a.txt.gz": {1, 3}, "b.csv": {2}}
    source = open_list(
        str(folder),
        files,
        Shape(),
        limit=5,
        skip=lambda file: known.get(str(file).rpartition("/")[2], set()).__contains__,
    )
    found = [item for batch in iter(lambda: source.next_batch(9), []) for item in batch]
    source.close()
    assert [item.line for item in found] == [1, 2]
    assert (source.count, source.skipped) == (5, 3)


def test_a_file_that_cannot_be_read_is_named_before_anything_is_called(folder: Path) -> None:
    check_list(str(folder), Shape())
    (folder / "z.csv").write_text("no,link\n1,2\n")
    with pytest.raises(ListError, match=r"z\.csv: has no column 'url'"):
        check_list(str(folder), Shape())


def test_many_files_are_opened_one_at_a_time(tmp_path: Path) -> None:
    """More than a process may have open."""
    for number in range(2_000):
        (tmp_path / f"{number:04}.txt").write_text(f"http://x/{number}\n")
    source = open_list(str(tmp_path), members(str(tmp_path)), Shape())
    assert sum(len(batch) for batch in iter(lambda: source.next_batch(64), [])) == 2_000


# On the web


@contextmanager
def web(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that answers as told. Gives its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def test_a_list_on_the_web_is_downloaded_and_replaced_only_when_it_changed(tmp_path: Path) -> None:
    contents = [b"http://x/1\n", b"http://x/1\n", b"http://x/1\nhttp://x/2\n"]
    seen: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Authorization"])
        send(handler, contents.pop(0))

    with web(answer) as origin:
        url = origin.replace("//", "//me:s%20x@") + "/lists/items.txt?v=1"
        path = download(url, tmp_path)
        assert path == str(tmp_path / "list" / "items.txt")
        before = (tmp_path / "list" / "items.txt").stat()
        for changed in (False, True):
            assert download(url, tmp_path) == path
            after = (tmp_path / "list" / "items.txt").stat()
            assert ((before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns)) is changed
    assert seen == [f"Basic {b64encode(b'me:s x').decode()}"] * 3
    assert [file.name for file in (tmp_path / "list").iterdir()] == ["items.txt"]


def test_credentials_stay_with_the_host_they_were_given_for(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def other(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Authorization"])
        send(handler, b"http://x/1\n")

    with web(other) as elsewhere, web(lambda handler: send(handler, b"", 302, Location=f"{elsewhere}/b")) as origin:
        download(origin.replace("//", "//me:pw@") + "/a.txt", tmp_path)
    assert seen == [None]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda handler: send(handler, b"no", 404), "HTTP 404 Not Found"),
        (lambda handler: send(handler, b"no", 401), "HTTP 401 Unauthorized; credentials go into the URL"),
        (lambda handler: send(handler, b"http://x/1\n", Content_Length="5000"), "broke off: 11 of 5,000 bytes"),
        (lambda handler: send(handler, b"http://x/\n" * 10_000), "is larger than"),
        (lambda handler: send(handler, b"", Content_Encoding="gzip"), "Content-Encoding"),
        (lambda handler: handler.wfile.write(b"SSH-2.0\r\n"), "cannot be downloaded"),
        (lambda handler: send(handler, b"", 302, Location="file:///etc/passwd"), "cannot be downloaded"),
    ],
)
def test_a_download_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, answer: Callable[[BaseHTTPRequestHandler], None], words: str
) -> None:
    with web(answer) as origin, pytest.raises(ListError) as caught:
        download(origin.replace("//", "//me:s3cret@") + "/a.txt?token=s3cret", tmp_path, max_bytes=50_000)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert list((tmp_path / "list").iterdir()) == []


def test_a_host_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ListError, match=r"http://127\.0\.0\.1:9/a: the list cannot be downloaded"):
        download("http://127.0.0.1:9/a", tmp_path)
    with pytest.raises(ListError, match="port is not a number"):
        download("http://h:x/a", tmp_path)
