"""Redis itself: a connection, what to do when it is gone, and the shared list's few commands in plain values."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from crawler import trust
from crawler.amounts import duration
from crawler.distributed.scripts import (
    ACKNOWLEDGE,
    ADD,
    BEAT,
    CLAIM,
    DRAW,
    FIELD,
    GROUP,
    HOST,
    LEAVE,
    LOOK,
    REPLACE,
    STANDING,
    Keys,
)
from crawler.exceptions import ListError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.sources import SharedAddress

logger = logging.getLogger("apifetch")

PASSWORD: Final = "REDISCLI_AUTH"  # noqa: S105  # the name of a variable, redis-cli's own
"""Where the password may stand instead of the URL, which other users of the computer see in the list of processes."""

SILENCE_S: Final = 10.0
"""Without an answer for so long, Redis is gone. The longest that a command here waits of itself is BLOCK_S."""

BLOCK_S: Final = 1.0
"""How long a worker with nothing to do waits in Redis for the next entry, before it looks at all else."""

AGAIN_S: Final = 0.5
"""How often we ask whether Redis is back."""

LEAST: Final = (6, 0)
"""The oldest version in which a script may read as a consumer, and a client log in as a user."""

_SCRIPT: Final = re.compile(r"[:.,]? script: \w+.*|^Error running script .*?: -(?=[A-Z]+ )")
"""What Redis adds to an error in a script, behind it or, until Redis 6, before it: nothing for a person."""

_UNREADY: Final = ("READONLY ", "LOADING ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ")
"""How errors begin that pass, in a script until Redis 6; elsewhere the client has classes for them."""

Drawn = list[tuple[bytes, bytes | None]]
"""Entries: id and envelope; None: it is no longer in the list."""


class GoneError(Exception):
    """Redis does not answer, or not yet."""


class UnreadyError(GoneError):
    """It answers that it can do nothing now: it is loading, or another takes over."""


class Standing(NamedTuple):
    """left: entries not acknowledged; mine: those of them that are this worker's."""

    is_closed: bool
    left: int
    mine: int


class Server:
    """One list of one Redis. Any thread may call any method.

    All raise GoneError, and ListError where waiting would not help: the list is gone, or we may not.
    """

    def __init__(self, address: SharedAddress, *, ca_file: str | None = None, patience_s: float = 0.0) -> None:
        """patience_s: how long one that is not there yet is waited for (`first`).

        Raises ListError without the package; connects to nothing yet.
        """
        try:
            import redis  # noqa: PLC0415  # optional, and 0.1 s
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415
        except ImportError as exc:
            raise ListError(f"{address}: needs redis, which is not installed: pip install 'redis>=8,<9'") from exc
        self.address = address
        self.patience_s = patience_s
        self._keys = Keys.of(address.name)
        self._gone: tuple[type[Exception], ...] = (redis.ConnectionError, redis.TimeoutError, OSError)
        self._refused = redis.AuthenticationError  # a ConnectionError, but waiting does not help
        self._error = redis.RedisError
        unready = redis.ReadOnlyError, redis.exceptions.ClusterError, redis.exceptions.BusyLoadingError
        self._unready: tuple[type[Exception], ...] = unready
        self._full = redis.OutOfMemoryError
        self._trusted = trust.ca_file(ca_file, os.environ)
        tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": self._trusted[0]} if address.tls else {}
        self._redis: Any = redis.Redis(
            host=address.host, port=address.port, db=address.db, username=address.user,
            password=address.password or os.environ.get(PASSWORD), protocol=2, socket_timeout=SILENCE_S,
            socket_connect_timeout=SILENCE_S, socket_keepalive=True, retry=Retry(NoBackoff(), 0), **tls,
        )  # fmt: skip
        self.is_waited_for = False
        """Whether somebody goes on without Redis, and is to read in the log since when, and until when."""
        self._gone_s: float | None = None
        self._telling = threading.Lock()

    def begin(self) -> float:
        """Have the list there, maybe empty. Gives for how many seconds Redis has been running.

        Raises ListError when it is too old.
        """
        about = self._ask(lambda: self._redis.info("server"))
        version = str(about["redis_version"])
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < LEAST:
            least = ".".join(map(str, LEAST))
            raise ListError(f"{self.address}: is Redis {version}, and a shared list needs {least} or later")
        self._ask(self._make_group)
        return float(about["uptime_in_seconds"])

    def why(self, exc: GoneError) -> str:
        """What to tell a person of it."""
        if isinstance(exc, UnreadyError):
            return f"Redis cannot be used now ({exc})"
        if "CERTIFICATE_VERIFY_FAILED" in str(exc):
            path, said_by = self._trusted
            return f"the certificate of Redis is not trusted ({exc}); {said_by} says whose are: {path}"
        return f"Redis cannot be reached ({exc})"

    def _make_group(self) -> None:
        try:
            self._redis.xgroup_create(self._keys.stream, GROUP, id="0", mkstream=True)
        except self._error as exc:
            if not str(exc).startswith("BUSYGROUP"):
                raise

    # The list

    def add(self, entries: Sequence[tuple[bytes, bytes]]) -> int | None:
        """Add entries, name and envelope, that were never there. Gives how many; None: some were, and it is closed."""
        arguments = [part for entry in entries for part in entry]
        added = int(self._run(ADD, [*self._keys[:3]], [FIELD, *arguments]))
        return None if added < 0 else added

    def close_list(self, closed: bool) -> None:
        """Say that nothing more will come, or that it may again."""
        if closed:
            self._ask(lambda: self._redis.hset(self._keys.state, "closed", 1))
        else:
            self._ask(lambda: self._redis.hdel(self._keys.state, "closed"))

    def set_workers(self, workers: int) -> None:
        """Say how many calls all workers together may have at once; 0: as many as each of them wants."""
        if workers:
            self._ask(lambda: self._redis.hset(self._keys.state, "workers", workers))
        else:
            self._ask(lambda: self._redis.hdel(self._keys.state, "workers"))

    def workers(self) -> int:
        """How many that is."""
        return int(self._ask(lambda: self._redis.hget(self._keys.state, "workers")) or 0)

    def total(self) -> int:
        """How many entries there ever were."""
        return int(self._ask(lambda: self._redis.scard(self._keys.names)))

    def standing(self, worker: str = "") -> Standing:
        closed, left, mine = self._run(STANDING, [self._keys.stream, self._keys.state], [GROUP, worker])
        return Standing(bool(closed), left, mine)

    # A worker's

    def beat(self, worker: str, lease_s: float) -> None:
        """Tell the others that the worker is alive, for so long."""
        self._run(BEAT, [self._keys.workers], [worker, round(lease_s * 1000)])

    def draw(self, worker: str, most: int, *, block_s: float) -> Drawn:
        """Up to *most* new entries, as soon as there is one; [] when none came in time."""
        return self._read(worker, ">", most, block_ms=max(1, round(block_s * 1000)))

    def draw_within(self, worker: str, most: int) -> Drawn:
        """The same at once, while all workers together hold no more than they may."""
        return _entries(self._run(DRAW, [self._keys.stream, self._keys.state], [GROUP, worker, most]))

    def held(self, worker: str, most: int, after: bytes) -> Drawn:
        """Entries that Redis gave to this worker, in their order, from one on."""
        return self._read(worker, after, most)

    def _read(self, worker: str, after: str | bytes, most: int, block_ms: int | None = None) -> Drawn:
        found = self._ask(
            lambda: self._redis.xreadgroup(GROUP, worker, {self._keys.stream: after}, count=most, block=block_ms)
        )
        return [(id_, fields.get(FIELD, b"") if fields else None) for id_, fields in found[0][1]] if found else []

    def claim(self, worker: str, most: int, *, left_only: bool) -> Drawn:
        """Some of the entries of a worker that is dead, or has left. left_only: of those alone."""
        keys = [self._keys.stream, self._keys.workers]
        return _entries(self._run(CLAIM, keys, [GROUP, worker, most, int(left_only)]))

    def acknowledge(self, ids: Sequence[bytes]) -> None:
        """Take entries out of the list: their records are durable."""
        self._run(ACKNOWLEDGE, [self._keys.stream], [GROUP, *ids])

    def leave(self, worker: str) -> None:
        """Give back what the worker holds."""
        self._run(LEAVE, [self._keys.stream, self._keys.workers], [GROUP, worker])

    # What all know of a host

    def host_state(self, host: str) -> tuple[float, bytes]:
        """Redis's time, in seconds since 1970, and what is known of a host; empty for nothing."""
        time_us, state = self._run(LOOK, [HOST + host], [])
        return int(time_us) / 1e6, state

    def replace_host_state(self, host: str, before: bytes, after: bytes, *, forget_s: int) -> bytes | None:
        """Put *after* in the place of *before*. Gives what is there where that was not so, and is left there."""
        found: bytes | None = self._run(REPLACE, [HOST + host], [before, after, forget_s])
        return found

    def disconnect(self) -> None:
        self._redis.close()

    # Asking

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return self._ask(lambda: self._redis.eval(script, len(keys), *keys, *arguments))

    def _ask(self, what: Callable[[], Any]) -> Any:
        try:
            answer = what()
        except self._refused as exc:
            raise ListError(f"{self.address}: Redis refuses us: {exc}") from exc
        except (self._error, OSError) as exc:
            said = _SCRIPT.sub("", str(exc)).rstrip(".")
            is_unready = isinstance(exc, self._unready) or said.startswith(_UNREADY)
            if is_unready or isinstance(exc, self._gone):
                self._tell_gone(said)
                raise (UnreadyError if is_unready else GoneError)(said) from exc
            raise ListError(f"{self.address}: {self._meaning(exc, said)}") from exc
        if self._gone_s is not None:
            self._tell_back()
        return answer

    def _meaning(self, exc: Exception, said: str) -> str:
        if isinstance(exc, self._full) or said.startswith("OOM "):
            return "Redis has no memory left: raise its maxmemory or let workers go on, then run the same command again"
        if said.startswith("NOGROUP"):
            return (
                "the list is no longer in Redis: it was deleted, or Redis came back without an append-only file. Fill "
                "it again with scrapy enqueue; what a worker's directory has is not fetched again by that worker"
            )
        if said.startswith("WRONGTYPE"):
            return f"one of the keys {self._keys.stream.removesuffix('stream')}* holds something else than a list"
        return f"Redis refuses: {said}"

    def _tell_gone(self, said: str) -> None:
        with self._telling:
            if self._gone_s is None and self.is_waited_for:
                self._gone_s = time.monotonic()
                logger.warning("Redis does not answer (%s): waiting for it, and going on with what is here", said)

    def _tell_back(self) -> None:
        with self._telling:
            if self._gone_s is not None:
                logger.info("Redis answers again, after %s", duration(time.monotonic() - self._gone_s))
                self._gone_s = None


def _entries(found: Sequence[Any]) -> Drawn:
    """What a script gives: each with its id, and its fields one after the other."""
    return [(id_, dict(zip(fields[::2], fields[1::2], strict=True)).get(FIELD, b"")) for id_, fields in found]
