"""Tokens that open `/private/{id}`, each for so many calls. Knows no clock: a token dies by being used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.demo.messages import BadRequestError
from crawler.demo.routes import error, item

if TYPE_CHECKING:
    from crawler.demo.messages import Answer
    from crawler.demo.params import Params
    from crawler.demo.routes import Call

SCHEME: Final = "Bearer "


class Tokens:
    """token -> calls left. Without any, no call is let in."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def put(self, params: Params) -> None:
        """`token` is good for `calls` (1,000,000) from now on; 0 ends it."""
        token = params.text("token")
        if not token:
            raise BadRequestError("token: missing")
        self._left[token] = params.number("calls", 1_000_000)

    def private(self, call: Call) -> Answer:
        """The item for a token that is good, else `refusal` (401)."""
        token = (call.request.header("authorization") or "").removeprefix(SCHEME)
        if not self._left.get(token):
            return error(call.params.number("refusal", 401), "this token is not good")
        self._left[token] -= 1
        return item(call)
