"""A call as a `curl` command that repeats it. Secrets stand as `${NAME}`: the shell fills them in, or says they lack.

Owns: quoting, and what counts as a secret here: the values of headers that are not known to be harmless, of
parameters and fields whose names say so, and passwords.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from crawler.secrets import PLACEHOLDER, STARS, is_key_name, mask_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BODY_BYTES: Final = 4_000
"""A longer body stands in failed.jsonl: the command takes it from a file called body."""

_HARMLESS: Final = frozenset(
    {"accept", "accept-language", "accept-encoding", "cache-control", "content-type", "prefer", "range", "user-agent"}
    | {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "idempotency-key"}
)
_PLACEHOLDER: Final = re.compile(rf"({PLACEHOLDER})")
_STARRED_PAIR: Final = re.compile(r"([?&;#])([^=?&;#]+)=\*\*\*")
_STARRED_USER: Final = re.compile(r"://(?:([^:/?#@]*):)?\*\*\*@")


def curl_command(
    request: Mapping[str, Any],
    body: bytes | None,
    *,
    headers: Iterable[tuple[str, str]] = (),
    params: Iterable[tuple[str, str]] = (),
    timeout_s: float | None = None,
) -> str:
    """Give the command.

    request, body: as the ledger keeps them. headers, params: of the arguments, as the ledger shows them.
    """
    words = ["curl", "-sSgi"]  # -g: brackets in a URL are its own
    if timeout_s:
        words += ["-m", f"{timeout_s:g}"]
    method = str(request.get("method") or "GET")
    if method != "GET" or body:
        words += ["-X", _quoted(method)]
    own = [(str(name), str(value)) for name, value in request.get("headers") or ()]
    names = {name.lower() for name, _ in own}
    for name, value in [*own, *(header for header in headers if header[0].lower() not in names)]:
        words += ["-H", _quoted(f"{name}: {_shown(name, value)}" if value else f"{name};")]
    if body:
        words += _body(body)
    words.append(_quoted(_url(str(request["url"]), params)))
    return " ".join(words)


def _url(url: str, params: Iterable[tuple[str, str]]) -> str:
    shown = _STARRED_PAIR.sub(lambda match: f"{match[1]}{match[2]}=${{{_variable(match[2])}}}", mask_url(url))
    shown = _STARRED_USER.sub(_user, shown)
    more = "&".join(f"{quote_plus(name)}={_parameter(name, value)}" for name, value in params)
    if not more:
        return shown
    before, hash_, fragment = shown.partition("#")
    return f"{before}{'&' if '?' in before else '?'}{more}{hash_}{fragment}"


def _parameter(name: str, value: str) -> str:
    shown = _shown(name, value, harmless=not is_key_name(name))
    return "".join(part if _PLACEHOLDER.fullmatch(part) else quote_plus(part) for part in _PLACEHOLDER.split(shown))


def _user(match: re.Match[str]) -> str:
    return f"://{match[1]}:${{PASSWORD}}@" if match[1] else "://${USER_TOKEN}@"


def _shown(name: str, value: str, *, harmless: bool | None = None) -> str:
    """A value as the page may show it: `${NAME}` as it is, stars and what may be secret as a variable."""
    if harmless is None:
        harmless = name.lower() in _HARMLESS
    if value == STARS or (not harmless and not _PLACEHOLDER.search(value)):
        return f"${{{_variable(name)}}}"
    return value


def _variable(name: str) -> str:
    """The name of the variable that holds what belongs to *name*: X-Api-Key is X_API_KEY."""
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return variable if variable and not variable[0].isdigit() else f"SECRET_{variable}".rstrip("_")


def _body(body: bytes) -> list[str]:
    try:
        said = body.decode()
    except UnicodeDecodeError:
        said = "\0"
    if len(body) > BODY_BYTES or "\0" in said:
        return ["--data-binary", "@body"]
    try:
        fields = json.loads(said)
    except ValueError:
        form = _STARRED_PAIR.sub(lambda match: f"{match[1]}{match[2]}=${{{_variable(match[2])}}}", mask_url(f"?{said}"))
        return ["--data-raw", _quoted(form[1:])]
    masked = _masked(fields)
    return ["--data-raw", _quoted(said if masked == fields else json.dumps(masked, ensure_ascii=False))]


def _masked(value: Any) -> Any:
    """JSON with variables in the place of what its names call a secret."""
    if isinstance(value, dict):
        return {
            name: f"${{{_variable(name)}}}" if is_key_name(name) and isinstance(inner, str) else _masked(inner)
            for name, inner in value.items()
        }
    return [_masked(inner) for inner in value] if isinstance(value, list) else value


def _quoted(value: str) -> str:
    """Quote for a shell, so that nothing but `${NAME}` means anything to it."""
    parts = [part for part in _PLACEHOLDER.split(value) if part]
    if not parts:
        return "''"
    return "".join(f'"{part}"' if _PLACEHOLDER.fullmatch(part) else shlex.quote(part) for part in parts)
