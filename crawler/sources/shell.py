"""The words of a command, taken apart as a POSIX shell would, without one: nothing is expanded, nothing is run.

Owns quoting: `'...'`, `"..."`, `$'...'` (which browsers write) and the backslash. What only a shell could do (pipes,
variables, redirections) is refused, by name. `${NAME}` stays as it is written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from crawler.secrets import PLACEHOLDER
from crawler.sources.lines import LineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crawler.sources.lines import Block, Record

_OPERATORS: Final = "|&;<>()"
_PLACEHOLDER: Final = re.compile(PLACEHOLDER)
_VARIABLE: Final = re.compile(r"\$[A-Za-z_0-9({?!@#*$-]")
_ANSI: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_ANSI_LETTERS: Final = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip
_CONTINUED: Final = re.compile(rb"(?:[^\\]|\A)(?:\\\\)*\\\r?\Z")


def continued_lines(blocks: Iterable[Block], *, cap: int) -> Iterator[list[Record]]:
    """Lines that a backslash at their end continues, as one, with the number of the first; none blank or a comment.

    What grows beyond *cap* bytes is cut there, so that it will not parse.
    """
    held, first = bytearray(), 0
    for number, lines in blocks:
        records: list[Record] = []
        for line, raw in enumerate(lines, number):
            if not held:
                text = raw.strip()
                if not text or text.startswith(b"#"):
                    continue
                first = line
            held += raw[: cap + 1 - len(held)]
            if _CONTINUED.search(raw[-64:]) and len(held) <= cap:
                del held[held.rindex(b"\\") :]
                continue
            records.append((first, bytes(held).strip()))
            held.clear()
        yield records
    if held:
        yield [(first, bytes(held).strip())]


def words(text: str) -> list[str]:
    """Raises LineError where the quotes are broken, or a shell would have to do something."""
    found: list[str] = []
    at, size = 0, len(text)
    while at < size:
        if text[at] in " \t\r":
            at += 1
            continue
        if text[at] == "#":  # a comment
            break
        word, at = _word(text, at)
        found.append(word)
    return found


def _word(text: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while at < len(text) and text[at] not in " \t\r":
        char = text[at]
        if char == "'":
            end = _closing(text, at, "'")
            parts.append(text[at + 1 : end])
            at = end + 1
        elif text.startswith("$'", at):
            part, at = _ansi(text, at + 2)
            parts.append(part)
        elif char == '"':
            part, at = _double(text, at + 1)
            parts.append(part)
        elif char == "\\":
            parts.append(text[at + 1 : at + 2])
            at += 2
        elif char in _OPERATORS:
            raise LineError(f"an unquoted {char} is for a shell, and there is none: quote it, or leave it out")
        else:
            part, at = _plain(text, at)
            parts.append(part)
    return "".join(parts), at


def _closing(text: str, at: int, quote: str) -> int:
    end = text.find(quote, at + 1)
    if end < 0:
        raise LineError(
            f"the quote {quote} at position {at + 1} is not closed (a command may go on after \\ at its end)"
        )
    return end


def _plain(text: str, at: int) -> tuple[str, int]:
    """One character that means itself, or `${NAME}`."""
    if text[at] == "`":
        raise LineError("a ` runs a command in a shell, which there is none of here")
    if placeholder := _PLACEHOLDER.match(text, at):
        return placeholder[0], placeholder.end()
    if _VARIABLE.match(text, at):
        raise LineError("a $ is for a shell, and there is none: quote it with ', or write ${NAME}")
    return text[at], at + 1


def _double(text: str, at: int) -> tuple[str, int]:
    start = at - 1
    parts: list[str] = []
    while at < len(text):
        if text[at] == '"':
            return "".join(parts), at + 1
        if text[at] == "\\" and text[at + 1 : at + 2] in {"$", "`", '"', "\\"}:
            parts.append(text[at + 1])
            at += 2
        else:
            part, at = _plain(text, at)
            parts.append(part)
    _closing(text, start, '"')
    raise LineError(f'the quote " at position {start + 1} is not closed')


def _ansi(text: str, at: int) -> tuple[str, int]:
    """Bash's `$'...'`, from behind the quote. Octal and hexadecimal escapes are bytes, as there."""
    start, parts = at, bytearray()
    while at < len(text):
        if text[at] == "'":
            try:
                return parts.decode(), at + 1
            except UnicodeDecodeError as exc:
                raise LineError(f"$'...' at position {start - 1} is not UTF-8") from exc
        if text[at] == "\\" and (escape := _ANSI.match(text, at)):
            parts += _escaped(escape)
            at = escape.end()
        else:
            parts += text[at].encode(errors="surrogatepass")
            at += 1
    raise LineError(f"the quote $' at position {start - 1} is not closed")


def _escaped(escape: re.Match[str]) -> bytes:
    hexadecimal, short, long, octal, letter = escape.groups()
    if hexadecimal or octal:
        return bytes((int(hexadecimal or octal, 16 if hexadecimal else 8) & 0xFF,))
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise LineError(f"{escape[0]} is no character")
        return chr(code).encode()
    return _ANSI_LETTERS.get(letter, f"\\{letter}").encode()
