"""The demo API, asked over real sockets: what the other tests take for granted about their server."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import signal
import socket
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from crawler.demo.bodies import ITEM_BYTES, item_body
from tests.api_server import ROOT, ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 120.0  # nothing here takes a second; a test that hangs says where


@pytest.fixture
def http_client(api: ApiServer) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection(api.netloc, timeout=TIMEOUT_S)) as connection:
        yield connection


class Wire(socket.socket):
    """A raw connection to the API."""

    def __init__(self, api: ApiServer) -> None:
        super().__init__()
        self.settimeout(TIMEOUT_S)
        host, port = api.netloc.split(":")
        self.connect((host, int(port)))

    def until_closed(self) -> bytes:
        return b"".join(iter(lambda: self.recv(65536), b""))

    def ask(self, data: bytes) -> bytes:
        """All that comes back until the API closes the connection."""
        self.sendall(data)
        return self.until_closed()


def get(client: HTTPConnection, target: str, **headers: str) -> tuple[int, bytes]:
    client.request("GET", target, headers=headers)
    response = client.getresponse()
    return response.status, response.read()


def get_json(client: HTTPConnection, target: str) -> Any:
    return json.loads(get(client, target)[1])


def wait_until_held(api: ApiServer, count: int) -> None:
    """The API reports, so that no test sleeps for a time that is never right."""
    while api.stats()["held"] != count:
        pass


# Bodies


@pytest.mark.parametrize("item", ["1", "cust-42", 'quo"te', "ünï", "a%20b", "x" * 500])
@pytest.mark.parametrize("size", [ITEM_BYTES, 1_500, 2_000_000])
def test_an_item_is_a_json_object_of_the_size_asked_for_that_names_itself_at_both_ends(item: str, size: int) -> None:
    body = item_body(item, size)
    document = json.loads(body)
    assert (len(body), document["id"], document["end"]) == (size, item, item)


def test_an_item_too_small_for_anything_else_is_still_whole() -> None:
    for size in range(400):  # the members between the ids come one after the other
        body = item_body("7", size)
        assert json.loads(body)["id"] == "7"
        assert len(body) == max(size, len(b'{"id": "7", "end": "7"}'))


def test_an_item_is_the_same_in_every_process(http_client: HTTPConnection) -> None:
    assert get(http_client, "/items/17") == (200, item_body("17"))
    assert item_body("17") != item_body("18")


def test_any_body_can_be_made_larger_and_stays_json(http_client: HTTPConnection) -> None:
    status, body = get(http_client, "/missing/1?size=5000")
    assert (status, len(body), json.loads(body)["status"]) == (404, 5000, 404)


# The protocol


def test_a_connection_is_kept_for_many_requests(api: ApiServer, http_client: HTTPConnection) -> None:
    for n in range(50):
        assert get(http_client, f"/items/{n}?size=100") == (200, item_body(str(n), 100))
    assert (api.stats()["requests"], api.stats()["connections"]) == (50, 1)


def test_pipelined_requests_are_answered_in_order_whatever_each_takes(api: ApiServer) -> None:
    targets = [f"/echo?n={n}&delay_ms={delay}" for n, delay in enumerate([60, 0, 20, 0, 0])]
    requests = [f"GET {target} HTTP/1.1\r\nHost: a\r\n".encode() for target in targets]
    with Wire(api) as wire:
        answer = wire.ask(b"\r\n".join(requests) + b"Connection: close\r\n\r\n")
    documents = [json.loads(part.split(b"\r\n\r\n")[1]) for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [document["target"] for document in documents] == targets


def test_a_request_may_come_byte_by_byte(api: ApiServer) -> None:
    data = b"\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    with Wire(api) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(data)):
            wire.sendall(data[n : n + 1])
        _, _, body = wire.until_closed().partition(b"\r\n\r\n")
    assert json.loads(body)["body_base64"] == base64.b64encode(b"hello").decode()


def test_head_gets_the_head_of_get_and_no_body(http_client: HTTPConnection) -> None:
    for _ in range(2):  # a stray body would be read as the next answer
        http_client.request("HEAD", "/items/1")
        response = http_client.getresponse()
        assert (response.status, response.headers["Content-Length"]) == (200, str(ITEM_BYTES))
        assert response.read() == b""


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(api: ApiServer, status: int) -> None:
    with Wire(api) as wire:
        answer = wire.ask(f"GET /status/{status}?size=100 HTTP/1.0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-" not in answer


@pytest.mark.parametrize(
    ("ending", "kept"),
    [
        (b"HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0\r\n\r\n", False),
        (b"HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_the_connection_lives_as_long_as_the_client_says(api: ApiServer, ending: bytes, kept: bool) -> None:
    last = b"GET /status/299 HTTP/1.0\r\n\r\n"
    with Wire(api) as wire:
        answer = wire.ask(b"GET /status/200 " + ending + (last if kept else b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (b"HTTP/1.1 299 " in answer) is kept


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1;name=value\r\nh\r\n4 \r\nello\r\n00\r\nTrailer: x\r\n\r\n", b"hello"),
        (b"5\r\n\r\n\r\n\r\r\n0\r\n\r\n", b"\r\n\r\n\r"),
    ],
)
def test_a_chunked_body_arrives_whole_and_the_next_request_after_it(api: ApiServer, chunks: bytes, body: bytes) -> None:
    data = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    data = data * 2 + b"GET /status/299 HTTP/1.0\r\n\r\n"
    with Wire(api) as at_once, Wire(api) as byte_by_byte:
        byte_by_byte.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(data)):
            byte_by_byte.sendall(data[n : n + 1])
        for answer in (at_once.ask(data), byte_by_byte.until_closed()):
            assert answer.count(b': "' + base64.b64encode(body) + b'"}HTTP/1.1 ') == 2
            assert b"HTTP/1.1 299 " in answer


def test_a_client_that_waits_to_be_told_to_go_on_is_told(api: ApiServer) -> None:
    head = b"POST /echo HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with Wire(api) as wire:
        wire.sendall(head)
        assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.ask(b"hello").startswith(b"HTTP/1.1 200 OK\r\n")


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),  # what a TLS client says first
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (GET + b"Host: b\r\n\r\n", 400),
        (GET + b"no colon\r\n\r\n", 400),
        (GET + b"Name : space\r\n\r\n", 400),
        (GET + b"A: 1\r\n folded\r\n\r\n", 400),
        (GET + b"A: \0\r\n\r\n", 400),
        (GET + b"A: " + b"x" * 70_000, 431),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (POST + b"Content-Length: \xb2\r\n\r\n", 400),
        (POST + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", 400),
        (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (CHUNKED + b"\r\n", 400),
        (CHUNKED + b"0x5\r\nhello\r\n", 400),
        (CHUNKED + b"2\r\nhello\r\n", 400),
        (CHUNKED + b"ffffffff\r\n", 413),
        (CHUNKED + b"0\r\nno colon\r\n\r\n", 400),
        (CHUNKED + b"1" * 70_000, 400),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_malformed_request_is_refused_and_its_connection_closed(api: ApiServer, data: bytes, status: int) -> None:
    with Wire(api) as wire:
        answer = wire.ask(data)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert api.stats()["requests"] == 0


def test_what_goes_before_a_malformed_request_is_answered(api: ApiServer) -> None:
    with Wire(api) as wire:
        answer = wire.ask(GET + b"\r\n" + b"\0\0")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"HTTP/1.1 400 " in answer


@pytest.mark.parametrize(
    "target",
    [
        "/items/1?size=-1",
        "/items/1?size=999999999",
        "/items/1?size=%C2%B2",
        "/items/1?delay_ms=soon",
        "/items/1?delay_ms=" + "9" * 5000,
        "/items/1?header=no-colon",
        "/items/1?header=A:1%0D%0AB:2",
        "/redirect?to=/a%0D%0AB:2",
        "/status/99",
        "/status/100",
        "/status/1000",
        "/status/",
        "/fail/1?status=abc",
        "/pages/a/b",
    ],
)
def test_a_parameter_that_makes_no_sense_is_a_bad_request(http_client: HTTPConnection, target: str) -> None:
    status, body = get(http_client, target)
    assert (status, json.loads(body)["status"]) == (400, 400)
    assert get(http_client, "/items/1")[0] == 200


def test_a_proxy_request_is_served_by_its_path(api: ApiServer) -> None:
    with Wire(api) as wire:
        answer = wire.ask(b"GET http://other.example/items/1?size=50 HTTP/1.0\r\n\r\n")
    assert answer.endswith(item_body("1", 50))
    assert api.seen() == {"/items/1?size=50": 1}


# Counting


def test_the_peak_is_the_most_requests_held_at_once(api: ApiServer) -> None:
    wires = [Wire(api) for _ in range(7)]
    for wire in wires:
        wire.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until_held(api, 7)
    for wire in wires[:3]:
        wire.close()
    wait_until_held(api, 4)
    wires.append(Wire(api))
    wires[-1].sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until_held(api, 5)
    assert api.stats() == {
        "requests": 8,
        "routes": {"hang": 8},
        "held": 5,
        "peak": 7,
        "connections": 8,
    }
    for wire in wires[3:]:
        wire.close()
    wait_until_held(api, 0)
    api.reset()
    assert api.stats() == {"requests": 0, "routes": {}, "held": 0, "peak": 0, "connections": 0}


def test_a_request_is_held_until_its_answer_is_out(api: ApiServer) -> None:
    size = 30_000_000  # no kernel buffers that much
    with Wire(api) as wire:
        wire.sendall(f"GET /items/1?size={size} HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.0\r\n\r\n".encode())
        wire.recv(1, socket.MSG_PEEK)
        assert (api.stats()["held"], api.log()) == (1, [])
        assert len(wire.until_closed()) > size
    assert [target for target, _ in api.log()] == [f"/items/1?size={size}", "/echo"]


def test_a_request_is_let_go_when_its_client_leaves(api: ApiServer) -> None:
    with Wire(api) as wire:
        wire.sendall(b"GET /slow/1?delay_ms=600000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until_held(api, 1)
    wait_until_held(api, 0)
    assert api.log() == []


def test_every_path_and_query_is_counted_but_no_control(api: ApiServer, http_client: HTTPConnection) -> None:
    for target in ("/items/1", "/items/1?a=1", "/items/1", "/missing/1", "/nowhere"):
        get(http_client, target)
    assert api.seen() == {"/items/1": 2, "/items/1?a=1": 1, "/missing/1": 1, "/nowhere": 1}
    assert api.seen("/items/1?") == {"/items/1?a=1": 1}
    assert api.stats()["routes"] == {"items": 3, "missing": 1, "unknown": 1}


def test_the_log_knows_the_digest_of_every_body_sent(api: ApiServer, http_client: HTTPConnection) -> None:
    bodies = [(target, get(http_client, target)[1]) for target in ("/items/1", "/flaky/2", "/flaky/2", "/echo")]
    assert api.log() == [(target, hashlib.sha256(body).hexdigest()) for target, body in bodies]
    assert len(api.log("/flaky")) == 2


def test_a_control_that_does_not_exist_is_said_to_be_missing(http_client: HTTPConnection) -> None:
    assert get(http_client, "/_reset")[0] == 404  # it takes POST
    assert get(http_client, "/_nothing")[0] == 404


# Routes


def test_flaky_refuses_the_first_request_of_each_path_and_query(api: ApiServer, http_client: HTTPConnection) -> None:
    statuses = [get(http_client, f"/flaky/1?{query}")[0] for query in ("", "", "a", "a", "a")]
    assert statuses == [503, 200, 503, 200, 200]
    api.reset()
    assert get(http_client, "/flaky/1")[0] == 503


def test_fail_fails_so_many_times(http_client: HTTPConnection) -> None:
    assert [get(http_client, "/fail/1")[0] for _ in range(5)] == [500, 500, 500, 200, 200]
    target = "/fail/1?times=1&status=429&header=Retry-After:%207"
    http_client.request("GET", target)
    with http_client.getresponse() as response:
        response.read()
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert get(http_client, target) == (200, item_body("1"))


def test_slow_takes_its_time_and_others_are_not_kept_waiting(api: ApiServer, http_client: HTTPConnection) -> None:
    with Wire(api) as slow:
        slow.sendall(b"GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until_held(api, 1)
        assert get(http_client, "/items/1")[0] == 200
        assert api.log() == [("/items/1", hashlib.sha256(item_body("1")).hexdigest())]
        assert slow.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("status", [200, 299, 403, 429, 500, 999])
def test_status_answers_with_any_status(http_client: HTTPConnection, status: int) -> None:
    code, body = get(http_client, f"/status/{status}")
    assert (code, json.loads(body)["status"]) == (status, status)


def test_a_chain_of_pages_leads_to_its_end(http_client: HTTPConnection) -> None:
    pages = [get_json(http_client, "/pages/users/1?last=3&a=b")]
    while pages[-1]["next"]:
        pages.append(get_json(http_client, pages[-1]["next"]))
    assert [(page["chain"], page["page"]) for page in pages] == [("users", 1), ("users", 2), ("users", 3)]
    assert pages[0]["next"] == "/pages/users/2?last=3&a=b"
    assert len({item["id"] for page in pages for item in page["items"]}) == 30
    assert get_json(http_client, "/pages/users/19")["next"] == "/pages/users/20"
    assert get_json(http_client, "/pages/users/20")["next"] is None
    assert get(http_client, "/pages/users/21")[0] == 404


def test_echo_says_what_it_was_sent(http_client: HTTPConnection) -> None:
    http_client.putrequest("PATCH", "/echo?a=%20b", skip_host=True, skip_accept_encoding=True)
    for name, value in (("Host", "a"), ("X-Case", "1"), ("x-case", "café"), ("Content-Length", "3")):
        http_client.putheader(name, value)
    http_client.endheaders(b"\x00\xff\n")
    assert json.loads(http_client.getresponse().read()) == {
        "method": "PATCH",
        "target": "/echo?a=%20b",
        "headers": [["Host", "a"], ["X-Case", "1"], ["x-case", "café"], ["Content-Length", "3"]],
        "body_base64": base64.b64encode(b"\x00\xff\n").decode(),
    }


@pytest.mark.parametrize(("query", "status"), [("", 302), ("&status=308", 308)])
def test_redirect_names_the_place(http_client: HTTPConnection, query: str, status: int) -> None:
    http_client.request("GET", f"/redirect?to=http%3A//b.example/%3Fa%3D1%26b{query}")
    with http_client.getresponse() as response:
        response.read()
        assert (response.status, response.headers["Location"]) == (status, "http://b.example/?a=1&b")


def test_bytes_are_served_as_they_were_put_until_the_reset(api: ApiServer, http_client: HTTPConnection) -> None:
    body = bytes(range(256)) * 40_000
    assert api.put_bytes("a/b", body, "image/x-odd") == api.url("/bytes/a/b")
    for method, expected in (("GET", body), ("POST", body), ("HEAD", b"")):
        http_client.request(method, "/bytes/a/b")
        with http_client.getresponse() as response:
            assert response.headers["Content-Type"] == "image/x-odd"
            assert response.read() == expected
    assert api.seen() == {"/bytes/a/b": 3}
    api.reset()
    assert get(http_client, "/bytes/a/b")[0] == 404


def test_a_token_lets_in_so_many_calls_and_none_after_the_reset(api: ApiServer, http_client: HTTPConnection) -> None:
    api.put_token("a+b", calls=2)
    good, bad = {"Authorization": "Bearer a+b"}, {"Authorization": "Bearer a"}
    assert [get(http_client, "/private/1", **good)[0] for _ in range(3)] == [200, 200, 401]
    assert [get(http_client, "/private/1?refusal=403", **sent)[0] for sent in (bad, {}, good)] == [403, 403, 403]
    api.put_token("a+b")
    assert json.loads(get(http_client, "/private/1?size=50", **good)[1])["id"] == "1"
    api.reset()
    assert get(http_client, "/private/1", **good)[0] == 401
    http_client.request("PUT", "/_tokens")
    assert http_client.getresponse().status == 400


def test_headers_has_repeated_and_non_ascii_ones_and_knows_its_version(
    api: ApiServer, http_client: HTTPConnection
) -> None:
    with Wire(api) as wire:
        head = wire.ask(b"GET /headers HTTP/1.0\r\n\r\n").split(b"\r\n\r\n")[0]
    for field in (b'ETag: "v1"', b"Last-Modified: Sat, 31 Jan 2026 23:59:59 GMT", b"X-Latin-1: caf\xe9"):
        assert field in head.split(b"\r\n")
    assert head.count(b"Set-Cookie: ") == 2
    assert get(http_client, "/headers", **{"If-None-Match": '"v1"'}) == (304, b"")
    assert get(http_client, "/headers", **{"If-None-Match": '"v0"'})[0] == 200


def test_drop_closes_without_a_word(api: ApiServer) -> None:
    with Wire(api) as wire:
        assert wire.ask(b"GET /drop?delay_ms=1 HTTP/1.1\r\nHost: a\r\n\r\n") == b""
    assert (api.stats()["routes"], api.log()) == ({"drop": 1}, [])


def test_cut_sends_half_of_what_it_promised(api: ApiServer, http_client: HTTPConnection) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(http_client, "/cut/1?size=1000")
    assert caught.value.partial == item_body("1", 1000)[:500]
    assert caught.value.expected == 500
    assert api.log() == []


# The process


def test_a_latency_holds_for_every_answer_that_names_none() -> None:
    with ApiServer(latency_ms=600_000) as api, Wire(api) as waiting, Wire(api) as quick:
        waiting.sendall(b"GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until_held(api, 1)
        assert quick.ask(b"GET /items/1?delay_ms=0 HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert api.stats()["held"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_though_a_request_hangs(number: signal.Signals) -> None:
    with ApiServer() as api, Wire(api) as wire:
        wire.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until_held(api, 1)
        api.process.send_signal(number)
        assert api.process.wait(TIMEOUT_S) == 0


def test_it_ends_with_its_parent_however_that_dies() -> None:
    program = "from tests.api_server import ApiServer; print(ApiServer().netloc, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        host, port = parent.stdout.readline().decode().strip().split(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as orphan:
            parent.kill()
            assert orphan.recv(1) == b""
