"""What stands in a record's file: every body comes back exactly, and every reader can read it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.store.envelope import envelope, is_strict_json, read_envelope
from tests.corpus_bodies import CORPUS, random_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METADATA: dict[str, object] = {
    "uuid": "3f0c2d2e-5c1b-5d0e-9a53-0d6a4f0c9b11",
    "line": 17,
    "key": None,
    "url": "https://api.example/items/17?c=de",
    "method": "GET",
    "status": 200,
    "outcome": "ok",
    "fetched_at": "2026-11-22T15:04:05.123Z",
    "elapsed_ms": 543,
    "attempts": 1,
    "headers": {"Content-Type": "application/json", "Set-Cookie": ["a=1", "b=2"]},
    "meta": {"country": "de"},
    "sha256": "0" * 64,
}
STORED = {"body", "text", "charset", "base64"}
# No test depends on the machine's speed.
EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

sample = pytest.mark.parametrize("name", CORPUS)


def kind(file: bytes) -> str:
    """How the body is stored: body, base64, or the charset of a text."""
    fields: dict[str, Any] = json.loads(file)
    stored = [name for name in fields if name in STORED]
    assert list(fields)[-len(stored) :] == stored  # after all of the metadata
    if stored == ["charset", "text"]:
        return str(fields["charset"])
    assert stored in (["body"], ["base64"])
    return stored[0]


# One body


@sample
def test_a_body_is_stored_in_the_most_readable_way_that_keeps_its_bytes(name: str) -> None:
    case = CORPUS[name]
    assert kind(envelope(METADATA, case.body, case.content_type)) == case.kind


@sample
def test_metadata_and_the_exact_body_come_back(name: str) -> None:
    case = CORPUS[name]
    assert read_envelope(envelope(METADATA, case.body, case.content_type)) == (METADATA, case.body)


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if case.kind == "body"])
def test_json_is_spliced_byte_for_byte_at_the_end(name: str) -> None:
    body = CORPUS[name].body
    assert envelope(METADATA, body, None).endswith(b',"body":' + body + b"}\n")


@sample
def test_strict_json_is_what_stands_under_body(name: str) -> None:
    assert is_strict_json(CORPUS[name].body) is (CORPUS[name].kind == "body")


@pytest.mark.parametrize("code", range(256))
def test_every_byte_comes_back_alone_in_a_string_and_as_latin_1(code: int) -> None:
    for body in (bytes([code]), b'"%c"' % code, b'"\\%c"' % code, b"[1]%c" % code, b"%c[1]" % code):
        for content_type in (None, "text/plain; charset=latin-1"):
            assert read_envelope(envelope({}, body, content_type)) == ({}, body)


@pytest.mark.parametrize("before", range(0, 270, 9))
def test_an_integer_too_long_for_python_is_found_wherever_it_stands(before: int) -> None:
    space = b" " * before
    assert is_strict_json(b"[%s%s]" % (space, b"9" * 4300))
    assert not is_strict_json(b"[%s%s]" % (space, b"9" * 4301))


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/html; charset=ISO-8859-1", "iso8859-1"),
        ('text/html;level=1;CHARSET = "latin1"', "iso8859-1"),
        ("text/html; charset='cp1252'", "cp1252"),
        ("text/html", "utf-8"),
        ("charset", "utf-8"),
        ("", "utf-8"),
        ("text/html; charset=", "utf-8"),
        ("text/html; charset=no-such-charset", "utf-8"),
        ("text/html; charset=latin1" + "x" * 50, "utf-8"),
        ("text/html; charset=latin1\x00", "iso8859-1"),
        ("text/html; charset=\x00\udcff", "utf-8"),
        *((f"text/html; charset={name}", "utf-8") for name in ("hex", "rot13", "zlib", "uu", "bz2", "quopri")),
        *((f"text/html; charset={name}", "utf-8") for name in ("idna", "punycode", "utf-7", "undefined")),
        *((f"text/html; charset={name}", "utf-8") for name in ("unicode_escape", "raw_unicode_escape", "aliases")),
    ],
)
def test_the_charset_is_the_declared_one_if_python_knows_it_as_a_charset(content_type: str, charset: str) -> None:
    assert kind(envelope({}, b"616263 abc \\x +2AA- =41", content_type)) == charset


# Any body

CONTENT_TYPES = (
    st.none()
    | st.text()
    | st.sampled_from(
        [
            f"text/x; charset={name}"
            for name in ("latin1", "utf-16", "utf-32", "cp1252", "gbk", "iso2022_jp", "hz", "utf_7")
        ]
    )
)
HOSTILE = st.text(alphabet='[]{}"\\:,ua0 é\x00\U0001f600') | st.text()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | HOSTILE,
    lambda inner: st.lists(inner) | st.dictionaries(HOSTILE, inner),
)


@EXAMPLES
@given(st.binary() | HOSTILE.map(str.encode), CONTENT_TYPES)
def test_any_bytes_come_back(body: bytes, content_type: str | None) -> None:
    file = envelope(METADATA, body, content_type)
    kind(file)
    assert read_envelope(file) == (METADATA, body)


@EXAMPLES
@given(VALUES, st.booleans(), st.none() | st.integers(0, 2), st.text(" \t\r\n", max_size=3))
def test_any_json_is_spliced_and_comes_back(value: Any, ascii_only: bool, indent: int | None, space: str) -> None:
    body = (space + json.dumps(value, ensure_ascii=ascii_only, indent=indent) + space[::-1]).encode()
    file = envelope(METADATA, body, "application/json; charset=latin-1")
    assert json.loads(file)["body"] == value
    assert read_envelope(file) == (METADATA, body)


@EXAMPLES
@given(st.integers(97, 104), st.lists(HOSTILE, min_size=1, max_size=5), st.booleans())
def test_the_depth_is_exact_whatever_the_strings_hold(depth: int, strings: list[str], named: bool) -> None:
    value: Any = strings
    for level in range(depth - 1):
        text = strings[level % len(strings)]
        value = {"a" + text: text, "b": value, "c": []} if named else [text, value, text, {}]
    for ascii_only in (True, False):
        assert is_strict_json(json.dumps(value, ensure_ascii=ascii_only).encode()) is (depth <= 100)


# Metadata


@given(
    st.dictionaries(HOSTILE, st.text(alphabet=st.characters(max_codepoint=255))),
    st.dictionaries(HOSTILE, VALUES),
)
@EXAMPLES
def test_any_headers_and_any_columns_of_the_list_come_back(headers: dict[str, str], meta: dict[str, Any]) -> None:
    metadata = {**METADATA, "headers": headers, "meta": meta}
    for body in (b' {"a":1} ', b"text", b"\xff"):
        assert read_envelope(envelope(metadata, body, None)) == (metadata, body)


def test_the_order_of_the_metadata_is_kept() -> None:
    metadata = {"z": 1, "a": None, "m": {"y": 1, "b": 2}}
    assert envelope(metadata, b"[]", None) == b'{"z":1,"a":null,"m":{"y":1,"b":2},"body":[]}\n'


def test_what_utf_8_or_json_cannot_hold_is_replaced_in_the_metadata() -> None:
    """A list in JSON may hold lone surrogates and NaN; its record is still written, and readable."""
    meta = {"a\ud800": ["\udc00x", ("\ud83d\ude00", 10**30)], "b": float("nan"), "c": float("inf")}
    metadata, body = read_envelope(envelope({"meta": meta}, b"1.0", None))
    assert metadata == {"meta": {"a\ufffd": ["\ufffdx", ["😀", 10**30]], "b": None, "c": None}}
    assert body == b"1.0"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b"[1]\n",
        b'{"line":1}\n',
        b'{"body":1,"line":1}\n',
        b'{"line":1,"text":"a"}\n',
        b'{"charset":"no-such","text":"a"}\n',
        b'{"charset":"ascii","text":"\xc3\xa9"}\n',
        b'{"charset":1,"text":"a"}\n',
        b'{"base64":"***"}\n',
        b'{"base64":1}\n',
        envelope(METADATA, b"[1,2,3]", None)[:-3],
        envelope(METADATA, b"text", None)[:-3],
        envelope(METADATA, b"[]", None) * 2,
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_envelope(data)


# The readers


@dataclass(frozen=True)
class Files:
    """Files of the whole corpus, and of many hostile bodies; `line` is the position in paths."""

    folder: Path
    paths: list[Path]

    def strings(self) -> list[list[str | None]]:
        """charset, text and base64 of each, as Python's json reads them."""
        loaded = [json.loads(path.read_bytes()) for path in self.paths]
        return [[fields.get(name) for name in ("charset", "text", "base64")] for fields in loaded]

    def of(self, wanted: Callable[[str], bool]) -> list[Path]:
        return [path for path, name in zip(self.paths, CORPUS, strict=False) if wanted(name)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("responses")
    known = [(case.body, case.content_type) for case in CORPUS.values()]
    headers = {"X-Any": "".join(map(chr, range(256))), "": ""}
    meta = {"nested": [{"a": None}, "\x00\u2028"], "": "😀"}
    paths = []
    for line, (body, content_type) in enumerate(known + random_samples(300)):
        path = folder / f"{line:04}.json"
        path.write_bytes(envelope({**METADATA, "line": line, "headers": headers, "meta": meta}, body, content_type))
        paths.append(path)
    return Files(folder, paths)


def test_duckdb_reads_all_files_in_one_query(files: Files) -> None:
    duckdb = pytest.importorskip("duckdb")
    types = {"line": "BIGINT", "headers": "MAP(VARCHAR, VARCHAR)", "meta": "JSON", "body": "JSON"}
    types |= dict.fromkeys(["charset", "text", "base64"], "VARCHAR")
    table = f"read_json('{files.folder}/*.json', columns={types})"
    query = f"SELECT charset, text, base64 FROM {table} ORDER BY line"
    assert [list(row) for row in duckdb.sql(query).fetchall()] == files.strings()


def test_duckdb_infers_the_columns_of_all_files_when_told_to_leave_values_as_json(files: Files) -> None:
    duckdb = pytest.importorskip("duckdb")
    table = f"read_json_auto('{files.folder}/*.json', maximum_depth=1, maximum_sample_files=-1)"
    query = f"SELECT charset, text, base64 FROM {table} ORDER BY line::INT"
    rows = [[value and json.loads(value) for value in row] for row in duckdb.sql(query).fetchall()]
    assert rows == files.strings()


def test_duckdb_infers_the_type_of_each_body_that_does_not_repeat_a_name(files: Files) -> None:
    duckdb = pytest.importorskip("duckdb")
    for path in files.of(lambda name: not CORPUS[name].repeats):
        [row] = duckdb.sql(f"SELECT count(COLUMNS(*)) FROM read_json_auto('{path}')").fetchall()
        assert set(row) <= {0, 1}


def test_jq_reads_all_files(files: Files) -> None:
    jq = shutil.which("jq")
    if jq is None:
        pytest.skip("jq is not installed")
    command = [jq, "-c", "[.charset, .text, .base64]", *map(str, files.paths)]
    rows = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split(b"\n")[:-1]
    assert [json.loads(row) for row in rows] == files.strings()


def test_pandas_reads_each_file_whose_integers_have_at_most_64_bits(files: Files) -> None:
    """As a series, and as a table of lines where the body brings no line feed of its own."""
    pandas = pytest.importorskip("pandas")
    for path in files.of(lambda name: not CORPUS[name].wide):
        series = pandas.read_json(path, typ="series")
        assert STORED & set(series.index)
        if path.read_bytes().count(b"\n") == 1:
            assert len(pandas.read_json(path, lines=True)) == 1


def test_pandas_reads_each_file_through_json(files: Files) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([json.loads(path.read_bytes()) for path in files.paths])
    assert list(frame["line"]) == list(range(len(files.paths)))


def test_files_made_leave_no_memory_behind() -> None:
    """Not one object for each: a run makes millions in one process."""
    envelope({"uuid": "x"}, b"{}", None)
    before = sys.getallocatedblocks()
    for _ in range(1000):
        envelope({"uuid": "x"}, b"{}", None)
    assert sys.getallocatedblocks() - before < 500
