"""The client: objects put, got, copied and removed below one prefix, many at once, again and again while it is down.

The only one that knows obstore. Credentials, region and endpoint are found by its usual chain (AWS_* and the like,
an instance's own); they are never asked for, shown or kept here. Knows nothing of records.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError, StoreError

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
    from obstore.store import from_url
except ImportError as exc:
    raise ArgumentError("obstore", None, "pip install obstore, for what is in an object store") from exc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from obstore import Bytes, GetOptions, GetResult, ObjectMeta
    from obstore.store import ObjectStore

AT_ONCE: Final = 48
"""Requests in flight: at 30 ms each, what a store next door takes, 1,600 a second."""

PATIENCE_S: Final = 120.0
"""How long a store may be down before a run gives up."""

AT_START_S: Final = 10.0
"""The same for the first request of a run, when somebody waits for it and nothing is lost."""

PART_BYTES: Final = 4 * 1024**2
"""Of an object that is got in parts: each has its own 30 seconds, after which obstore gives a request up."""

BREAKS: Final = 3
"""Answers in a row that may break off: obstore asks again by itself until one begins, and not after that."""

_CODE: Final = re.compile(r"<Code>([^<]*)</Code>(?:\s*<Message>([^<]*)</Message>)?")
_QUERY: Final = re.compile(r"\?\S+")
_OF_THE_MACHINE: Final = re.compile(r"169\.254\.169\.254|metadata\.google\.internal")
"""Where a store's tools ask for credentials when nobody has said any."""


class NoObjectError(StoreError):
    """There is no object of that name, or no such bucket."""


class ConflictError(Exception):
    """A conditional put was refused: the object is there, or is not the one it was to replace."""


class Client:
    """The objects of one prefix. Every method may be called by any thread and raises StoreError.

    store: for tests, which have one in memory. patience_s: how long a request is repeated while the store is down.
    argument: by which the URL was given.
    """

    def __init__(
        self, url: str, *, patience_s: float = PATIENCE_S, store: ObjectStore | None = None, argument: str = "out"
    ) -> None:
        self.url = url.rstrip("/")
        self._argument = argument
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")
        self._store = store if store is not None else self._open(patience_s)

    def _open(self, patience_s: float) -> ObjectStore:
        backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=10), "base": 2}
        retry: Any = {
            "retry_timeout": timedelta(seconds=patience_s), "max_retries": 1_000_000, "backoff": backoff,
        }  # fmt: skip
        try:
            return from_url(self.url, retry_config=retry)
        except (BaseError, ValueError) as exc:
            expected = f"an object store that can be opened ({_reason(exc)})"
            raise ArgumentError(self._argument, self.url, expected) from exc

    def close(self) -> None:
        """Return when nothing is under way; what was not begun by then is not begun any more."""
        self._pool.shutdown(cancel_futures=True)

    # Many at once

    def soon(self, do: Callable[..., Any], *values: Any) -> Future[Any]:
        """Begin a request, or several in a row, among at most AT_ONCE."""
        return self._pool.submit(do, *values)

    # One

    def put(self, name: str, data: bytes | Path) -> None:
        """Return when the store has said that it keeps *data*, whole, in the place of what was there."""
        try:
            if isinstance(data, bytes):
                obstore.put(self._store, name, data, use_multipart=False)
            else:
                obstore.put(self._store, name, data)
        except (BaseError, OSError) as exc:
            raise self._error("write", name, exc) from exc

    def put_if(self, name: str, data: bytes, etag: str | None) -> str:
        """Put in the place of the object with that tag, of none if None; returns the new tag. Raises ConflictError."""
        try:
            done = obstore.put(
                self._store, name, data, use_multipart=False, mode="create" if etag is None else {"e_tag": etag}
            )
        except (AlreadyExistsError, PreconditionError, FileNotFoundError) as exc:
            raise ConflictError(name) from exc
        except (BaseError, OSError) as exc:
            raise self._error("write", name, exc) from exc
        if not done["e_tag"]:
            raise StoreError(f"{self.url}: the store gives objects no tags, by which one writer could be told from two")
        return done["e_tag"]

    def get(self, name: str) -> tuple[bytes, str] | None:
        """An object and its tag; None when there is none."""
        try:
            data, meta = self._take(name, lambda found: found.bytes())
        except NoObjectError:
            return None
        return data, meta["e_tag"] or ""

    def get_range(self, name: str, at: int, size: int) -> bytes | None:
        """So many bytes of an object, fewer where it ends before; None when there is none."""
        try:
            return self._take(name, lambda found: found.bytes(), {"range": (at, at + size)})[0]
        except NoObjectError:
            return None
        except StoreError:
            there = self.size(name)
            if there is not None and there > at:
                raise
            return None if there is None else b""  # which the store calls no range of it

    def parts(self, name: str) -> Iterator[bytes]:
        """The bytes of an object, of one version, PART_BYTES at a time. Raises NoObjectError."""
        at, before = 0, None
        while before is None or at < before[0]:
            # The first is asked for without a range, which an empty object does not have.
            part: GetOptions | None = {"range": (at, at + PART_BYTES)} if at else None
            data, meta = self._take(name, lambda found: next(found.stream(min_chunk_size=PART_BYTES), b""), part)
            version = meta["size"], meta["e_tag"]
            if before not in {None, version} or (not data and meta["size"]):
                raise StoreError(f"cannot read {self.url}/{name}: it was changed meanwhile")
            yield data[:PART_BYTES]
            at, before = at + len(data[:PART_BYTES]), version

    def _take(
        self, name: str, take: Callable[[GetResult], Bytes | bytes], options: GetOptions | None = None
    ) -> tuple[bytes, ObjectMeta]:
        """What is taken of an answer, asked for again when it breaks off; and what the store says of the object."""
        for left in reversed(range(BREAKS)):
            try:
                found = obstore.get(self._store, name, options=options)
            except (BaseError, OSError) as exc:
                raise self._error("read", name, exc) from exc
            try:
                return bytes(take(found)), found.meta
            except (BaseError, OSError) as exc:
                if not left:
                    raise self._error("read", name, exc) from exc
        raise AssertionError

    def names(self) -> set[str]:
        """The objects at the top of the prefix: all but bodies."""
        return set(self.entries("")[1])

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders and the objects right below a folder, "" for the prefix itself."""
        try:
            found = obstore.list_with_delimiter(self._store, folder or None)
        except (BaseError, OSError) as exc:
            raise self._error("list", folder, exc) from exc
        return list(found["common_prefixes"]), [each["path"] for each in found["objects"]]

    def below(self, folder: str) -> Iterator[str]:
        """All objects below a folder, however deep."""
        return (name for name, _ in self.sizes(folder))

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """The same, with how many bytes each has."""
        try:
            for page in obstore.list(self._store, folder):
                yield from ((each["path"], each["size"]) for each in page)
        except (BaseError, OSError) as exc:
            raise self._error("list", folder, exc) from exc

    def size(self, name: str) -> int | None:
        """How many bytes an object has; None when there is none."""
        try:
            return int(obstore.head(self._store, name)["size"])
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as exc:
            raise self._error("read", name, exc) from exc

    def fetch(self, name: str, path: Path) -> bool:
        """Copy an object into a file, whole and on disk, or not at all; whether there is one."""
        partial = path.with_name(f".{path.name}.tmp")
        try:
            with partial.open("wb") as file:
                for data in self.parts(name):
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except NoObjectError:
            return False
        except OSError as exc:
            raise self._error("copy", name, exc) from exc
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return True

    def move(self, name: str, to: str) -> None:
        """Put an object in another's place, at once; if there is none, it was moved before."""
        try:
            obstore.copy(self._store, name, to)
            obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as exc:
            raise self._error("move", name, exc) from exc

    def remove(self, *names: str) -> None:
        """Remove those that are there."""
        for name in names:
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as exc:
                raise self._error("remove", name, exc) from exc

    def _error(self, verb: str, name: str, exc: Exception) -> StoreError:
        kind = NoObjectError if isinstance(exc, FileNotFoundError) else StoreError
        return kind(f"cannot {verb} {self.url}/{name}: {_reason(exc)}")


def wait_for(pending: Sequence[Future[Any]]) -> None:
    """Return when all are done; then raise what one of them raised."""
    errors = [exc for each in pending if (exc := each.exception()) is not None]
    if errors:
        raise errors[0]


def _reason(exc: Exception) -> str:
    """What a store said, in a line: its own code and message, else what went wrong on the way. No query, no keys."""
    text = str(exc)
    if _OF_THE_MACHINE.search(text) is not None:
        return "no credentials were found: none are set (AWS_ACCESS_KEY_ID and the like), and the machine has no role"
    if "BadScheme" in text:
        return "its endpoint is http:, which AWS_ALLOW_HTTP=true allows"
    if (told := _CODE.search(text)) is not None:
        return ": ".join(filter(None, told.groups()))
    return _QUERY.sub("", text.partition("\n")[0])[:300]
