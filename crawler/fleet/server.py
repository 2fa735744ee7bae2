"""One scrapyd, asked over HTTP: its services, and the logs of its jobs.

Owns addresses, credentials and time-outs. Blocks, for at most TIMEOUT_S at a stretch: whoever has a loop calls it in a
thread. Follows no redirect and asks no proxy, so that the password goes where it was said to go.
"""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from crawler import __version__
from crawler.exceptions import ApiFetchError, ArgumentError
from crawler.secrets import mask_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TIMEOUT_S: Final = 60.0
"""Without a byte. scrapyd answers nobody while it lists the spiders of an egg: seconds on a busy machine."""

ANSWER_BYTES: Final = 16 * 1024**2  # the longest listjobs: 30,000 finished jobs
TAIL_BYTES: Final = 16 * 1024  # the sum at a log's end is 2 kB

USERNAME, PASSWORD = "SCRAPYD_USERNAME", "SCRAPYD_PASSWORD"
"""Where credentials stand that are not in the URL: the names that scrapyd itself reads."""

_FOR_A_WHILE: Final = frozenset({502, 503, 504})  # a proxy's, whose scrapyd is gone


class NoAnswerError(ApiFetchError):
    """It cannot be reached, or said nothing in time: it may be gone, or come back."""


class RefusedError(ApiFetchError):
    """It answered, and would not: asking again, there or elsewhere, would not help."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log. text: the last TAIL_BYTES of it; size: of all of it, in bytes."""

    text: str
    size: int


class Server:
    """A scrapyd. shown: its address without credentials. host: its name, by which machines are told apart."""

    def __init__(self, url: str, *, environ: Mapping[str, str]) -> None:
        """Raises ArgumentError."""
        expected = "the address of a scrapyd, such as http://127.0.0.1:6800"
        try:
            parts = urlsplit(url)
            self._port = parts.port
        except ValueError as exc:
            raise ArgumentError("--scrapyd", mask_url(url), expected) from exc
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ArgumentError("--scrapyd", mask_url(url), expected)
        self.host = parts.hostname
        self._is_secure = parts.scheme == "https"
        self._path = parts.path.rstrip("/")
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.shown = f"{parts.scheme}://{name}{f':{self._port}' if self._port else ''}{self._path}"
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not user:
            user, password = environ.get(USERNAME, ""), environ.get(PASSWORD, "")
        self._headers = {"User-Agent": f"apifetch/{__version__}"}
        if user:
            self._headers["Authorization"] = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"

    def versions(self, project: str) -> list[str]:
        """The versions that are deployed, the oldest first; none of a project that is not, or that needs no egg."""
        return [str(each) for each in self._ask("listversions.json", {"project": project})["versions"]]

    def spiders(self, project: str, version: str | None) -> list[str]:
        """The spiders of a version. Raises RefusedError where the project is not there, or cannot be loaded."""
        fields = {"project": project} | ({"_version": version} if version else {})
        return [str(each) for each in self._ask("listspiders.json", fields)["spiders"]]

    def schedule(self, project: str, spider: str, job: str, fields: Iterable[tuple[str, str]]) -> None:
        """Have it run a job. fields: arguments, `setting` as often as needed, `_version`."""
        self._ask("schedule.json", post=[("project", project), ("spider", spider), ("jobid", job), *fields])

    def cancel(self, project: str, job: str, *, at_once: bool) -> bool:
        """Cancel it: in good order, or with SIGKILL. Whether there was such a job."""
        post = [("project", project), ("job", job)] + ([("signal", "KILL")] if at_once else [])
        return self._ask("cancel.json", post=post)["prevstate"] is not None

    def jobs(self, project: str) -> dict[str, str]:
        """Each job that it knows, and whether it is pending, running or finished."""
        answer = self._ask("listjobs.json", {"project": project})
        return {str(job["id"]): state for state in ("finished", "running", "pending") for job in answer[state]}

    def tail(self, project: str, spider: str, job: str) -> Tail | None:
        """The end of a job's log; None where there is none."""
        path = "/logs/" + "/".join(quote(part, safe="") for part in (project, spider, f"{job}.log"))
        # Not the last bytes by `bytes=-N`: Twisted fails on a file that is shorter.
        status, headers, _ = self._request("HEAD", path)
        length = headers.get("Content-Length", "")
        if status != 200 or not length.isdigit():
            return None
        size = int(length)
        since = max(0, size - TAIL_BYTES)
        status, _, body = self._request("GET", path, headers={"Range": f"bytes={since}-"} if since else {})
        return Tail(body.decode(errors="replace"), size) if status in {200, 206} else None

    def _ask(
        self, service: str, query: Mapping[str, str] | None = None, *, post: list[tuple[str, str]] | None = None
    ) -> dict[str, Any]:
        path = f"/{service}" + (f"?{urlencode(query)}" if query else "")
        if post is None:
            status, _, body = self._request("GET", path)
        else:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            status, _, body = self._request("POST", path, urlencode(post).encode(), form)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if status != 200 or not isinstance(answer, dict):
            raise RefusedError(f"{self.shown}/{service}: HTTP {status}, and no answer of a scrapyd's")
        if answer.get("status") != "ok":
            *_, last = [
                "",
                *filter(None, map(str.strip, str(answer.get("message", "")).splitlines())),
            ]  # of a traceback
            raise RefusedError(f"{self.shown}/{service}: {mask_url(last)}")
        return answer

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Raises NoAnswerError, and RefusedError where it wants other credentials."""
        if self._is_secure:
            context = ssl.create_default_context()
            connection: HTTPConnection = HTTPSConnection(self.host, self._port, timeout=TIMEOUT_S, context=context)
        else:
            connection = HTTPConnection(self.host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, f"{self._path}{path}", body, {**self._headers, **(headers or {})})
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES)
        except (OSError, HTTPException) as exc:
            raise NoAnswerError(f"{self.shown}: {getattr(exc, 'strerror', None) or exc or type(exc).__name__}") from exc
        finally:
            connection.close()
        if response.status in {401, 403}:
            how = f"http://USER:PASSWORD@{self.host}, or {USERNAME} and {PASSWORD} in the environment"
            raise RefusedError(f"{self.shown}: it refuses the user and the password; say them as {how}")
        if response.status in _FOR_A_WHILE:
            raise NoAnswerError(f"{self.shown}: HTTP {response.status}")
        return response.status, dict(response.headers), answer
