"""Where an export goes: a file that is there only when it is whole, or the standard output; packed if so named."""

from __future__ import annotations

import gzip
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final, cast

from crawler.exceptions import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKED: Final = (".gz", ".zst")

STDOUT: Final = "-"


@contextmanager
def target(path: Path, packing: str | None) -> Iterator[IO[bytes]]:
    """A file to write to. packing: one of PACKED, or None. Raises StoreError."""
    if str(path) == STDOUT:
        with _packed(sys.stdout.buffer, packing) as file:
            yield file
        sys.stdout.buffer.flush()
        return
    partial = path.with_name(f".{path.name}.tmp")
    try:
        partial.unlink(missing_ok=True)  # a killed export's; were it a link, it would not be followed
        with partial.open("xb") as plain, _packed(plain, packing) as file:
            yield file
        partial.replace(path)
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise StoreError(f"cannot write {path}: {exc.strerror}") from exc
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def _packed(file: IO[bytes], packing: str | None) -> Iterator[IO[bytes]]:
    if packing == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            yield packed  # type: ignore[misc]  # it writes bytes
    elif packing == ".zst":
        with _zstd(file) as packed:
            yield packed
    else:
        yield file


def _zstd(file: IO[bytes]) -> IO[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415  # new in 3.14; before, Scrapy brings the same module
    else:
        from backports import zstd  # noqa: PLC0415
    return cast("IO[bytes]", zstd.ZstdFile(file, mode="w"))
