"""Filling in: what is secret, or ours alone, joins a request at the last moment before it goes out.

Owns the arguments `headers` and `params` as far as they hold `${NAME}`, the place of `params` in the query, and which
calls are the list's own. Where the values come from is known to crawler.credentials, how they stand in a list's call to
crawler.wire.passing.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crawler.credentials import lets_in
from crawler.exceptions import ForbiddenHostError
from crawler.items import STRANGER, TICKET
from crawler.secrets import fill, filled_query, is_key_name, mask_url, names_in
from crawler.wire.passing import fill_line

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.settings import BaseSettings

    from crawler.credentials import Secrets
    from crawler.values import Hosts


class Whose(Enum):
    """Who gave the credentials that a call carries."""

    OURS = "the arguments, or the variables that they let the list use"
    LIST = "the list"


class Filling:
    """Makes of a request, with `${NAME}` unfilled, the one that goes out."""

    def __init__(self, settings: BaseSettings) -> None:
        self._hosts: Hosts | None = settings["APIFETCH_HOSTS"]
        headers = settings["APIFETCH_HEADERS"] or ()
        self._params = settings["APIFETCH_PARAMS"] or ()
        self._headers = [(name, value) for name, value in headers if names_in(value)]
        self._keys: dict[str, list[bytes]] = {}  # headers that let in, `${NAME}` unfilled
        for name, value in headers:
            if names_in(value) or lets_in(name):
                self._keys.setdefault(name, []).append(value.encode())
        self._is_query_key = any(names_in(value) or is_key_name(name) for name, value in self._params)
        self._is_query_secret = any(names_in(value) for _, value in self._params)
        self._secrets: Secrets | None = None
        self._filled: dict[str, tuple[list[bytes], list[bytes]]] = {}  # name -> values unfilled, filled
        self._query = ""
        self._passed: tuple[str, ...] = settings["APIFETCH_PASS_ENV"] or ()
        self._of_list: dict[str, str] = {}

    def mask(self, text: str) -> str:
        """Give *text* with stars in the place of what was filled in."""
        return text if self._secrets is None else self._secrets.masker.mask(text)

    def fill(self, request: Request, secrets: Secrets) -> Request:
        """The request that goes out. Raises ForbiddenHostError rather than send a secret where it may not go."""
        if self._secrets is not secrets:
            self._secrets = secrets
            secrets.listen(self._read)
            self._read()
        if not self._filled and not self._query and not self._of_list:
            return request
        listed = self._query and _is_as_listed(request)
        secret = {
            name: filled
            for name, (unfilled, filled) in self._filled.items()
            if name in request.headers and request.headers.getlist(name) == unfilled
        }
        changed = fill_line(request, self._of_list) if self._of_list else {}
        if not listed and not secret and not changed:
            return request
        if secret or changed or self._is_query_secret:
            target = urlsplit(request.url)
            if self._hosts is None or not self._hosts.allows(target.hostname or "", target.port, target.scheme):
                raise ForbiddenHostError(f"{target.hostname} is not among hosts={self._hosts}: it gets no secret")
        if listed:
            url = changed.get("url", request.url)
            changed["url"] = url + ("&" if "?" in url else "?") + self._query
        headers = changed.setdefault("headers", request.headers.copy())
        for name, values in secret.items():
            headers.setlist(name, values)
        filled: Request = request.replace(**changed)
        return filled

    def credentials_in(self, request: Request) -> Whose | None:
        """Give whose credentials a request carries; None for none."""
        headers = request.headers
        if (
            any(name in headers and headers.getlist(name) == values for name, values in self._keys.items())
            or (self._is_query_key and _is_as_listed(request))
            or (self._of_list and fill_line(request, self._of_list))
        ):
            return Whose.OURS
        if any(lets_in(name.decode("latin-1")) for name in headers) or mask_url(request.url) != request.url:
            return Whose.LIST
        return None

    def _read(self) -> None:
        """Take over the secrets' values as they are now."""
        assert self._secrets is not None
        values = self._secrets.values
        self._filled = {}
        for name, value in self._headers:
            unfilled, filled = self._filled.setdefault(name, ([], []))
            unfilled.append(value.encode())
            filled.append(fill(value, values).encode())
        self._query = filled_query(self._params, values)
        self._of_list = {name: values[name] for name in self._passed}


def _is_as_listed(request: Request) -> bool:
    """Whether it is a call of the list or of a page, and not where one was redirected to."""
    meta = request.meta
    return TICKET in meta and not meta.get("redirect_times") and STRANGER not in meta
