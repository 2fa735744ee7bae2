"""Secrets: where `${NAME}` stands, how it is filled in, and how values are kept out of what people read.

Owns: the syntax of `${NAME}`, which query parameters look like keys, masking of URLs, texts and log
records. Knows nothing of the environment, of arguments or of who asks: names and values come in.

There is no escape for `${`: filling is done once and never looks at what it filled in, so a value that
must hold `${X}` itself can come from a variable.
"""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

STARS: Final = "***"

MIN_MASKED_CHARS: Final = 8
"""Shorter values are not looked for in texts: they are found in ordinary words and numbers. They are
safe by position instead: outside the handler that fills them in, a text only ever holds `${NAME}`."""

NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
"""A name, as a pattern: what a variable of the environment may be called."""

PLACEHOLDER: Final = rf"\$\{{{NAME}\}}"
_PLACEHOLDER: Final = re.compile(rf"\$\{{({NAME})\}}")


def names_in(text: str) -> list[str]:
    """Give the names of all `${NAME}` in *text*, each once, in order."""
    return list(dict.fromkeys(_PLACEHOLDER.findall(text)))


_BARE: Final = re.compile(rf"\$({NAME})")


def bare_names_in(pairs: Iterable[tuple[str, str]], variables: Container[str]) -> list[str]:
    """Give the names of *variables* that a value has as `$NAME`: a shell would fill them in, and we do not."""
    return list(dict.fromkeys(name for _, value in pairs for name in _BARE.findall(value) if name in variables))


def has_stray_opening(text: str) -> bool:
    """Whether a `${` in *text* begins no `${NAME}` (`${API-KEY}`, `${KEY`): most likely a mistake."""
    return text.count("${") != len(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace every `${NAME}` by `values[NAME]`; names that are not in *values* stay as they are."""
    if "${" not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


_SCHEME: Final = re.compile(r"\s*(?:(?:Bearer|Basic|Token|ApiKey|Key)\s+)?", re.IGNORECASE)


def only_names(text: str) -> str:
    """Put `***` for all but `${NAME}` and the name of a scheme before it, as in `Bearer ${NAME}`."""
    at, parts = 0, list[str]()
    for match in _PLACEHOLDER.finditer(text):
        between = text[at : match.start()]
        parts += [between if _SCHEME.fullmatch(between) else STARS, match[0]]
        at = match.end()
    return "".join(parts) + (STARS if text[at:] or not parts else "")


def filled_query(params: Iterable[tuple[str, str]], values: Mapping[str, str]) -> str:
    """Give what *params* add to the query of a URL, with every `${NAME}` filled in; "" for none."""
    return "&".join(f"{quote_plus(name)}={quote_plus(fill(value, values))}" for name, value in params)


# URLs

_USERINFO: Final = re.compile(r"://([^/?#\s]*)@")  # greedy: a password may hold an @ of its own
_PAIR: Final = re.compile(r"""[?&;#]([^=?&;#\s"<>]+)=""")
_URL_VALUE: Final = re.compile(r"[^&#]*")
_TEXT_VALUE: Final = re.compile(r"""[^&#\s"<>]*""")  # what ends a URL in a log line, as in <GET https://...>

_WORD_END: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|%[0-9A-Fa-f]{2}|[^A-Za-z0-9]+")
_KEY_WORD: Final = re.compile(
    r"key|auth|authorization|passwd|passphrase|pass|pwd|sig|hmac|credentials?|session|sid|jwt|bearer|"
    r".*(?:apikey|appkey|authkey|accesskey|secretkey|token|secret|password|signature|sessionid|sessid)"
)
_HARMLESS: Final = frozenset(
    {"sort key", "order key", "group key", "primary key", "foreign key", "partition key"}
    | {"page token", "next token", "continuation token"}
)
"""Endings that name a plain datum; masked, all pages of an answer would look alike."""


@lru_cache(maxsize=1024)  # a list repeats a handful of names: 0.1 us against 4 us
def is_key_name(name: str) -> bool:
    """Whether a query parameter of this name holds a credential, judged by its last word.

    Words end at anything but letters and digits and where camelCase turns: `api-key`, `subscription_key`
    and `accessToken` are keys; `keyword`, `monkey`, `token_type` and `page_token` are not. Neither is
    `code`: far more often a country or a product than an OAuth code, which works only once.
    """
    words = [word.lower().rstrip("0123456789") for word in _WORD_END.split(name)]
    words = [word for word in words if word]
    ending = " ".join(words[-2:])
    if ending in _HARMLESS:
        return False
    return ending == "session id" or bool(words and _KEY_WORD.fullmatch(words[-1]))


def mask_url(url: str) -> str:
    """Put `***` for the password of a URL and for the values of parameters that look like keys.

    `user:password@` keeps the user; a user alone (or with an empty password) is how tokens are sent,
    and goes too. A URL without `=` and `@` comes back at once.
    """
    return _mask_urls(url, _URL_VALUE)


def _mask_urls(text: str, value: re.Pattern[str]) -> str:
    if "@" in text:
        text = _USERINFO.sub(_mask_userinfo, text)
    if "=" not in text:
        return text
    done, at = "", 0
    for pair in _PAIR.finditer(text):
        # one that begins inside a value that is already masked is gone with it; endings decide, so that
        # the names of a hostile list fill no memory
        if pair.start() >= at and is_key_name(pair[1][-64:]):
            done += text[at : pair.end()] + STARS
            hidden = value.match(text, pair.end())
            at = hidden.end() if hidden else pair.end()
    return done + text[at:] if at else text


def _mask_userinfo(match: re.Match[str]) -> str:
    user, _, password = match[1].partition(":")
    return f"://{user}:{STARS}@" if password else f"://{STARS}@"


_JSON_PAIR: Final = re.compile(r'"([^"\\]{1,100})"\s*:\s*(?:\[[^\]]*\]?|"(?:[^"\\]|\\.)*"?)')
_COOKIES: Final = frozenset({"cookie", "set-cookie"})


def mask_damaged(text: str) -> str:
    """The same for a line that is no URL and no JSON, where what stands beside a key's name goes as well."""
    return _mask_urls(_JSON_PAIR.sub(_mask_pair, text), _TEXT_VALUE)


def _mask_pair(match: re.Match[str]) -> str:
    name = match[1]
    return f'"{name}": "{STARS}"' if is_key_name(name) or name.lower() in _COOKIES else match[0]


# Texts


class Masker:
    """Masks known secrets, and keys in URLs, in any text.

    values: the secrets. Those of MIN_MASKED_CHARS and more are found as they are, percent-encoded,
    escaped as in JSON or a Python literal, and in base64: alone or inside, as in `Basic user:secret`.
    query: a `filled_query`, masked as a whole, so that its shorter values are gone too.
    """

    def __init__(self, values: Iterable[str] = (), *, query: str = "") -> None:
        # the longest first: of two secrets that begin alike, the whole one has to go
        long = sorted({value for value in values if len(value) >= MIN_MASKED_CHARS}, key=len, reverse=True)
        forms = [form for value in long for form in (_plain_form(value), *_base64_forms(value))]
        if query:
            forms.insert(0, rf"(?<=[?&]){re.escape(query)}")
        self._secrets = re.compile("|".join(forms)) if forms else None
        self._anchors = {_anchor(value) for value in long}
        self._anchors.update(_anchor(text) for value in long for text in _in_base64(value))
        if query:
            self._anchors.add(query)

    def finds(self, text: str) -> bool:
        """Whether one of the secrets stands in *text*: for one that has none at a tenth of what the search costs."""
        return (
            self._secrets is not None
            and any(anchor in text for anchor in self._anchors)
            and self._secrets.search(text) is not None
        )

    def mask(self, text: str) -> str:
        """Give *text* with `***` in the place of every secret."""
        if self._secrets is not None and self.finds(text):
            # before the URLs: an & in a secret would end the parameter in the middle of it
            text = self._secrets.sub(STARS, text)
        return _mask_urls(text, _TEXT_VALUE)


def _plain_form(value: str) -> str:
    """Give a pattern that finds *value* however each of its characters is written."""
    return "".join(_writings(char) for char in value)


def _writings(char: str) -> str:
    """Give a pattern for all writings of one character; a letter or digit has only one."""
    if char.isascii() and char.isalnum():
        return char
    octets = char.encode("utf-8", "surrogatepass")
    units = char.encode("utf-16-be", "surrogatepass")
    forms = {char, f"\\{char}", f"\\x{ord(char):02x}", _SHORT.get(char, char)}
    forms.add("".join(f"\\x{octet:02x}" for octet in octets))
    for case in "xX":
        forms.add("".join(f"%{octet:02{case}}" for octet in octets))
        forms.add("".join(f"\\u{units[i] << 8 | units[i + 1]:04{case}}" for i in range(0, len(units), 2)))
    # the longest first, so that a backslash is not taken for the whole of an escape
    return f"(?:{'|'.join(re.escape(form) for form in sorted(forms, key=len, reverse=True))})"


_SHORT: Final = {" ": "+", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}


def _base64_forms(value: str) -> list[str]:
    """Give a pattern for each of the three ways in which *value* can lie in a longer base64 text.

    Three octets make four characters, so only the octets before the value modulo 3 matter. Characters
    that hold bits of a neighbour are left out; 8 octets still fix 9 characters, 54 bits.
    """
    return ["".join(_BASE64.get(char, char) for char in whole) + "[A-Za-z0-9+/_=-]*" for whole in _in_base64(value)]


def _in_base64(value: str) -> list[str]:
    """What of each of the three is sure."""
    octets = value.encode("utf-8", "surrogatepass")
    texts = (b64encode(bytes(before) + octets).decode().rstrip("=") for before in range(3))
    return [text[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6] for before, text in enumerate(texts)]


_ALNUM: Final[re.Pattern[str]] = re.compile("[A-Za-z0-9]*")


def _anchor(value: str) -> str:
    """The longest part that every writing of *value* has as it is; empty where there is none."""
    runs: list[str] = _ALNUM.findall(value)
    return max(runs, key=len)


_BASE64: Final = {"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|%2[Ff]|\\/)"}  # URL-safe alphabet, encoded, JSON


# Logs


_AS_TEXT: Final = logging.Formatter()
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal may obey, or what turns a line around: all control characters but tab and line feed."""


def printable(text: str) -> str:
    """Give *text* with control characters spelt out: what a server or a list said must not move a cursor."""
    return _UNSEEN.sub(lambda char: f"\\x{ord(char[0]):02x}", text)


class MaskFilter(logging.Filter):
    """Masks a log record once formatted, so that no handler it reaches prints a secret.

    A record in which nothing is masked stays untouched; else its arguments and its live exception are
    given up for their masked text. For handlers: a logger's filter does not see its children's records.
    """

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self.use(masker)

    def use(self, masker: Masker) -> None:
        """Mask with this one from now on."""
        self._masker = masker

    def _mask(self, text: str) -> str:
        return printable(self._masker.mask(text))

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask *record* in place; it always passes."""
        mask = self._mask
        try:
            message = record.getMessage()
        except Exception as exc:  # noqa: BLE001  # an argument's __str__ may raise anything, into the log call
            template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
            record.msg = f"{mask(template)} (its arguments cannot be formatted: {type(exc).__name__})"
            record.args = None
        else:
            if (masked := mask(message)) != message:
                record.msg, record.args = masked, None
        trace = record.exc_text or (_AS_TEXT.formatException(record.exc_info) if record.exc_info else "")
        if (masked := mask(trace)) != trace:
            record.exc_text, record.exc_info = masked, None
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        return True
