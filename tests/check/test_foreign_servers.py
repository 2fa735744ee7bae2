"""Servers that others wrote: what each sends is stored as it is, and what each does wrong has its one outcome."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

import pytest

from tests.audit import audit
from tests.check.foreign.httpbin import OK, OTHERS, SAME, SENT, httpbin
from tests.check.foreign.nginx import Nginx, nginx
from tests.check.foreign.wiremock import BODY, STUBS, wiremock
from tests.harness import Crawl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import CrawlResult

pytestmark = [pytest.mark.check, pytest.mark.xdist_group("foreign")]

TIMEOUT_S: Final = 3.0
LATE_S: Final = 60.0
WORKERS: Final = 20
ONE_TRY: Final = {"DOWNLOAD_TIMEOUT": TIMEOUT_S, "RETRY_TIMES": 0}

Row = dict[str, Any]


def fetched(result: CrawlResult) -> dict[str, Row]:
    """URL -> its one row, none of them later than its timeout."""
    rows = {row["url"]: row for row in result.rows()}
    assert len(rows) == len(result.rows())
    assert max(row["elapsed_ms"] for row in rows.values()) <= (TIMEOUT_S + LATE_S) * 1000
    return rows


# nginx


@pytest.fixture(scope="module")
def web(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx(tmp_path_factory.mktemp("nginx")) as web:
        (web.files / "small.json").write_bytes(b'{"small": [1.0, 1e3]}\n')
        (web.files / "words.json").write_bytes(json.dumps(["word"] * 50_000).encode())
        (web.files / "empty.json").write_bytes(b"")
        (web.files / "large.bin").write_bytes(random.Random(1).randbytes(30_000_000))  # more than any buffer
        (web.files / "larger.bin").write_bytes(b"x" * 41_000_000)
        yield web


FILES: Final = ("small.json", "words.json", "empty.json", "large.bin", "packed/words.json", "moved/small.json")
VERSIONS: Final = (("plain", "auto", "HTTP/1.1"), ("tls", "1.1", "HTTP/1.1"), ("tls", "auto", "HTTP/2.0"))


@pytest.mark.parametrize(("origin", "http", "protocol"), VERSIONS)
def test_what_nginx_serves_is_stored_as_it_is(crawl: Crawl, web: Nginx, origin: str, http: str, protocol: str) -> None:
    """Small, large, empty and packed files, over each version of HTTP; 403, 404, nothing at all, and too much."""
    origin = getattr(web, origin)
    others = {
        "refused/x": ("http_error", 403),
        "none.json": ("http_error", 404),
        "closed/x": ("reset", None),
        "larger.bin": ("too_large", None),
    }
    settings = {"APIFETCH_CA_FILE": web.ca_file, "APIFETCH_HTTP": http, "DOWNLOAD_MAXSIZE": 40_000_000}
    result = crawl([f"{origin}/{path}" for path in (*FILES, *others)], save="raw", retries=0, settings=settings)
    audit(result, 4)
    rows = {row["url"].removeprefix(f"{origin}/"): row for row in result.rows()}
    assert {path: (rows[path]["outcome"], rows[path]["status"]) for path in others} == others
    for path in FILES:
        body = (web.files / path.rpartition("/")[2]).read_bytes()
        assert (path, rows[path]["outcome"], rows[path]["http_version"]) == (path, "ok", protocol)
        assert (result.out / rows[path]["location"]).read_bytes() == body
    assert {hit.coding for hit in web.served(origin) if hit.target == "/packed/words.json"} == {"gzip"}


def test_what_a_limit_of_nginxs_refuses_is_answered_in_the_end(crawl: Crawl, web: Nginx) -> None:
    """Ten calls a second, 429 beyond: a refusal is waited out, and uses up none of the retries."""
    urls = [f"{web.plain}/limited/{n}" for n in range(10)]
    result = crawl(urls, workers=5, settings={**ONE_TRY, "RETRY_TIMES": 1, "APIFETCH_RETRY_CAP_S": 5})
    audit(result, 0)
    statuses = [hit.status for hit in web.served(web.plain) if "/limited/" in hit.target]
    assert statuses.count("200") == len(urls)
    assert statuses.count("429") == len(statuses) - len(urls) > 0
    assert result.rows("select sum(attempts) as n from records") == [{"n": len(statuses)}]


CALLS: Final = 10_000


@pytest.mark.parametrize(("origin", "http", "protocol"), VERSIONS)
def test_ten_thousand_calls_open_no_more_connections_than_workers(
    crawl: Crawl, web: Nginx, origin: str, http: str, protocol: str
) -> None:
    """By nginx's own count; with TLS each is a handshake."""
    origin = getattr(web, origin)
    before = len(web.served(origin))
    settings = {"APIFETCH_CA_FILE": web.ca_file, "APIFETCH_HTTP": http}
    urls = [f"{origin}/items/{n}" for n in range(CALLS)]
    audit(crawl(urls, workers=WORKERS, settings=settings, timeout_s=240), 0)
    served = web.served(origin)[before:]
    assert len(served) == CALLS
    assert {(hit.protocol, hit.status) for hit in served} == {(protocol, "200")}
    assert len({hit.connection for hit in served}) <= WORKERS


# httpbin


@pytest.fixture(scope="module")
def bin_origin(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with httpbin(tmp_path_factory.mktemp("httpbin")) as origin:
        yield origin


@pytest.fixture(scope="module")
def bin_result(bin_origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrawlResult]:
    crawl = Crawl(tmp_path_factory.mktemp("bin"))
    urls = [bin_origin + path for path in (*SAME, *OTHERS)]
    yield crawl(urls, workers=WORKERS, save="raw", settings=ONE_TRY)
    crawl.close()


@pytest.fixture(scope="module")
def bin_rows(bin_origin: str, bin_result: CrawlResult) -> dict[str, Row]:
    return {url.removeprefix(bin_origin): row for url, row in fetched(bin_result).items()}


def body_of(result: CrawlResult, row: Row) -> bytes:
    location: str = row["location"]
    return (result.out / location).read_bytes()


def test_the_run_against_httpbin_ends_as_any_other_with_failures_does(bin_result: CrawlResult) -> None:
    audit(bin_result, 4)


@pytest.mark.parametrize("path", SAME)
def test_a_body_is_the_one_that_another_client_gets(
    bin_origin: str, bin_result: CrawlResult, bin_rows: dict[str, Row], path: str
) -> None:
    row = bin_rows[path]
    assert (row["outcome"], row["status"]) == OK
    with urlopen(Request(bin_origin + path, headers={"Accept": "*/*"}), timeout=240) as response:
        assert body_of(bin_result, row) == response.read()


@pytest.mark.parametrize("path", OTHERS)
def test_what_httpbin_is_asked_to_do_has_its_outcome(bin_rows: dict[str, Row], path: str) -> None:
    row = bin_rows[path]
    assert (row["outcome"], row["status"]) == OTHERS[path], row["error"]


def test_bodies_that_httpbin_makes_of_the_request_hold_what_was_sent(
    bin_result: CrawlResult, bin_rows: dict[str, Row]
) -> None:
    def document(path: str) -> Any:
        return json.loads(body_of(bin_result, bin_rows[path]))

    assert document("/get?a=1&a=%20")["args"] == {"a": ["1", " "]}
    assert document("/gzip")["gzipped"]
    assert document("/deflate")["deflated"]
    assert document("/brotli")["brotli"]
    assert document("/cookies/set?a=1") == {"cookies": {}}  # one call's cookies are not the next one's
    lines = body_of(bin_result, bin_rows["/stream/7"]).splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(7))
    assert bin_rows["/redirect/5"]["redirects"] == 5
    assert bin_rows["/bytes/3000"]["bytes"] == 3000
    assert bin_rows["/stream-bytes/50000?chunk_size=700"]["bytes"] == 50_000


def test_method_headers_and_body_arrive_exactly_as_given(crawl: Crawl, bin_origin: str) -> None:
    urls = [f"{bin_origin}/anything/{n}?x=%7e&y=a+b" for n in range(len(SENT))]
    lines = [json.dumps({"url": url, **call}, ensure_ascii=False) for url, call in zip(urls, SENT, strict=True)]
    (crawl.cwd / "calls.jsonl").write_text("\n".join(lines))
    result = crawl("calls.jsonl", save="raw", settings=ONE_TRY)
    audit(result, 0)
    got = [json.loads(body_of(result, row)) for row in result.rows("select * from records order by line")]
    assert [call["method"] for call in got] == [call["method"] for call in SENT]
    assert got[0]["json"] == SENT[0]["body"]
    assert got[0]["data"] == '{"a":1.0,"é":null}'
    assert (got[1]["form"], got[1]["data"]) == ({"a": "1", "b": " "}, "")
    assert got[2]["data"] == "data:application/octet-stream;base64,AAECA/8="
    assert (got[3]["data"], got[3]["headers"]["Content-Length"]) == ("", "0")
    assert SENT[4]["headers"].items() <= got[4]["headers"].items()
    assert got[5]["headers"]["Authorization"] == "Bearer of-a-test"
    assert all(call["args"] == {"x": "~", "y": "a b"} for call in got)


# WireMock


@pytest.fixture(scope="module")
def mock_origin(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with wiremock(tmp_path_factory.mktemp("wiremock")) as origin:
        yield origin


@pytest.fixture(scope="module")
def mock_result(mock_origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrawlResult]:
    crawl = Crawl(tmp_path_factory.mktemp("mock"))
    yield crawl([f"{mock_origin}/{name}" for name in STUBS], workers=WORKERS, save="raw", settings=ONE_TRY)
    crawl.close()


def test_the_run_against_wiremock_ends_as_any_other_with_failures_does(mock_result: CrawlResult) -> None:
    audit(mock_result, 4)


@pytest.mark.parametrize("name", STUBS)
def test_a_fault_costs_one_record_with_its_outcome(mock_origin: str, mock_result: CrawlResult, name: str) -> None:
    _, outcome = STUBS[name]
    row = fetched(mock_result)[f"{mock_origin}/{name}"]
    assert (row["outcome"], row["status"]) == outcome, row["error"]
    if row["outcome"] == "ok":
        assert row["sha256"] == hashlib.sha256(BODY.encode()).hexdigest()


def test_a_call_that_fails_twice_in_two_ways_is_ok_the_third_time(crawl: Crawl, mock_origin: str) -> None:
    result = crawl([f"{mock_origin}/third-time"], settings={**ONE_TRY, "RETRY_TIMES": 2})
    audit(result, 0)
    assert [(row["status"], row["attempts"]) for row in result.rows()] == [(200, 3)]


@pytest.mark.parametrize("name", ["reset", "malformed", "too-late"])
def test_a_post_that_may_have_been_carried_out_is_unknown(crawl: Crawl, mock_origin: str, name: str) -> None:
    line = {"url": f"{mock_origin}/{name}", "method": "POST", "body": {"n": 1}}
    (crawl.cwd / "calls.jsonl").write_text(json.dumps(line))
    result = crawl("calls.jsonl", settings={**ONE_TRY, "RETRY_TIMES": 2})
    audit(result, 4)
    assert [(row["outcome"], row["attempts"]) for row in result.rows()] == [("unknown", 1)]
