"""txt, csv, tsv and jsonl: what each line becomes. The corpus of nasty lines is at the end."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.exceptions import ListError
from crawler.items import BadLine, Entry
from crawler.sources import Shape, open_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[..., list[Entry | BadLine]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Everything that a list of these bytes gives; drawn in small batches, so that batches meet blocks."""

    def read(content: bytes, limit: int | None = None, **shape: Any) -> list[Entry | BadLine]:
        path = tmp_path / "list"
        path.write_bytes(content)
        with closing(open_source(str(path), Shape(**{"format": "txt"} | shape), limit=limit)) as source:
            found: list[Entry | BadLine] = []
            while batch := source.next_batch(3):
                found += batch
            assert source.count == len(found) + source.skipped
        return found

    return read


def entries(found: list[Entry | BadLine]) -> list[Entry]:
    for item in found:
        assert isinstance(item, Entry), item
    return [item for item in found if isinstance(item, Entry)]


def reason(found: list[Entry | BadLine]) -> str:
    (item,) = found
    assert isinstance(item, BadLine), item
    return item.reason


# Plain lists


def test_comments_and_blank_lines_keep_their_numbers_and_never_count(read: Read) -> None:
    found = read(b"# a\n\n  \t\nhttp://x/1\n  # b\r\n\thttp://x/2 \r\n\r\nhttp://x/3")
    assert [(e.line, e.url) for e in entries(found)] == [(4, "http://x/1"), (6, "http://x/2"), (8, "http://x/3")]


def test_the_url_stays_as_listed_beside_its_target(read: Read) -> None:
    (entry,) = entries(read("http://åsa:pw@BÜCHER.de/ü#x\n".encode()))
    assert entry.url == "http://åsa:pw@BÜCHER.de/ü#x"
    assert entry.target == "http://xn--bcher-kva.de/%C3%BC"
    assert entry.authorization == "Basic w6VzYTpwdw=="


def test_limit_counts_bad_lines_but_no_comments(read: Read) -> None:
    found = read(b"# a\nhttp://x/1\nbad\n\nhttp://x/2\nhttp://x/3\n", limit=3)
    assert [item.line for item in found] == [2, 3, 5]


# Tables


@pytest.mark.parametrize(("kind", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_column_is_the_url_one_is_the_key_and_the_others_are_meta(
    read: Read,
    kind: str,
    delimiter: str,
) -> None:
    rows = [["id", "url", "country"], ["7", "http://x/7", "SE"], ["", " http://x/8 ", " "]]
    content = "".join(delimiter.join(row) + "\r\n" for row in rows).encode()
    assert entries(read(content, format=kind)) == [
        Entry(url="http://x/7", target="http://x/7", line=2, key="7", meta={"country": "SE"}),
        Entry(url="http://x/8", target="http://x/8", line=3, key=None, meta={"country": " "}),
    ]


def test_the_url_column_has_the_name_that_is_asked_for(read: Read) -> None:
    (entry,) = entries(read(b"url,link\nold,http://x/\n", format="csv", column="link"))
    assert (entry.url, entry.meta) == ("http://x/", {"url": "old"})


def test_a_column_without_a_name_of_its_own_keeps_its_cells(read: Read) -> None:
    (entry,) = entries(read(b"url,a,,a,column_3,id,id\nhttp://x/,1,2,3,4,5,6\n", format="csv"))
    assert entry.meta == {"a": "1", "column_3": "2", "a_4": "3", "column_3_5": "4", "id": "6"}
    assert entry.key == "5"


def test_a_table_without_a_header_is_known_by_its_url(read: Read) -> None:
    found = entries(read(b"a,http://x/1,SE\nb,http://x/2,DE\n", format="csv"))
    assert [(e.line, e.url, e.key, e.meta) for e in found] == [
        (1, "http://x/1", None, {"column_1": "a", "column_3": "SE"}),
        (2, "http://x/2", None, {"column_1": "b", "column_3": "DE"}),
    ]


def test_a_quoted_cell_may_hold_anything_and_the_line_is_the_first(read: Read) -> None:
    content = b'url,note\n"http://x/?a=1,2","say ""hi""\r\n\r\nbye"\nhttp://x/2,\n\n"http://x/3","\n"\n'
    found = entries(read(content, format="csv"))
    assert [(e.line, e.url, e.meta["note"]) for e in found] == [
        (2, "http://x/?a=1,2", 'say "hi"\n\nbye'),
        (5, "http://x/2", ""),
        (7, "http://x/3", "\n"),
    ]


@pytest.mark.parametrize("row", [b"http://x/", b"http://x/,a,b"])
def test_a_row_with_another_number_of_cells_is_bad(read: Read, row: bytes) -> None:
    assert "where the first row has 2" in reason(read(b"url,a\n" + row, format="csv"))


@pytest.mark.parametrize("rows", [10, 5_000])
def test_an_unclosed_quote_costs_its_line_and_no_other(read: Read, rows: int) -> None:
    """5,000 rows go past the 64 KiB that a record may take, 10 to the end of the file."""
    rest = b"".join(b"http://x/%d,a row of some length\n" % n for n in range(rows))
    bad, *good = read(b'url,note\nhttp://x/,"open\n' + rest, format="csv")
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.text) == (2, 'http://x/,"open')
    assert "quotes" in bad.reason
    assert [e.line for e in entries(good)] == list(range(3, rows + 3))


def test_a_quote_that_closes_too_late_does_not_swallow_what_is_between(read: Read) -> None:
    """The second stray quote stands 100 KiB after the first, which is no record any more."""
    rest = b"".join(b"http://x/%d,a row of some length\n" % n for n in range(3_000))
    bad, *good = read(b'url,note\nhttp://x/,"open\n' + rest + b'http://x/,5"\n', format="csv")
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert [e.line for e in entries(good)] == list(range(3, 3_004))


def test_a_header_may_go_on_over_lines(read: Read) -> None:
    (entry,) = entries(read(b'"a\nb",url\n1,http://x/\n', format="csv"))
    assert (entry.line, entry.meta) == (3, {"a\nb": "1"})


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        (b"id;link\n1;http://x/\n", "url", "has no column 'url'; its first row reads 'id;link'"),
        (b"id,link\n1,http://x/\n", "url", "reads 'id', 'link'. Say column=link, which holds URLs"),
        (b"http://x/1\n", "link", "its first row is a URL already"),
        (b"url,a,url\n", "url", "occurs 2 times"),
        (b"\xff,url\n", "url", "header row: not UTF-8"),
    ],
)
def test_a_table_without_its_url_column_is_refused_with_what_was_found(
    read: Read, content: bytes, column: str, words: str
) -> None:
    with pytest.raises(ListError) as caught:
        read(content, format="csv", column=column)
    assert words in str(caught.value)


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(lambda cell: f"x{cell}")


@given(rows=st.lists(st.tuples(cells, cells), max_size=8), newline=st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_writes_is_read(
    rows: list[tuple[str, str]], newline: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=newline)
    writer.writerows([("a", "url", "b"), *((a, f"http://x/{at}", b) for at, (a, b) in enumerate(rows))])
    path = tmp_path_factory.mktemp("csv") / "list.csv"
    path.write_bytes(file.getvalue().encode())
    with closing(open_source(str(path))) as source:
        found = entries(source.next_batch(100))
    assert [(e.meta["a"], e.meta["b"]) for e in found] == rows


# JSON lines


def jsonl(**keys: Any) -> bytes:
    return json.dumps({"url": "http://x/", **keys}).encode()


def one(read: Read, **keys: Any) -> Entry:
    (entry,) = entries(read(jsonl(**keys), format="jsonl"))
    return entry


def test_a_line_of_json_says_all_of_a_call(read: Read) -> None:
    keys = {"method": "put", "headers": {"X-A": "1", "X-B": ["2", "3"]}, "id": 7, "meta": {"a": [1, None]}}
    assert one(read, **keys, body_base64="AP8=", n=2, _error={"reason": "timeout"}) == Entry(
        url="http://x/", target="http://x/", line=1, method="PUT", headers=(("X-A", "1"), ("X-B", "2"), ("X-B", "3")),
        body=b"\x00\xff", key="7", meta={"a": [1, None]}, n=2,
    )  # fmt: skip


def test_null_is_the_same_as_no_such_key(read: Read) -> None:
    keys = ("method", "headers", "body", "body_base64", "id", "meta", "n", "_error")
    assert one(read, **dict.fromkeys(keys)) == Entry(url="http://x/", target="http://x/", line=1)


@pytest.mark.parametrize(
    ("keys", "method"),
    [({}, "GET"), ({"body": "a"}, "POST"), ({"body": ""}, "POST"), ({"body_base64": "QQ=="}, "POST"),
     ({"body": "a", "method": "get"}, "GET"), ({"method": "purge"}, "PURGE")],
)  # fmt: skip
def test_the_method_is_what_the_line_says_else_what_curl_would_send(
    read: Read, keys: dict[str, Any], method: str
) -> None:
    assert one(read, **keys).method == method


def test_a_text_is_sent_as_it_is_and_no_type_is_made_up_for_it(read: Read) -> None:
    entry = one(read, body='{"å": 1}')
    assert (entry.body, entry.headers) == ('{"å": 1}'.encode(), ())


def test_a_json_body_is_sent_compact_with_its_numbers_as_written(read: Read) -> None:
    line = '{"url":"http://x/","body":{ "a" : 1.0, "b":[123456789012345678901234567890 , 1e2],"c" : "å b" }}'
    (entry,) = entries(read(line.encode(), format="jsonl"))
    assert entry.body == '{"a":1.0,"b":[123456789012345678901234567890,1e2],"c":"å b"}'.encode()
    assert entry.headers == (("Content-Type", "application/json"),)


def test_a_json_body_keeps_the_type_that_the_line_gives(read: Read) -> None:
    assert one(read, body=[1], headers={"content-TYPE": "text/x"}).headers == (("content-TYPE", "text/x"),)


@pytest.mark.parametrize(("given", "key"), [("a", "a"), (7, "7"), (2**70, str(2**70)), (1.5, "1.5"), ("", "")])
def test_an_id_is_kept_as_text(read: Read, given: object, key: str) -> None:
    assert one(read, id=given).key == key


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (jsonl(timeout=1, foo=2), "unknown key 'timeout', 'foo'; a line may have url, method, headers, body,"),
        (jsonl(url=1), "$.url"),
        (b'{"id": 1}', "missing required field `url`"),
        (b"http://x/", "not JSON"),
        (b'{"url": "http://x/"', "not JSON"),
        (b'{"url": "http://x/"} {}', "not JSON"),
        (b'{"url": "http://x/", "meta": {"a": NaN}}', "not JSON"),
        (b'{"url": "http://x/\\ud800"}', "not JSON"),
        (b'{"url": "http://x/", "body": ["\xff"]}', "not UTF-8"),
        (b"[1]", "Expected `object`"),
        (b'{"url": "http://x/", "body": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"url": "http://x/\\u0000"}', "control character"),
        (jsonl(url="ftp://x/"), "'ftp' is not supported"),
        (jsonl(method="CONNECT"), "CONNECT"),
        (jsonl(method="A B"), "no HTTP method"),
        (jsonl(method=""), "no HTTP method"),
        (jsonl(headers={"A B": "1"}), "header name 'A B'"),
        (jsonl(headers={"": "1"}), "header name ''"),
        (jsonl(headers={":path": "1"}), "header name ':path'"),
        (jsonl(headers={"Å": "1"}), "header name"),
        (jsonl(headers={"A": "1\r\nB: 2"}), "line break"),
        (jsonl(headers={"A": ["1", "\x00"]}), "line break"),
        (jsonl(headers={"HOST": "y"}), "HOST cannot be set: it comes from the URL"),
        (jsonl(headers={"Content-Length": "1"}), "counted from the body"),
        (jsonl(headers={"Transfer-Encoding": "chunked"}), "framed"),
        (jsonl(headers={"Connection": "close"}), "shared"),
        (jsonl(headers={"A": 1}), "$.headers"),
        (jsonl(body="a", body_base64="QQ=="), "exclude each other"),
        (jsonl(body_base64="Q"), "not base64"),
        (jsonl(body_base64="Q Q="), "not base64"),
        (jsonl(body_base64="å"), "not base64"),
        (jsonl(n=0), "$.n"),
        (jsonl(n=2**63), "$.n"),
        (jsonl(n=True), "$.n"),
        (jsonl(id=True), "$.id"),
        (jsonl(meta=[]), "$.meta"),
    ],
)
def test_a_line_of_json_that_is_no_call_is_bad_with_the_reason(read: Read, line: bytes, words: str) -> None:
    assert words in reason(read(line, format="jsonl"))


def test_comments_and_blank_lines_are_passed_over_in_json_lines_too(read: Read) -> None:
    (entry,) = entries(read(b"# a\n\n " + jsonl() + b"\r\n#" + jsonl(), format="jsonl"))
    assert entry.line == 3


# The corpus of nasty lines: each stands alone in a plain list, between two good ones

CORPUS: list[tuple[bytes, str | None]] = [
    # what goes out, or None and below it the reason
    (b"http://x/a\r", "http://x/a"),
    (b" \t http://x/a \x0b\x0c", "http://x/a"),
    (b"http://x/a b", "http://x/a%20b"),
    (b"http://x/?q=a|b", "http://x/?q=a%7Cb"),
    (b"http://x/?ids=1,2,3", "http://x/?ids=1,2,3"),
    (b"http://x/\xc3\xa9", "http://x/%C3%A9"),
    (b"http://x/%7E//../?b=2&a=1", "http://x/%7E//../?b=2&a=1"),
    (b"http://x/a#b", "http://x/a"),
    (b"http://x/a # not a comment", "http://x/a%20"),
    (b"http://user:pw@x/", "http://x/"),
    (b"http://[::1]:8080/", "http://[::1]:8080/"),
    ("http://bücher.example/".encode(), "http://xn--bcher-kva.example/"),
    (b"http://x/" + b"a" * 3_000, "http://x/" + "a" * 3_000),  # above the 2,083 at which Scrapy drops it
    (b"http://x/" + b"a" * 65_527, "http://x/" + "a" * 65_527),  # 64 KiB
]

REFUSED: list[tuple[bytes, str]] = [
    (b"http://x/" + b"a" * 65_528, "longer than 64 KiB"),
    (b"a" * 10_000_000, "longer than 64 KiB"),
    (b"http://x/\x00", "control character 0x00"),
    (b"http://x/ok\rX-Injected: 1", "control character 0x0d"),
    (b"http://x/a\tb", "control character 0x09"),
    (b"http://x/\x1b[31m", "control character 0x1b"),
    (b"http://x/\x7f", "control character 0x7f"),
    (b"http://x/\xff", "not UTF-8 (byte 0xff at position 10)"),
    (b"http://x/\xed\xa0\x80", "not UTF-8"),
    (b"http://x/caf\xe9", "not UTF-8"),
    (b"\xef\xbb\xbfhttp://x/", "begins with http"),  # a BOM that does not begin the list
    (b"example.com/a", "did you mean https://example.com/"),
    (b"ftp://x/", "'ftp' is not supported"),
    (b"javascript:alert(1)", "begins with http"),
    (b"http://x:99999/", "1 to 65535"),
    (b"http://[::1", "brackets"),
    (b"http://", "host is empty"),
    (b"'http://x/'", "begins with http"),
    (b"<http://x/>", "begins with http"),
    (b"http://user:pw@x:y/", "1 to 65535"),
]


@pytest.mark.parametrize(("line", "target"), CORPUS)
def test_a_nasty_line_that_is_a_url_goes_out(read: Read, line: bytes, target: str) -> None:
    found = entries(read(b"\xef\xbb\xbfhttp://x/before\n" + line + b"\nhttp://x/after"))
    assert [(e.line, e.target) for e in found] == [(1, "http://x/before"), (2, target), (3, "http://x/after")]


@pytest.mark.parametrize(("line", "words"), REFUSED)
def test_a_nasty_line_that_is_no_url_is_one_bad_line(read: Read, line: bytes, words: str) -> None:
    before, bad, after = read(b"http://x/before\n" + line + b"\nhttp://x/after\n")
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert words in bad.reason
    assert [e.line for e in entries([before, after])] == [1, 3]


def test_a_url_listed_twice_is_two_entries(read: Read) -> None:
    """What is a duplicate is decided where the whole list is known, not here."""
    assert [e.line for e in entries(read(b"http://x/\nhttp://x/\n"))] == [1, 2]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"a\xffb", "a\\xffb"),
        (b"a\x00\x1bb\x7f", "a\\x00\\x1bb\\x7f"),
        ("é".encode() * 3_000, "é" * 1_000),
        (b"http://user:pw@x:y/", "http://***@x:y/"),
    ],
)
def test_a_bad_line_shows_its_beginning_safely(read: Read, line: bytes, text: str) -> None:
    (bad,) = read(line)
    assert isinstance(bad, BadLine)
    assert bad.text == text


def test_a_line_of_json_may_be_long_but_not_endless(read: Read) -> None:
    room = 8 * 1024 * 1024 - len(jsonl(body=""))
    found = read(b"\n".join(jsonl(body="a" * (room + more)) for more in (0, 1)) + b"\n" + jsonl(), format="jsonl")
    assert isinstance(found[1], BadLine)
    assert found[1].reason == "longer than 8,192 KiB"
    assert [e.line for e in entries([found[0], found[2]])] == [1, 3]
