"""A small API on loopback: `python -m crawler.demo.api`.

Routes (routes.py), for any method, each with the query parameters `delay_ms`, `size` (the least
bytes of the body; spaces fill it up) and `header=Name:value` (a further response header):

    /items/{id}  /slow/{id}  /missing/{id}  /flaky/{id}  /fail/{id}?times=3&status=500  /status/{code}
    /pages/{chain}/{n}?last=20  /echo  /redirect?to=URL&status=302  /bytes/{name}  /headers
    /hang  /drop  /cut  /private/{id}?refusal=401 (with `Authorization: Bearer TOKEN`, of a token that was put)

Controls, which are not counted, logged or delayed:

    GET /_stats  GET /_seen?prefix=  GET /_log?prefix=  POST /_reset  PUT /bytes/{name}  PUT /_tokens?token=&calls=
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import sys
import threading
from dataclasses import replace
from typing import Final

from crawler.demo.bodies import json_body
from crawler.demo.messages import Answer, BadRequestError, Request
from crawler.demo.params import Params
from crawler.demo.protocol import Connection
from crawler.demo.routes import ROUTES, Call, error, missing
from crawler.demo.tally import Tally
from crawler.demo.tokens import Tokens

SLOW_MS: Final = 1500
BACKLOG: Final = 1024  # a crawl opens all its connections at once
OPEN_FILES: Final = 10_240  # what macOS allows; the usual 1,024 would end a crawl of 1,000 workers


class Api:
    """Chooses the route, and keeps the tally of what was asked."""

    def __init__(self, *, latency_ms: int = 0) -> None:
        self._latency_ms = latency_ms
        self._tally = Tally()
        self._stored: dict[str, Answer] = {}
        self._tokens = Tokens()
        self._routes = {**ROUTES, "bytes": self._bytes, "private": self._private}

    def opened(self) -> None:
        self._tally.connections += 1

    def answer(self, request: Request) -> Answer:
        segment, _, name = request.path[1:].partition("/")
        try:
            params = Params.of(request.query)
            if _is_control(request):
                return self._control(request, params, segment, name)
            route = self._routes.get(segment)
            times = self._tally.began(route=segment if route else "unknown", resource=request.resource)
            answer = (route or missing)(Call(request=request, params=params, name=name, times=times))
            delay_ms = params.number("delay_ms", SLOW_MS if segment == "slow" else self._latency_ms)
            return _adjusted(answer, params, delay_ms)
        except BadRequestError as exc:
            return error(exc.status, str(exc))

    def ended(self, request: Request, sent: bytes | None) -> None:
        if not _is_control(request):
            self._tally.ended(resource=request.resource, sent=sent)

    def _control(self, request: Request, params: Params, segment: str, name: str) -> Answer:
        if request.number == 1:
            self._tally.connections -= 1  # whoever looks on is no client
        match request.method, segment:
            case "GET", "_stats":
                return Answer(body=json_body(self._tally.stats()))
            case "GET", "_seen":
                return Answer(body=json_body(self._tally.seen(params.text("prefix"))))
            case "GET", "_log":
                return Answer(body=json_body(self._tally.log(params.text("prefix"))))
            case "POST", "_reset":
                self._tally.reset()
                self._stored.clear()
                self._tokens = Tokens()
            case "PUT", "_tokens":
                self._tokens.put(params)
            case "PUT", "bytes":
                content_type = request.header("content-type") or "application/octet-stream"
                self._stored[name] = Answer(body=request.body, content_type=content_type)
            case _:
                return error(404, f"no such control: {request.method} {request.path}")
        return Answer(status=204)

    def _private(self, call: Call) -> Answer:
        return self._tokens.private(call)

    def _bytes(self, call: Call) -> Answer:
        return self._stored.get(call.name) or missing(call)


def _is_control(request: Request) -> bool:
    return request.path.startswith("/_") or (request.method == "PUT" and request.path.startswith("/bytes/"))


def _adjusted(answer: Answer, params: Params, delay_ms: int) -> Answer:
    """The answer with what the query says of any answer."""
    if not (delay_ms or params.values):
        return answer
    return replace(
        answer,
        body=answer.body.ljust(params.size(0)),
        headers=answer.headers + params.headers(),
        delay_s=delay_ms / 1000,
    )


async def serve(api: Api, *, host: str, port: int, with_parent: bool) -> None:
    """Answer until SIGTERM, SIGINT or, with_parent, the end of stdin. port: 0 takes a free one."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if with_parent:
        threading.Thread(target=_await_end_of_stdin, args=(loop, stopped), daemon=True).start()
    server = await loop.create_server(lambda: Connection(api), host, port, backlog=BACKLOG)
    address = f"[{host}]" if ":" in host else host
    print(f"listening on http://{address}:{server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    server.close()  # open connections end with the process: nobody waits for a hanging one


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # Not sys.stdin: its lock, held by a thread that blocks, would abort the interpreter's exit.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(stopped.set)


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m crawler.demo.api", description="A small API on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (default) takes a free one")
    parser.add_argument("--latency-ms", type=int, default=0, help="delay of every answer that names none")
    parser.add_argument("--with-parent", action="store_true", help="stop when stdin ends")
    args = parser.parse_args()
    _allow_open_files(OPEN_FILES)
    api = Api(latency_ms=args.latency_ms)
    asyncio.run(serve(api, host=args.host, port=args.port, with_parent=args.with_parent))


if __name__ == "__main__":
    main()
