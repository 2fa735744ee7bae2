"""Filling in: what is secret, or ours alone, joins a request at the last moment before it goes out.

Owns the arguments `headers` and `params` as far as they hold `${NAME}`, and the place of `params` in the query. Where
the values come from is known to crawler.credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crawler.exceptions import ForbiddenHostError
from crawler.items import TICKET
from crawler.secrets import Masker, fill, filled_query, names_in

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.settings import BaseSettings

    from crawler.credentials import Secrets
    from crawler.values import Hosts


class Filling:
    """Makes of a request, with `${NAME}` unfilled, the one that goes out."""

    def __init__(self, settings: BaseSettings) -> None:
        self._hosts: Hosts | None = settings["APIFETCH_HOSTS"]
        headers = settings["APIFETCH_HEADERS"] or ()
        self._params = settings["APIFETCH_PARAMS"] or ()
        self._headers = [(name, value) for name, value in headers if names_in(value)]
        self._is_query_secret = any(names_in(value) for _, value in self._params)
        self._secrets: Secrets | None = None
        self._filled: dict[str, tuple[list[bytes], list[bytes]]] = {}  # name -> values unfilled, filled
        self._query = ""
        self._masker = Masker()

    def mask(self, text: str) -> str:
        """Give *text* with stars in the place of what was filled in."""
        return self._masker.mask(text)

    def fill(self, request: Request, secrets: Secrets) -> Request:
        """The request that goes out. Raises ForbiddenHostError rather than send a secret where it may not go."""
        if self._secrets is not secrets:
            self._secrets = secrets
            secrets.listen(self._read)
            self._read()
        if not self._filled and not self._query:
            return request
        listed = self._query and TICKET in request.meta and not request.meta.get("redirect_times")
        secret = {
            name: filled
            for name, (unfilled, filled) in self._filled.items()
            if name in request.headers and request.headers.getlist(name) == unfilled
        }
        if not listed and not secret:
            return request
        if secret or self._is_query_secret:
            target = urlsplit(request.url)
            if self._hosts is None or not self._hosts.allows(target.hostname or "", target.port, target.scheme):
                raise ForbiddenHostError(f"{target.hostname} is not among hosts={self._hosts}: it gets no secret")
        url = request.url
        if listed:
            url += ("&" if "?" in url else "?") + self._query
        headers = request.headers.copy()
        for name, values in secret.items():
            headers.setlist(name, values)
        return request.replace(url=url, headers=headers)

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
        self._masker = Masker(self._secrets.known, query=self._query)
