"""What goes wrong: every kind of failure is one record and one exit code, every mistake one sentence on stderr."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.audit import audit, by_url, outcomes, refused
from tests.harness import write_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

ONE_TRY = {"RETRY_TIMES": 0}


# One call, one outcome


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_each_failure_is_one_record_with_its_outcome(api: ApiServer, crawl: Crawl, closed_port: int) -> None:
    bad_gzip = api.put_bytes("gz", b"no gzip at all") + "?header=Content-Encoding:gzip"
    big = api.url("/items/big?size=300000")
    expected = {
        api.url("/missing/1"): ("http_error", 404),
        api.url("/status/503"): ("http_error", 503),
        api.url("/status/304"): ("http_error", 304),
        api.url("/status/206"): ("bad_response", 206),
        api.url("/status/799"): ("bad_response", 799),
        api.url("/status/204"): ("ok", 204),
        api.url("/hang/1"): ("timeout", None),
        f"http://127.0.0.1:{closed_port}/x": ("connect", None),
        "http://name.invalid/x": ("dns", None),
        api.url("/drop/1"): ("reset", None),
        api.url("/cut/1"): ("truncated", None),
        big: ("too_large", None),
        api.url("/redirect?to=file:///etc/passwd"): ("bad_redirect", 302),
        api.url("/redirect?to=http://user:pw@127.0.0.1/"): ("bad_redirect", 302),
        api.url("/redirect?to=mailto:x"): ("bad_redirect", 302),
        api.url("/redirect?to=http://[::1/"): ("bad_redirect", 302),
        api.origin.replace("http:", "https:") + "/tls": ("tls", None),
        bad_gzip: ("decode", 200),
        api.url("/items/1"): ("ok", 200),
    }
    loop = api.url("/redirect?to=/redirect")
    result = crawl([*expected, loop], settings={**ONE_TRY, "DOWNLOAD_TIMEOUT": 6, "DOWNLOAD_MAXSIZE": 200_000})
    audit(result, 4)
    rows = by_url(result)
    assert {url: (row["outcome"], row["status"]) for url, row in rows.items() if url != loop} == {
        url.replace("user:pw@", "user:***@"): outcome for url, outcome in expected.items()
    }
    assert (rows[loop]["outcome"], rows[loop]["status"], rows[loop]["redirects"]) == ("bad_redirect", 302, 5)
    assert all(row["error"] for row in rows.values() if row["outcome"] != "ok")
    assert result.summary["equation"]["ok"] == 2


def test_a_server_that_nobody_vouches_for_gets_no_request(crawl: Crawl, tls_origin: tuple[str, list[bytes]]) -> None:
    origin, heard = tls_origin
    result = crawl([f"{origin}/x"], settings=ONE_TRY, headers='{"X-Key": "k"}')
    audit(result, 4)
    assert outcomes(result) == {"tls": 1}
    assert heard == []
    trusting = crawl([f"{origin}/x"], settings={**ONE_TRY, "DOWNLOAD_VERIFY_CERTIFICATES": "False"})
    audit(trusting, 0)
    assert len(heard) == 1


@pytest.fixture
def tls_origin(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """An https server with a certificate of its own making; what it was sent."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*make.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):  # the end: the server is closed
                while True:
                    connection = server.accept()[0]
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                        if not (request := tls.recv(65536)):
                            continue  # TLS 1.3: the client refuses only after the server is done
                        heard.append(request)
                        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


# The exit code


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["/items/1", "/items/1"], 0),
        ([], 0),
        (["/items/1", "nonsense"], 65),
        (["/items/1", "nonsense", "/missing/1"], 8),
        (["/items/1", "nonsense", "/missing/1", "/cut/1"], 4),
    ],
)
def test_the_exit_code_tells_the_worst_that_is_left(api: ApiServer, crawl: Crawl, lines: list[str], code: int) -> None:
    result = crawl([api.url(line) if line.startswith("/") else line for line in lines], settings=ONE_TRY)
    audit(result, code)
    assert f"Exit code {code}:" in result.stderr


def test_failures_that_are_allowed_for_exit_0(api: ApiServer, crawl: Crawl) -> None:
    audit(crawl([api.url("/items/1"), api.url("/items/2"), api.url("/missing/1"), "nonsense"]), 8)
    for max_failed, code in {"2": 0, "1": 8, "50%": 0, "49.9%": 8}.items():
        audit(crawl("items.txt", max_failed=max_failed), code)


# Mistakes

MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no list": ({}, ["urls", "scrapy crawl apifetch -a urls=FILE"]),
    "no such list": ({"urls": "nowhere.txt"}, ["nowhere.txt", "no such file"]),
    "a folder with an archive in it": ({"urls": "."}, ["zip.txt", "zip archive"]),
    "a binary": ({"urls": "zip.txt"}, ["zip.txt", "zip"]),
    "a column that is not there": ({"urls": "table.csv", "column": "link"}, ["table.csv", "'link'", "'url', 'id'"]),
    "mistyped": ({"worker": "5"}, ["worker", "did you mean -a workers?"]),
    "mistyped secret": ({"header": '{"X-Key": "sesame-open"}'}, ["did you mean -a headers?"]),
    "no number": ({"workers": "many"}, ["workers='many'", "whole number"]),
    "no bucket": ({"out": "s3://"}, ["out='s3://'", "s3://bucket/prefix"]),
    "no rate": ({"rate": "fast"}, ["rate='fast'", "calls per s"]),
    "said twice": ({"workers": 5, "settings": {"CONCURRENT_REQUESTS": 6}}, ["workers", "CONCURRENT_REQUESTS"]),
    "a wrong setting": ({"settings": {"APIFETCH_UMASK": "999"}}, ["APIFETCH_UMASK='999'", "octal"]),
    "no handler": (
        {"settings": {"APIFETCH_HTTP_HANDLER": "nowhere.Handler"}},
        ["APIFETCH_HTTP_HANDLER='nowhere.Handler'", "download handler"],
    ),
    "no JSON": ({"headers": "X-Key: sesame-open"}, ["headers", "JSON object"]),
    "no directory": ({"out": "items.txt"}, ["items.txt"]),
    "below a file": ({"out": "items.txt/x"}, ["items.txt/x", "directory"]),
    "no spider": ({"spider": "apifecth"}, ["no spider is called 'apifecth'", "apifetch"]),
}


def test_every_mistake_is_one_sentence_and_leaves_nothing(api: ApiServer, crawl: Crawl) -> None:
    write_list(crawl.cwd / "items.txt", [api.url("/items/1")])
    write_list(crawl.cwd / "table.csv", ["url,id", f"{api.url('/items/1')},1"])
    (crawl.cwd / "zip.txt").write_bytes(b"PK\x03\x04" + bytes(100))
    before = set(crawl.cwd.iterdir())
    given = {"urls": "items.txt"}
    begun = {
        name: crawl(wait=False, **({} if name == "no list" else given) | how) for name, (how, _) in MISTAKES.items()
    }
    for name, running in begun.items():
        result = running.wait()
        refused(result, 3 if str(MISTAKES[name][0].get("out")).startswith("items") else 2, *MISTAKES[name][1])
        assert "sesame-open" not in result.stderr, name
        assert len(result.stderr.splitlines()) <= 4, name
    assert set(crawl.cwd.iterdir()) == before | {crawl.cwd / ".harness"}
    assert api.stats()["requests"] == 0


def test_what_may_have_been_carried_out_is_sent_once(api: ApiServer, crawl: Crawl) -> None:
    """Though connections that are kept die: whoever sends again on another one may do a thing twice."""
    lines: list[dict[str, object]] = [{"url": api.url(f"/items/{n}?delay_ms=50")} for n in range(10)]
    lines += [{"url": api.url(f"/drop/{n}"), "method": method} for n, method in enumerate(["POST", "PATCH", "post"])]
    lines.append({"url": api.url("/flaky/1"), "method": "POST", "body": {"a": 1}})
    (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = crawl("items.jsonl", workers=5)
    audit(result, 4)
    assert outcomes(result) == {"ok": 10, "unknown": 3, "http_error": 1}
    assert set(api.seen().values()) == {1}
    crawl("items.jsonl")
    assert set(api.seen("/drop").values()) == {1}  # nor by the same command again
