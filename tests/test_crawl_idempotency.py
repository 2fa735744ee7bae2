"""`Idempotency-Key`: what is not idempotent is repeated with the key of its record, in one run and over several."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from crawler.values import IDEMPOTENCY_KEY
from tests.audit import audit, outcomes
from tests.scripted import HANG_UP, OK, Heard, Says, Scripted
from tests.test_arguments import message

if TYPE_CHECKING:
    from tests.harness import Crawl

ON: dict[str, object] = {"APIFETCH_IDEMPOTENCY_KEY": "on"}


def write_calls(crawl: Crawl, calls: list[dict[str, Any]]) -> str:
    (crawl.cwd / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))
    return "calls.jsonl"


def name_of(method: str, url: str, body: bytes = b"") -> str:
    """As docs/output.md has it."""
    call = [method, url, [], b64encode(body).decode(), 1]
    return str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(call, ensure_ascii=False, separators=(",", ":"))))


def test_what_carries_its_key_is_repeated_like_a_get(crawl: Crawl) -> None:
    """After a failure and after a broken connection; a GET carries none."""

    def answer(heard: Heard) -> Says:
        if heard.times > 1:
            return OK
        return {"/broken": HANG_UP, "/failed": Says(500)}.get(heard.path, OK)

    with Scripted(answer) as server:
        calls: list[dict[str, Any]] = [
            {"url": server.url("/broken"), "method": "POST"},
            {"url": server.url("/failed"), "method": "PATCH"},
            {"url": server.url("/mine"), "method": "POST", "headers": {"idempotency-key": "its own"}},
            {"url": server.url("/get")},
        ]
        result = crawl(write_calls(crawl, calls), settings=ON)
        keys = {path: [h.headers.get("idempotency-key") for h in server.heard if h.path == path]
                for path in ("/broken", "/failed", "/mine", "/get")}  # fmt: skip
        assert keys == {
            "/broken": [f'"{name_of("POST", server.url("/broken"))}"'] * 2,
            "/failed": [f'"{name_of("PATCH", server.url("/failed"))}"'] * 2,
            "/mine": ["its own"],
            "/get": [None],
        }
    audit(result, 0)


def test_what_stays_broken_is_named_for_what_it_is(crawl: Crawl) -> None:
    """Not `unknown`: the next run repeats it."""
    with Scripted(lambda _: HANG_UP) as server:
        result = crawl(write_calls(crawl, [{"url": server.url("/a"), "method": "POST"}]), settings=ON, retries=1)
    audit(result, 4)
    assert outcomes(result) == {"reset": 1}


@pytest.mark.parametrize(
    ("then", "outcome"), [("X-Key", "ok"), pytest.param("X-Other", "unknown", marks=pytest.mark.check)]
)
def test_after_a_kill_the_call_is_made_again_with_the_same_key(crawl: Crawl, then: str, outcome: str) -> None:
    """But not without it, or with another."""
    is_over = False
    with Scripted(lambda _: OK if is_over else Says(after_s=900)) as server:
        calls = write_calls(crawl, [{"url": server.url("/a"), "method": "POST"}])
        running = crawl(calls, wait=False, settings={"APIFETCH_IDEMPOTENCY_KEY": "X-Key"})
        running.wait_for(lambda: server.times("/a") == 1)
        running.kill()
        is_over = True
        result = crawl(calls, settings={"APIFETCH_IDEMPOTENCY_KEY": then})
        keys = [heard.headers["x-key"] for heard in server.heard]
        assert keys == [name_of("POST", server.url("/a"))] * (2 if outcome == "ok" else 1)
    audit(result, 0 if outcome == "ok" else 4)
    assert outcomes(result) == {outcome: 1}


@pytest.mark.parametrize(
    ("said", "header"),
    [
        ("on", 'Idempotency-Key: "u"'),
        (True, 'Idempotency-Key: "u"'),
        ("X-Request-Id", "X-Request-Id: u"),
        ("off", None),
    ],
)
def test_the_setting_names_a_header(said: object, header: str | None) -> None:
    read = IDEMPOTENCY_KEY.parse(said)
    assert (None if read is None else f"{read.name}: {read.value('u')}") == header


def test_one_key_for_all_calls_is_refused() -> None:
    said = message(said={"headers": '{"Idempotency-Key": "1"}'}, s={"APIFETCH_IDEMPOTENCY_KEY": "on"})
    assert "headers without Idempotency-Key" in said


@pytest.mark.parametrize("name", ["a b", "Content-Length"])
def test_what_is_no_header_of_the_users_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # it says nothing more
        IDEMPOTENCY_KEY.parse(name)
