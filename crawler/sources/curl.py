"""`curl` commands: one becomes the call that curl would make, or a bad line that names the option.

Owns: how what the options say is put together. After curl's manual, and tested against curl itself.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from crawler.items import Entry
from crawler.secrets import PLACEHOLDER
from crawler.sources.curl_options import FLAGS, options
from crawler.sources.jsonl import JSONL_CAP, checked_header
from crawler.sources.lines import LineError, decode
from crawler.sources.shell import words
from crawler.sources.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_GLOB: Final = re.compile(r"[\[\]{}]")
_HOST_IN_BRACKETS: Final = re.compile(r"(https?://(?:[^/?#@]*@)?)\[[0-9A-Fa-f:.]+\]", re.IGNORECASE)
_ILLEGAL: Final = re.compile(
    r'[ "<>\\^`{|}]|[^\x00-\x7f]|%(?![0-9A-Fa-f]{2})'
)  # curl sends it all the same, or refuses the URL
_AUTHORITY: Final = re.compile(r"[A-Za-z]+://[^/?]*")
_PLACEHOLDER: Final = re.compile(PLACEHOLDER)
_PRIVATE: Final = re.compile(
    rb"(?<!\S)(-[A-Za-z#]*[uHbU]|--(?:user|header|cookie|oauth2-bearer|proxy-user))(\s*)"
    rb"(\$?'(?:[^'\\]|\\.)*'?|\"(?:[^\"\\]|\\.)*\"?|[^\s'\"]\S*)"
)


def shown(raw: bytes) -> bytes:
    """A command for people: without the values of options that hold credentials."""
    return _PRIVATE.sub(rb"\1\2***", raw)


@dataclass(slots=True)
class _Command:
    """What the options add up to. data: None without a body. query: what --url-query adds."""

    urls: list[str] = field(default_factory=list)
    method: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    data: str | None = None
    query: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    user: str | None = None
    bearer: str | None = None
    defaults: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        return name in self.removed or any(name == given.lower() for given, _ in self.headers)


def parse_curl(line: int, raw: bytes) -> Entry:
    """The call that curl would make. Raises LineError or BadURLError."""
    program, *rest = words(decode(raw, cap=JSONL_CAP)) or [""]
    if program.rpartition("/")[2] not in {"curl", "curl.exe"}:
        raise LineError("a command begins with curl")
    command = _Command()
    for said, option, value in options(rest):
        _apply(command, said, option, value)
    url, body = _url_and_body(command)
    if illegal := _ILLEGAL.search(_PLACEHOLDER.sub("", _AUTHORITY.sub("", url.partition("#")[0]))):
        raise LineError(f"the URL holds {illegal[0]!r}, which may not stand in one: write {quote(illegal[0], safe='')}")
    target = check_url(url)
    return Entry(
        url=url,
        target=target.target,
        authorization=target.authorization,
        line=line,
        method=command.method or ("HEAD" if "head" in command.flags else "GET" if body is None else "POST"),
        headers=tuple(_headers(command, has_body=body is not None)),
        body=(body or "").encode(),
    )


def _apply(command: _Command, said: str, option: str, value: str) -> None:  # noqa: C901, PLR0912  # a table of options
    match option:
        case "url":
            command.urls.append(value)
        case "request":
            if not re.fullmatch(r"[A-Z]{1,20}", value) or value == "CONNECT":
                raise LineError(f"{said} {value[:40]}: a method is a word in capitals")
            command.method = value
        case "header":
            _add_header(command, said, value)
        case "data" | "data-ascii" | "data-binary" | "data-raw" | "json" | "data-urlencode":
            _add_data(command, said, option, value)
        case "url-query":
            command.query.append(value[1:] if value.startswith("+") else _url_encoded(said, value))
        case "cookie":
            if "=" not in value:
                raise LineError(f"{said} names a file of cookies, and files are not read")
            command.cookies.append(value)
        case "user":
            if ":" not in value:
                raise LineError(f"{said} has no password: user:password")
            command.user = value
        case "oauth2-bearer":
            command.bearer = value
        case "user-agent" | "referer":
            if not value or value.endswith(";auto"):
                raise LineError(f"{said} {value!r}: only a value can be sent")
            command.defaults["User-Agent" if option == "user-agent" else "Referer"] = value
        case "range":
            command.defaults["Range"] = f"bytes={value}"
        case _ if option in FLAGS:
            command.flags.add(option)
        # what is left changes nothing of a call: curl_options.PASSED_OVER


def _add_header(command: _Command, said: str, text: str) -> None:
    if text.startswith("@"):
        raise LineError(f"{said} names a file, and files are not read")
    name, colon, value = text.partition(":")
    if not colon:
        if not text.endswith(";"):
            raise LineError(f"{said} is no header: Name: value")
        command.headers.append(checked_header(text[:-1].strip(), ""))
    elif value.strip():
        command.headers.append(checked_header(name.strip(), value.strip(" \t")))
    elif name.lower() in {"content-type", "expect"}:  # which are not sent of their own accord
        command.removed.add(name.lower())
    else:
        raise LineError(f"{said} {name[:40]}: a header cannot be taken out")


def _add_data(command: _Command, said: str, option: str, value: str) -> None:
    if option == "data-urlencode":
        value = _url_encoded(said, value)
    elif option != "data-raw" and value.startswith("@"):
        raise LineError(f"{said} {value[:40]}: files are not read")
    if option == "json":
        command.defaults |= {"Content-Type": "application/json", "Accept": "application/json"}
    joint = "&" if command.data and option != "json" else ""
    command.data = f"{command.data or ''}{joint}{value}"


def _url_encoded(said: str, text: str) -> str:
    """`content`, `=content` or `name=content` (curl's manual, --data-urlencode); a space becomes +."""
    name, mark, content = re.fullmatch(r"([^=@]*)([=@]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # fits all
    if mark == "@":
        raise LineError(f"{said} {text[:40]}: files are not read")
    if not mark:
        name, content = "", name
    encoded = quote(content, safe="").replace("%20", "+")
    return f"{name}={encoded}" if name else encoded


def _url_and_body(command: _Command) -> tuple[str, str | None]:
    if len(command.urls) != 1:
        raise LineError(
            "no URL" if not command.urls else f"a second URL, {command.urls[1][:80]}: give it a line of its own"
        )
    url = command.urls[0]
    if "globoff" not in command.flags and _GLOB.search(_PLACEHOLDER.sub("", _HOST_IN_BRACKETS.sub(r"\1", url))):
        raise LineError("curl makes several URLs of one with [] or {}: give each a line, or say -g")
    if "get" in command.flags and command.data is not None:
        url, body = _with_query(url, command.data), None
    else:
        body = command.data
    if body is not None and "head" in command.flags:
        raise LineError("-I and a body exclude each other")
    for query in command.query:
        url = _with_query(url, query)
    return (url if "path-as-is" in command.flags else _without_dots(url)), body


def _with_query(url: str, more: str) -> str:
    url, mark, fragment = url.partition("#")
    if more:
        url += ("" if url.endswith(("?", "&")) else "&" if "?" in url else "?") + more
    return url + mark + fragment


def _without_dots(url: str) -> str:
    """The path without `.` and `..` (RFC 3986, section 5.2.4), as curl asks for it."""
    match = re.fullmatch(r"([A-Za-z]+://[^/?#]*)(/[^?#]*)(.*)", url, re.DOTALL)
    if match is None or "/." not in match[2]:
        return url
    origin, path, rest = match.groups()
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    if path.endswith(("/.", "/..")):
        kept.append("")
    return f"{origin}/{'/'.join(kept)}{rest}"


def _headers(command: _Command, *, has_body: bool) -> Iterator[tuple[str, str]]:
    yield from command.headers
    if has_body:
        command.defaults.setdefault("Content-Type", "application/x-www-form-urlencoded")
    if command.cookies:
        command.defaults["Cookie"] = ";".join(command.cookies)
    if command.bearer is not None:
        command.defaults["Authorization"] = f"Bearer {command.bearer}"
    if command.user is not None:
        command.defaults["Authorization"] = f"Basic {b64encode(command.user.encode()).decode()}"
    for name, value in command.defaults.items():
        if not command.has(name.lower()):
            yield checked_header(name, value)
