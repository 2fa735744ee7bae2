"""What the text of an argument means, value by value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.items import NOT_A_CALL, Outcome, Shard
from crawler.values import (
    FORMAT,
    HEADERS,
    HOSTS,
    OUT,
    PARAMS,
    REDO,
    SHARD,
    TEXT,
    TOLERANCE,
    UMASK,
    URLS,
    WORKERS,
    AtMost,
    Hosts,
    Kind,
    Redo,
    Tolerance,
    choice,
    find_shard,
    seconds,
    size,
    whole,
)

SAVE = choice("envelope", "raw")
TIMEOUT = seconds(zero=False)
DRAIN = seconds(zero=True)


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        (TEXT, "a b", "a b"),
        (SAVE, "raw", "raw"),
        (WORKERS, "1", 1),
        (WORKERS, "10000", 10_000),
        (WORKERS, "auto", "auto"),
        (WORKERS, AtMost(500), "auto"),
        (WORKERS, 7, 7),
        (SHARD, "3/8", Shard(3, 8)),
        (SHARD, "1/1", Shard(1, 1)),
        (SHARD, "auto/8", Shard(0, 8)),
        (SHARD, Shard(3, 8), Shard(3, 8)),
        (WORKERS, "007", 7),
        (whole(0), "0", 0),
        (whole(0), "999999999", 999_999_999),
        (TIMEOUT, "30", 30.0),
        (TIMEOUT, "0.25", 0.25),
        (TIMEOUT, 5, 5.0),
        (TIMEOUT, 86_400, 86_400.0),
        (DRAIN, "0", 0.0),
        (size(0), "1500", 1500),
        (size(0), "64MiB", 64 * 2**20),
        (size(0), "2gb", 2 * 10**9),
        (size(0), "0", 0),
        (size(0), 7, 7),
        (UMASK, "077", 0o077),
        (UMASK, "0o027", 0o027),
        (UMASK, 0o022, 0o022),
        (UMASK, "0", 0),
        (FORMAT, "csv", "csv"),
        (FORMAT, "jsonl.gz", "jsonl.gz"),
        (URLS, "-", "-"),
        (URLS, Path("urls/a.txt"), "urls/a.txt"),
        (URLS, "no/such/list.txt", "no/such/list.txt"),
        (OUT, "out/%(name)s-%(time)s/100%%", "out/%(name)s-%(time)s/100%%"),
        (OUT, Path("here"), "here"),
    ],
)
def test_a_value_is_read_from_text_and_from_what_settings_hold(kind: Kind, value: object, typed: object) -> None:
    read = kind.parse(value)
    assert (type(read), read) == (type(typed), typed)
    assert kind.parse(read) == read


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TEXT, ["", None, 5, ["a"]]),
        (SAVE, ["", "RAW", "both", None, ["raw"]]),
        (WORKERS, ["", "0", "10001", "-1", "+1", " 1", "1.0", "1_0", "1e1", "٣", 0, 1.0, True, None, "9" * 5000]),
        (TIMEOUT, ["", "0", "0.0", "-1", "1e3", "nan", "inf", "30s", ".5", 0, True, None, 86_401, float("nan")]),
        (DRAIN, ["-0.1", -1]),
        (size(1), ["", "0", "-1", "1.5GB", "1 GB", "GB", "5X", "5MiBs", "0x5", 0, True, 1.0, None, "9" * 99]),
        (UMASK, ["", "78", "100", "0x1f", "-1", 77, 0o700, True, None, 7.0]),
        (FORMAT, ["", "CSV", "json", "gz", "csv.", "csv.zip", "csv.gz.gz", None]),
        (URLS, ["", None, 5, ["a"]]),
        (OUT, ["", "%(nme)s", "%s", "100%", "%(name)d", "%(name)", "%%%", None]),
        (TOLERANCE, ["", "%", "-1", "0.5", "101%", "1e1%", "5 %", "all", 0.5, True, None]),
        (REDO, ["", "retry", "404,", "4x4", "4xx,none", "099", "4", "1000", "-404", True, 4.5, None, []]),
        (HOSTS, ["", ",", "a,,b", "*", "*.", "a.*.b", "https://a", "a/b", "a:b", "a:0", "a:65536", "u@a"]),
        (HOSTS, ["a b", "a..b", ".", "::1", "[::1", "[1.2]", "ä..de", "xn--ä.de", None, [], [None], 5]),
    ],
)
def test_anything_else_is_a_value_error(kind: Kind, values: list[object]) -> None:
    for value in values:
        with pytest.raises(ValueError):  # noqa: PT011  # often without a text: `expected` says it all
            print(value, kind.parse(value))


@given(
    st.sampled_from(
        [TEXT, SAVE, WORKERS, TIMEOUT, size(0), UMASK, FORMAT, OUT, TOLERANCE, REDO, HOSTS, HEADERS, PARAMS]
    ),
    st.one_of(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.tuples(inner, inner)
                | st.dictionaries(st.text(max_size=9), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    ),
)
def test_a_parser_reads_its_own_results_and_raises_nothing_but_value_errors(kind: Kind, value: object) -> None:
    try:
        read = kind.parse(value)
    except ValueError:
        return
    assert kind.parse(read) == read


@pytest.mark.parametrize(
    ("kind", "value", "detail"),
    [
        *(
            (SHARD, value, "")
            for value in ("", "0/8", "9/8", "3", "3/", "/8", "a/8", "3/0", "1/10001", "auto/0", "-1/8")
        ),
        (URLS, "ftp://host/list.txt", ""),
        (URLS, "s3://bucket", "in an object store it is one object, s3://bucket/key, .*"),
        (URLS, "redis://h/list", "a shared list is redis://host:port/DB/NAME, .*"),
        (URLS, "redis://h/0/a b", "the name of a shared list is .*"),
        (URLS, "redis://h:port/0/list", "its port is no number .*"),
        (OUT, "ftp://host/%(name)s", "of object stores: s3:, gs:, az:"),
        (OUT, "s3://key:secret@bucket/%(name)s", "of an object store: .*"),
    ],
)
def test_what_is_planned_is_said_to_be(kind: Kind, value: str, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    with pytest.raises(ValueError, match=f"^{detail}$"):
        kind.parse(value)


def test_a_list_whose_name_looks_like_a_pattern_is_a_list(tmp_path: Path) -> None:
    path = tmp_path / "a[1].txt"
    path.touch()
    assert URLS.parse(str(path)) == str(path)


# Redo

CALLS = set(Outcome) - NOT_A_CALL - {Outcome.ERASED}
FAILED = CALLS - {Outcome.OK}
SILENT_OR_CUT = {"timeout", "dns", "connect", "tls", "reset", "truncated", "decode"}
PASSING = (401, 408, 425, 429, 500, 503, 599)


@pytest.mark.parametrize(
    ("said", "matched"),
    [
        ("none", set()),
        ("retryable", {(outcome, None) for outcome in SILENT_OR_CUT} | {("http_error", s) for s in PASSING}),
        ("failed", {(outcome, None) for outcome in FAILED} | {("http_error", s) for s in (301, 404, *PASSING)}),
        ("all", {(outcome, None) for outcome in CALLS} | {("http_error", s) for s in (301, 404, *PASSING)}),
        ("changed", {(outcome, None) for outcome in CALLS} | {("http_error", s) for s in (301, 404, *PASSING)}),
        ("404", {("http_error", 404)}),
        ("5xx,301", {("http_error", 301), ("http_error", 500), ("http_error", 503), ("http_error", 599)}),
    ],
)
def test_a_further_run_fetches_again_what_redo_names(said: str, matched: set[tuple[str, int | None]]) -> None:
    records = {(outcome, None) for outcome in Outcome} | {("http_error", s) for s in (301, 404, *PASSING)}
    assert {record for record in records if REDO.parse(said).matches(*record)} == matched


@pytest.mark.parametrize(
    ("said", "outcome", "status", "again"),
    [
        ("retryable", "truncated", 200, True),
        ("retryable", "too_large", 503, False),
        ("retryable", "ok", 200, False),
        ("failed", "rejected", 200, True),
        ("failed", "ok", 200, False),
        ("2xx", "ok", 204, True),
        ("200", "rejected", 200, True),
        ("200", "timeout", None, False),
    ],
)
def test_statuses_count_whatever_the_outcome_and_words_go_by_the_outcome(
    said: str, outcome: str, status: int | None, again: bool
) -> None:
    assert REDO.parse(said).matches(outcome, status) is again


@pytest.mark.parametrize("said", ["none", "retryable", "failed", "all", "4xx", "200,404"])
@pytest.mark.parametrize("outcome", sorted(NOT_A_CALL))
@pytest.mark.parametrize("status", [None, 200, 404])
def test_lines_that_never_became_a_call_are_never_redone(said: str, outcome: str, status: int | None) -> None:
    assert not REDO.parse(said).matches(outcome, status)


@pytest.mark.parametrize(
    ("value", "text"),
    [("5XX, 404,404", "404,5xx"), ([404, "5xx"], "404,5xx"), (404, "404"), ("Failed", "failed"), ("999", "999")],
)
def test_redo_has_one_spelling(value: object, text: str) -> None:
    redo = REDO.parse(value)
    assert redo.text == str(redo) == text
    assert REDO.parse(text) == redo
    assert isinstance(redo, Redo)


# Tolerance


@pytest.mark.parametrize(
    ("said", "failed", "lines", "allowed"),
    [
        ("0", 0, 10, True),
        ("0", 1, 10, False),
        ("100", 100, 100, True),
        ("100", 101, 10**9, False),
        ("0.5%", 5, 1000, True),
        ("0.5%", 6, 1000, False),
        ("0.5%", 1, 199, False),
        ("0.1%", 10**15, 10**18, True),
        ("0.1%", 10**15 + 1, 10**18, False),
        ("0%", 0, 0, True),
        ("100%", 7, 7, True),
    ],
)
def test_as_many_failures_as_said_are_not_too_many(said: str, failed: int, lines: int, allowed: bool) -> None:
    assert TOLERANCE.parse(said).allows(failed, lines) is allowed


@pytest.mark.parametrize(("value", "text"), [("0.50%", "0.5%"), ("100", "100"), (5, "5"), ("100%", "100%")])
def test_a_tolerance_has_one_spelling(value: object, text: str) -> None:
    tolerance = TOLERANCE.parse(value)
    assert str(tolerance) == text
    assert isinstance(tolerance, Tolerance)
    assert TOLERANCE.parse(text) == tolerance


# Hosts


@pytest.mark.parametrize(
    ("said", "allowed", "refused"),
    [
        (
            "api.example.com",
            ["https://api.example.com", "http://api.example.com", "https://API.example.com.:443"],
            ["https://example.com", "https://x.api.example.com", "https://api.example.com:8443",
             "http://api.example.com:443", "https://api.example.com.evil.org", "ftp://api.example.com:21"],
        ),
        (
            "*.example.com",
            ["https://a.example.com", "https://a.b.example.com"],
            ["https://example.com", "https://badexample.com", "https://a.example.com:8443", "https://com"],
        ),
        ("*.a.b:8443", ["https://x.a.b:8443", "http://x.a.b:8443"], ["https://x.a.b", "https://a.b:8443"]),
        ("localhost:8000", ["http://localhost:8000"], ["http://localhost", "http://localhost:8001"]),
        ("a:80,b:443", ["http://a", "http://a:80", "https://b"], ["https://a", "http://b"]),
        ("[::1]:8000,[2001:DB8::0:1]", ["http://[::1]:8000", "https://[2001:db8::1]"], ["http://[::1]"]),
        ("127.0.0.1", ["http://127.0.0.1"], ["http://127.0.0.2", "http://127.1"]),
        ("MÜNCHEN.de, *.ß.example", ["https://xn--mnchen-3ya.de", "https://a.xn--zca.example"], ["https://münchen.de"]),
    ],
)  # fmt: skip
def test_only_the_hosts_that_are_named_are_allowed(said: str, allowed: list[str], refused: list[str]) -> None:
    hosts = HOSTS.parse(said)
    assert {url: allows(hosts, url) for url in allowed} == dict.fromkeys(allowed, True)
    assert {url: allows(hosts, url) for url in refused} == dict.fromkeys(refused, False)
    assert HOSTS.parse(str(hosts)) == hosts


def allows(hosts: Hosts, url: str) -> bool:
    scheme, _, authority = url.partition("://")
    host, colon, port = authority.rpartition(":") if not authority.endswith("]") else (authority, "", "")
    return hosts.allows(host if colon else authority, int(port) if colon else None, scheme)


def test_hosts_may_stand_as_a_list_in_the_settings() -> None:
    assert HOSTS.parse(["a.example", "b.example:81"]) == HOSTS.parse("b.example:81,a.example")


# Headers and parameters


@pytest.mark.parametrize(
    ("kind", "value", "pairs"),
    [
        (HEADERS, "{}", ()),
        (HEADERS, '{"X": "a", "Y": ["b", "c"]}', (("X", "a"), ("Y", "b"), ("Y", "c"))),
        (HEADERS, {"X": ("a", "b")}, (("X", "a"), ("X", "b"))),
        (HEADERS, '{"Authorization": "Bearer ${T}"}', (("Authorization", "Bearer ${T}"),)),
        (HEADERS, '{"X": "\\u00e9\\t"}', (("X", "é\t"),)),
        (PARAMS, '{"n": 1, "x": 1.50}', (("n", "1"), ("x", "1.5"))),
        (PARAMS, '{"t": true, "f": false}', (("t", "true"), ("f", "false"))),
        (PARAMS, '{"id": [1, "two"], "": ""}', (("id", "1"), ("id", "two"), ("", ""))),
        (PARAMS, f'{{"n": {10**30}}}', (("n", str(10**30)),)),
        (PARAMS, {"a": [1], "A": "b"}, (("a", "1"), ("A", "b"))),
    ],
)  # fmt: skip
def test_a_json_object_becomes_pairs(kind: Kind, value: object, pairs: object) -> None:
    assert kind.parse(value) == pairs
    assert kind.parse(pairs) == pairs


@pytest.mark.parametrize(
    ("kind", "value", "detail"),
    [
        (HEADERS, "X: a", "Expecting value"),
        (HEADERS, "[]", None),
        (HEADERS, '[["X", "a"]]', None),
        (HEADERS, '"X"', None),
        (HEADERS, "[" * 100_000, "nested too deep"),
        (HEADERS, '{"X": "a", "x": "b"}', "x is there twice"),
        (HEADERS, {"X": "a", "x": "b"}, "x is there twice"),
        (HEADERS, '{"X": 1}', "X: a text without line breaks"),
        (HEADERS, '{"X": null}', "X: a text without line breaks"),
        (HEADERS, '{"X": {}}', "X: a text without line breaks"),
        (HEADERS, '{"X": []}', "X: a text without line breaks"),
        (HEADERS, '{"X": {"a": "b"}}', "X: a text without line breaks"),
        (HEADERS, '{"X": "a\\r\\nY: b"}', "X: a text without line breaks"),
        (HEADERS, '{"X": "a\\u0000"}', "X: a text without line breaks"),
        (HEADERS, '{"X": "\\ud800"}', "X: a text without line breaks"),
        (HEADERS, '{"": "a"}', "a header name has a wrong character after ''"),
        (HEADERS, '{"X\\r\\nY": "a"}', "a header name has a wrong character after 'X'"),
        (HEADERS, '{"host": "a"}', "host is the client's own to set"),
        (HEADERS, '{"Content-Length": "1"}', "Content-Length is the client's own to set"),
        (HEADERS, '{"Transfer-Encoding": "chunked"}', "Transfer-Encoding is the client's own to set"),
        (HEADERS, '{"Connection": "close"}', "Connection is the client's own to set"),
        (HEADERS, '{"X": "${API-KEY}"}', r"X: '\${' without a NAME}"),
        (HEADERS, "@no/such/file", "no/such/file: No such file or directory"),
        (HEADERS, (1, 2), None),
        (HEADERS, 5, None),
        (PARAMS, '{"a": 1, "a": 2}', "a is there twice"),
        (PARAMS, '{"a": null}', "a: a text, a number, true, false, or a list of them"),
        (PARAMS, '{"a": NaN}', "a: a text, a number"),
        (PARAMS, '{"a": 1e999}', "a: a text, a number"),
        (PARAMS, '{"a": [[1]]}', "a: a text, a number"),
        (PARAMS, '{"a": "\\udfff"}', "a: a text, a number"),
        (PARAMS, '{"${A}": "a"}', r"\${A}: only values are filled in"),
        (PARAMS, '{"a": "${A"}', r"a: '\${' without a NAME}"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused(kind: Kind, value: object, detail: str | None) -> None:
    with pytest.raises(ValueError, match=detail):
        kind.parse(value)


def test_the_object_may_stand_in_a_file(tmp_path: Path) -> None:
    """With a byte order mark too, as some editors write it."""
    path = tmp_path / "headers.json"
    path.write_text('{"X": "é"}', encoding="utf-8-sig")
    assert HEADERS.parse(f"@{path}") == (("X", "é"),)


@pytest.mark.parametrize("text", ["x{", '{"Authorization: Bearer s3cret": ""}', '{"A": 1, "B": "s3cret\\n"}'])
def test_no_detail_repeats_a_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(?!.*s3cret)"):
        HEADERS.parse(text)


@pytest.mark.parametrize(
    ("said", "environ", "shard"),
    [
        ("3/8", {}, Shard(3, 8)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "0"}, Shard(1, 8)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7", "JOB_COMPLETION_COUNT": "9"}, Shard(8, 8)),
        ("auto", {"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETION_COUNT": "3"}, Shard(3, 3)),
    ],
)
def test_a_part_is_found_in_the_environment_of_a_job(said: str, environ: dict[str, str], shard: Shard) -> None:
    assert find_shard(SHARD.parse(said), environ) == shard


@pytest.mark.parametrize(
    ("said", "environ", "why"),
    [
        ("auto", {"JOB_COMPLETION_INDEX": "2"}, "JOB_COMPLETION_COUNT in the environment, a whole number from 1"),
        ("auto/8", {}, "JOB_COMPLETION_INDEX in the environment, a whole number from 0 to 7: as in"),
        ("auto/8", {"JOB_COMPLETION_INDEX": "8"}, "from 0 to 7, not '8'"),
        ("auto/8", {"JOB_COMPLETION_INDEX": "-1"}, "from 0 to 7, not '-1'"),
    ],
)
def test_a_part_that_the_environment_does_not_tell_is_none(said: str, environ: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        find_shard(SHARD.parse(said), environ)
