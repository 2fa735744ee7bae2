"""What is yours stays yours: where secrets go and where they never do, and what a hostile list cannot have."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, quote_plus

import pytest

from tests.audit import audit, outcomes, refused
from tests.harness import STOCK_HANDLER

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl, CrawlResult

TOKEN = "s3same-0pen+/=&x"
SHORT = "pin7"


def received(result: CrawlResult) -> dict[str, Any]:
    """What /echo says of the last call; names of headers in lower case."""
    (envelope,) = (envelope for envelope in result.envelopes() if "/echo" in envelope["url"])
    call: dict[str, Any] = envelope["body"]
    call["headers"] = {name.lower(): value for name, value in call["headers"]}
    return call


def traces(result: CrawlResult, *secrets: str) -> list[str]:
    """Where any of *secrets*, in any usual writing, stands: files of the run, its output, its log."""
    forms = {form.encode() for secret in secrets for form in _writings(secret)}
    said = {str(path): path.read_bytes() for path in result.out.rglob("*") if path.is_file()}
    said |= {"stdout": result.stdout.encode(), "stderr": result.stderr.encode()}
    return [place for place, text in said.items() if any(form in text for form in forms)]


def _writings(secret: str) -> list[str]:
    return [secret, quote(secret), quote_plus(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]]


@pytest.mark.parametrize(
    "handler", [pytest.param({}, id="ours"), pytest.param(STOCK_HANDLER, id="Scrapy's", marks=pytest.mark.check)]
)
def test_a_token_reaches_the_server_and_nothing_else(api: ApiServer, crawl: Crawl, handler: dict[str, str]) -> None:
    """What goes wrong is told without it, too, and so is a value that is too short to be looked for."""
    paths = ["/items/1", "/missing/1", "/drop/1", "/cut/1", "/redirect?to=/items/2", "/hang/1", "/items/3?size=300000"]
    urls = [api.url(path) for path in paths]
    result = crawl(
        [*urls, f"http://{api.netloc.replace('127.0.0.1', 'localhost')}/items/3"],
        headers='{"X-API-Key": "${TOKEN}", "Authorization": "Bearer ${TOKEN}"}',
        params='{"key": "${TOKEN}", "plain": "${PIN}"}',
        hosts=api.netloc,
        env={"TOKEN": TOKEN, "PIN": SHORT},
        settings={
            "LOG_LEVEL": "DEBUG", "RETRY_TIMES": 0, "DOWNLOAD_TIMEOUT": 6, "DOWNLOAD_MAXSIZE": 200_000,
            **handler,
        },
    )  # fmt: skip
    audit(result, 4)
    assert outcomes(result) == {
        "ok": 2, "http_error": 1, "reset": 1, "truncated": 1, "forbidden_host": 1, "timeout": 1, "too_large": 1,
    }  # fmt: skip
    assert traces(result, TOKEN, f"plain={SHORT}") == []
    assert list(api.seen("/items/1")) == [f"/items/1?key=s3same-0pen%2B%2F%3D%26x&plain={SHORT}"]
    assert api.seen("/items/2") == {"/items/2": 1}  # params are of the listed call
    echo = crawl(
        [api.url("/echo/1?a=b")], out="echoed", hosts=api.netloc, env={"TOKEN": TOKEN},
        headers='{"X-API-Key": ["${TOKEN}", "2"], "Authorization": "Bearer ${TOKEN}"}', params='{"key": "${TOKEN}"}',
    )  # fmt: skip
    audit(echo, 0)
    call = received(echo)
    assert call["headers"]["authorization"] == f"Bearer {TOKEN}"
    assert call["target"] == "/echo/1?a=b&key=s3same-0pen%2B%2F%3D%26x"


def test_redirects_to_another_origin_go_bare(api: ApiServer, crawl: Crawl) -> None:
    other = api.origin.replace("127.0.0.1", "localhost")
    lines = [
        {"url": api.url(f"/redirect?to={other}/echo/1"), "headers": {"X-API-Key": "of-the-line", "Cookie": "c=1"}},
        {"url": api.url("/redirect?to=/echo/2"), "headers": {"X-API-Key": "of-the-line"}},
        {"url": api.url(f"/redirect?to={other}/echo/3&status=307"), "method": "POST", "body": {"pin": 1}},
    ]
    (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = crawl(
        "items.jsonl", headers='{"X-Mine": "of-the-arguments", "Authorization": "Bearer ${TOKEN}"}', hosts=api.netloc,
        env={"TOKEN": TOKEN},
    )  # fmt: skip
    audit(result, 8)
    bodies = {envelope["line"]: envelope["body"] for envelope in result.envelopes()}
    away, home = ({name.lower(): value for name, value in bodies[line]["headers"]} for line in (1, 2))
    assert not {"x-api-key", "cookie", "x-mine", "authorization"} & set(away)
    assert (home["x-api-key"], home["x-mine"], home["authorization"]) == (
        "of-the-line", "of-the-arguments", f"Bearer {TOKEN}",
    )  # fmt: skip
    assert [row["outcome"] for row in result.rows("select outcome from records order by line")] == [
        "ok", "ok", "bad_redirect",
    ]  # fmt: skip
    assert "/echo/3" not in api.seen("/echo")


KINDS = {
    "X-Api-Key": "of-the-list", "Authorization": "Bearer of-the-list", "Cookie": "a=of-the-list",
    "X-Mine": "of-the-arguments", "X-Token": "${TOKEN}", "X-Passed": "${TOKEN}",
}  # fmt: skip
"""Six kinds of headers that a user brings: three of a line, one of the arguments, and what stands for a secret."""


def test_nothing_of_the_users_comes_to_another_origin(api: ApiServer, crawl: Crawl) -> None:
    """Over five codes; within the origin all of it is there after each of them."""
    other = api.origin.replace("127.0.0.1", "localhost")
    own = {name: KINDS[name] for name in ("X-Api-Key", "Authorization", "Cookie", "X-Passed")}
    to = {code: {"away": f"{other}/echo/{code}", "home": f"/echo/{code}?home"} for code in (301, 302, 303, 307, 308)}
    lines = [
        {"url": api.url(f"/redirect?status={code}&to={quote(url, safe='')}"), "headers": own, "id": f"{code} {where}"}
        for code, places in to.items() for where, url in places.items()
    ]  # fmt: skip
    (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = crawl(
        "items.jsonl", headers=json.dumps({"X-Mine": KINDS["X-Mine"], "X-Token": "${TOKEN}"}), hosts=api.netloc,
        env={"TOKEN": TOKEN}, pass_env="TOKEN", params='{"pin": "of-the-params"}',
    )  # fmt: skip
    audit(result, 0)
    brought = {name: value.replace("${TOKEN}", TOKEN) for name, value in KINDS.items()}
    for envelope in result.envelopes():
        call = envelope["body"]
        got = {name: value for name, value in call["headers"] if name in {*KINDS, "Referer", "Origin"}}
        assert got == (brought if envelope["key"].endswith("home") else {}), envelope["key"]
        assert "of-the-" not in call["target"]
    rows = result.rows("select key, redirects, attempts, final_url from records order by line")
    assert [(row["redirects"], row["attempts"]) for row in rows] == [(1, 2)] * 10
    assert rows[0]["final_url"] == f"{other}/echo/301"


def test_a_list_uses_the_variables_that_pass_env_names_and_no_others(api: ApiServer, crawl: Crawl) -> None:
    """As they stand in a URL, a header and a body; the record knows only the name."""
    lines: list[dict[str, Any]] = [
        {"url": api.url("/echo/${TOKEN}/1?k=${TOKEN}&o=${OTHER}"), "headers": {"X-K": "a ${TOKEN}", "X-O": "${OTHER}"}},
        {"url": api.url("/echo/2"), "method": "POST", "body": {"pin": "${TOKEN}", "o": "${OTHER}"}},
        {
            "url": api.url("/echo/3"), "method": "POST", "body": "a=${TOKEN}&b=1",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        },
        {"url": api.url("/echo/4"), "method": "POST", "body": "${TOKEN}"},
        {"url": api.url("/echo/5?k=${TOKEN}").replace("127.0.0.1", "localhost")},
        {"url": api.url("/redirect?to=/echo/6?%24%7BTOKEN%7D")},
    ]  # fmt: skip
    (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    secret = 'quo"ted\\ & ${OTHER}'
    result = crawl(
        "items.jsonl", hosts=api.netloc, pass_env="TOKEN", env={"TOKEN": secret, "OTHER": "never-sent"}, save="raw",
        settings={"LOG_LEVEL": "DEBUG"},
    )  # fmt: skip
    audit(result, 8)
    calls = {
        row["line"]: json.loads((result.out / row["location"]).read_bytes()) for row in result.rows() if row["location"]
    }
    encoded = quote(secret, safe="")
    assert calls[1]["target"] == f"/echo/{encoded}/1?k={encoded}&o=${{OTHER}}"
    headers = dict(calls[1]["headers"])
    assert (headers["X-K"], headers["X-O"]) == (f"a {secret}", "${OTHER}")
    bodies = {line: b64decode(calls[line]["body_base64"]).decode() for line in (2, 3, 4)}
    assert json.loads(bodies[2]) == {"pin": secret, "o": "${OTHER}"}
    assert parse_qs(bodies[3]) == {"a": [secret], "b": ["1"]}
    assert bodies[4] == secret
    assert calls[6]["target"] == "/echo/6?${TOKEN}"  # of the server, which may not ask
    rows = result.rows("select outcome, url from records order by line")
    assert [row["outcome"] for row in rows] == ["ok", "ok", "ok", "ok", "forbidden_host", "ok"]
    assert rows[0]["url"] == lines[0]["url"]
    assert {Path(path).parent.parent.name for path in traces(result, secret)} == {"responses"}  # what /echo sent back
    refused(crawl("items.jsonl", out="refused", pass_env="MISSING"), 2, "hosts")
    refused(crawl("items.jsonl", out="refused", pass_env="MISSING", hosts=api.netloc), 2, "pass_env", "MISSING")


def test_a_password_in_a_url_is_sent_and_kept_only_where_it_is_asked_again(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url(path).replace("://", "://me:pass%2Fword@") for path in ("/echo/1", "/missing/1")]
    result = crawl(urls, settings={"LOG_LEVEL": "DEBUG"})
    audit(result, 8)
    expected = f"Basic {b64encode(b'me:pass/word').decode()}"
    assert received(result)["headers"].pop("authorization") == expected
    private = {"ledger.sqlite", "failed.jsonl"}
    assert {Path(path).name for path in traces(result, "pass%2Fword")} == private
    assert all("me:***@" in row["url"] for row in result.rows())
    assert [line["url"] for line in result.lines("failed.jsonl")] == urls[1:]
    (asked,) = result.rows("select request from requests")  # ok ones are forgotten
    assert urls[1] in asked["request"]


def test_what_is_forgotten_is_gone_and_what_others_planted_is_not_followed(api: ApiServer, crawl: Crawl) -> None:
    """A failed call's key goes from the ledger's file with its success; a link in the folder leads nowhere."""
    out = crawl.cwd / "out" / "items"
    out.mkdir(parents=True)
    out.chmod(0o777)
    (out / "run.log").symlink_to(crawl.cwd / "elsewhere")
    urls = [api.url("/fail/1?times=1&key=of-the-list-itself")]
    first = crawl(urls, retries=0, env={"SSLKEYLOGFILE": str(crawl.cwd / "keys")})
    assert first.returncode == 8
    assert b"of-the-list-itself" in (out / "ledger.sqlite").read_bytes()
    assert not (crawl.cwd / "elsewhere").exists()
    for text in ("WARNING: no run.log", "chmod o-w", "can read all calls over TLS"):
        assert text in first.stderr
    (out / "run.log").unlink()
    out.chmod(0o700)
    second = crawl(urls)
    audit(second, 0)
    assert traces(second, "of-the-list-itself") == []
    assert "WARNING" not in second.stderr


def test_a_list_that_someone_else_wrote_gets_nothing(api: ApiServer, crawl: Crawl) -> None:
    """Neither what the environment holds, nor a file, nor a host that was not meant."""
    lines = [
        {"url": api.url("/echo/1?x=${HOME}&y=${TOKEN}"), "headers": {"X-Y": "${TOKEN}"}, "body": "${TOKEN}"},
        {"url": "file:///etc/passwd"},
        {"url": "data:,x"},
        {"url": "ftp://127.0.0.1/x"},
        {"url": api.url("/echo/2").replace("127.0.0.1", "localhost")},
        {"url": "http://name.invalid/x"},
        {"url": api.url("/x"), "headers": {"Host": "other.example"}},
        {"url": api.url("/x"), "headers": {"X": "a\r\nY: b"}},
        {"url": api.url("/x y\r\nHost: z")},
    ]
    (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = crawl("items.jsonl", hosts=api.netloc, headers='{"Z": "${TOKEN}"}', env={"TOKEN": TOKEN})
    audit(result, 8)
    assert [row["outcome"] for row in result.rows("select outcome from records order by line")] == [
        "ok", "invalid", "invalid", "invalid", "forbidden_host", "forbidden_host", "invalid", "invalid", "invalid",
    ]  # fmt: skip
    call = received(result)
    assert (call["target"], call["headers"]["x-y"]) == ("/echo/1?x=${HOME}&y=${TOKEN}", "${TOKEN}")
    assert call["body_base64"] == b64encode(b"${TOKEN}").decode()
    assert call["headers"]["z"] == TOKEN
    assert api.stats()["connections"] == 1


def test_a_secret_needs_hosts_and_the_message_says_which(api: ApiServer, crawl: Crawl) -> None:
    for name in ("headers", "params"):
        given: dict[str, Any] = {name: '{"X-Key": "${TOKEN}"}'}
        result = crawl([api.url("/items/1")], env={"TOKEN": TOKEN}, **given)
        refused(result, 2, "hosts", "${TOKEN}", f"-a hosts={api.netloc}")
    missing = crawl([api.url("/items/1")], hosts=api.netloc, headers='{"X-Key": "${TOKEN}"}')
    refused(missing, 2, "TOKEN", "environment")
    assert not (crawl.cwd / "out").exists()


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads what the system says of a process's sockets")
def test_a_run_listens_nowhere_and_keeps_the_environment_to_itself(api: ApiServer, crawl: Crawl) -> None:
    proxy = {"APIFETCH_CHECK": "seen", "NO_PROXY": "*", "HTTP_PROXY": "http://127.0.0.1:9"}
    running = crawl([api.url("/slow/1?delay_ms=5000"), api.url("/echo/1")], wait=False, env=proxy)
    running.wait_for(lambda: api.stats()["held"] == 1)
    sockets = _listening(running.process.pid)
    limits = Path(f"/proc/{running.process.pid}/limits").read_text()
    result = running.wait()
    audit(result, 0)
    assert sockets == []
    assert next(line.split() for line in limits.splitlines() if "core file" in line)[4] == "0"
    assert set(received(result)["headers"]) <= {"host", "accept", "user-agent", "accept-encoding", "connection"}


def _listening(pid: int) -> list[str]:
    """Local addresses on which a process listens (proc(5): state 0A)."""
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    rows = [
        line.split()
        for kind in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
