"""The first question to Redis, before there is anything to do without it: one that starts when we do is waited for.

Owns which trouble may pass by itself; later, whoever asks goes on with what it has.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from crawler.amounts import duration
from crawler.distributed.server import AGAIN_S, GoneError
from crawler.exceptions import ListError
from crawler.interrupting import interrupted_at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.distributed.server import Server

T = TypeVar("T")

logger = logging.getLogger("apifetch")


def first(server: Server, ask: Callable[[], T]) -> T:
    """What *ask* gives, as soon as Redis answers; blocks meanwhile, for as long as *server* has patience.

    Raises ListError when Redis does not come, or waiting would not help; InterruptError after a signal.
    """
    end_s = time.monotonic() + server.patience_s
    is_told = False
    with interrupted_at_once() if server.patience_s else nullcontext():
        while True:
            try:
                return ask()
            except GoneError as exc:
                why = f"{server.address}: {server.why(exc)}"
                if time.monotonic() >= end_s or not _may_pass(exc):
                    raise ListError(why) from exc
            if not is_told:
                is_told = True
                logger.warning("%s: waiting for it, %s at the most", why, duration(server.patience_s))
            time.sleep(AGAIN_S)


def _may_pass(exc: BaseException) -> bool:
    """Not that there is no such name, nor that a certificate is not trusted."""
    cause = exc.__cause__ or exc.__context__
    return not isinstance(exc, socket.gaierror | ssl.SSLError) and (cause is None or _may_pass(cause))
