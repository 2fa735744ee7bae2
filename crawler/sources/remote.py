"""A list that is not on this machine: downloaded into a folder before it is read, within limits of size and time.

Owns that download, and how a list on the web comes; `objects` knows those in object stores. What is downloaded is read
like any file. Credentials in the URL go out as Basic authentication, and stand in no message.
"""

from __future__ import annotations

import filecmp
import os
import ssl
import time
from contextlib import closing
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)  # fmt: skip

from crawler import __version__, trust
from crawler.exceptions import BadURLError, ListError
from crawler.interrupting import interrupted_at_once
from crawler.secrets import mask_url
from crawler.sources.names import file_name
from crawler.sources.objects import object_pieces
from crawler.sources.urls import check_url
from crawler.store.objects.address import is_object_store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path
    from typing import BinaryIO

FOLDER: Final = "list"
"""Where in the output directory a downloaded list is kept."""

MAX_BYTES: Final = 16 * 1024**3  # 100 million lines of 160 bytes; more is not a list but a mistake
STALL_S: Final = 30.0  # without a byte; what is only slow goes on
WHOLE_S: Final = 3600.0  # 16 GiB at 5 MB/s
_CHUNK_BYTES: Final = 256 * 1024


def download(url: str, directory: Path, *, ca_file: str | None = None, max_bytes: int = MAX_BYTES) -> str:
    """The path of the list below *directory*; unchanged bytes leave the file of an earlier download untouched.

    ca_file: for one on the web; None looks where the calls do. Raises ListError, ArgumentError where obstore is not
    there, and InterruptError when a signal comes meanwhile.
    """
    shown = mask_url(url)
    folder = directory / FOLDER
    path = folder / (file_name(url).replace("/", "_").lstrip(".")[-200:] or "list")
    partial = folder / ".download"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # a killed run's; were it a link, it would not be followed
        with partial.open("xb") as file, interrupted_at_once():
            pieces = object_pieces(url) if is_object_store(url) else _web_pieces(url, ca_file)
            with closing(pieces):
                _write(pieces, file, shown, max_bytes)
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and filecmp.cmp(partial, path, shallow=False):
            partial.unlink()
        else:
            partial.replace(path)
    except HTTPError as exc:
        exc.close()
        hint = "; credentials go into the URL (https://user:password@host/...)" if exc.code in {401, 403} else ""
        raise ListError(f"{shown}: the list cannot be downloaded: HTTP {exc.code} {exc.reason}{hint}") from exc
    except URLError as exc:
        raise ListError(f"{shown}: the list cannot be downloaded: {exc.reason}") from exc
    except (HTTPException, ValueError) as exc:
        raise ListError(f"{shown}: the list cannot be downloaded: {type(exc).__name__} {exc}") from exc
    except OSError as exc:
        raise ListError(f"{shown}: the list cannot be downloaded: {exc.strerror or exc}") from exc
    finally:
        partial.unlink(missing_ok=True)
    return str(path)


class Redirects(HTTPRedirectHandler):
    """Follows as the calls do: not from https to http, where anybody on the way could write the list."""

    def redirect_request(  # noqa: PLR0917  # urllib's signature
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if req.full_url.lower().startswith("https:") and not newurl.lower().startswith("https:"):
            raise ListError(f"{mask_url(req.full_url)}: it redirects from https to http, where anybody could change it")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _write(pieces: Iterable[bytes], file: BinaryIO, shown: str, max_bytes: int) -> None:
    deadline_s, got = time.monotonic() + WHOLE_S, 0
    for piece in pieces:
        got += len(piece)
        if got > max_bytes:
            raise ListError(f"{shown}: is larger than {max_bytes / 1024**3:g} GiB")
        if time.monotonic() > deadline_s:
            raise ListError(f"{shown}: took longer than {WHOLE_S / 3600:g} hours to download")
        file.write(piece)


def _web_pieces(url: str, ca_file: str | None) -> Generator[bytes]:
    try:
        target = check_url(url)
    except BadURLError as exc:
        raise ListError(f"{mask_url(url)}: {exc}") from exc
    request = Request(target.target, headers={"User-Agent": f"apifetch/{__version__}", "Accept": "*/*"})  # noqa: S310  # http, https
    if target.authorization:
        request.add_unredirected_header("Authorization", target.authorization)  # another host must not see it
    cafile, _ = trust.ca_file(ca_file, os.environ)
    opener = OpenerDirector()  # without the handlers of ftp, file and data: a redirect must not lead there
    for handler in (
        ProxyHandler(), HTTPHandler(), HTTPSHandler(context=ssl.create_default_context(cafile=cafile)),
        Redirects(), HTTPErrorProcessor(), HTTPDefaultErrorHandler(), UnknownHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    with opener.open(request, timeout=STALL_S) as response:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ListError(f"{mask_url(url)}: came with Content-Encoding although none was asked for")
        expected, got = response.headers.get("Content-Length"), 0
        while chunk := response.read1(_CHUNK_BYTES):
            got += len(chunk)
            yield chunk
        if expected is not None and got != int(expected):
            raise ListError(f"{mask_url(url)}: the download broke off: {got:,} of {int(expected):,} bytes")
