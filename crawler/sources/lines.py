r"""Bytes to numbered physical lines, in constant memory, whatever the bytes are.

Owns: where a line begins and ends, its number, its cap, the bytes that no line may hold, and how a line
that cannot be read is shown to a person. Knows nothing of files, formats, JSON or URLs' grammar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from crawler.exceptions import ApiFetchError, ListError
from crawler.items import BadLine
from crawler.secrets import mask_damaged, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINE_CAP: Final = 64 * 1024
"""Bytes of the longest line or table record: twice what servers accept as a request line (8 to 32 KiB)."""

TEXT_CHARS: Final = 1_000
"""Characters of a bad line that are kept, as BadLine promises."""

Block: TypeAlias = tuple[int, list[bytes]]
"""The lines that one read completed: number of the first (from 1), and each without its LF."""

Record: TypeAlias = tuple[int, bytes]
"""What counts as one line of the list: the number of its first physical line, and its bytes."""

_FORBIDDEN: Final = bytes(set(range(0x20)) - set(b"\t\n\r")) + b"\x7f"
_AUTHORITY: Final = re.compile(r"//[^/?#]*@")
# A colon that may stand before a password: not that of a scheme, of a port, or of JSON.
_PASSWORD: Final = re.compile(r':(?!//|[\s"]|\d{1,5}[/?#])')
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)}


class LineError(ApiFetchError):
    """This line is no call; the message says why. It never leaves this room: a BadLine does."""


def read_blocks(chunks: Iterable[bytes], *, cap: int, path: str) -> Iterator[Block]:
    """Split at LF only. A line of more than *cap* bytes may come cut, to no less than cap + 1.

    Raises ListError when the chunks break off (a cut .gz, a failing disk): every whole line before that
    has been yielded by then, and the line in which it happened is not.
    """
    first, tail = 1, bytearray()
    try:
        for chunk in chunks:
            lines = chunk.split(b"\n")
            tail += lines[0][: cap + 1 - len(tail)]
            if len(lines) > 1:
                lines[0] = bytes(tail)
                tail = bytearray(lines.pop()[: cap + 1])
                yield first, lines
                first += len(lines)
    except (OSError, EOFError) as exc:
        raise ListError(f"{path}: breaks off in line {first} ({exc}); the lines before it were read") from exc
    if tail:
        yield first, [bytes(tail)]


def counting_lines(blocks: Iterable[Block]) -> Iterator[list[Record]]:
    """The lines that are neither blank nor a `#` comment, without the whitespace around them."""
    for first, lines in blocks:
        yield [
            (line, text) for line, raw in enumerate(lines, first) if (text := raw.strip()) and not text.startswith(b"#")
        ]


def decode(raw: bytes, *, cap: int = LINE_CAP) -> str:
    """The text of a line; raises LineError when it is too long, not UTF-8, or holds control characters."""
    if len(raw) > cap:
        raise LineError(f"longer than {cap // 1024:,} KiB")
    if len(raw.translate(None, _FORBIDDEN)) != len(raw):
        code = next(byte for byte in raw if byte in _FORBIDDEN)
        raise LineError(f"holds the control character 0x{code:02x}")
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise LineError(f"not UTF-8 (byte 0x{raw[exc.start]:02x} at position {exc.start + 1})") from exc


def bad_line(line: int, raw: bytes, reason: str, source: str | None = None) -> BadLine:
    r"""A BadLine without secrets: what may be credentials or a key is masked, control characters are \xNN too."""
    text = mask_damaged(mask_userinfo(raw[: LINE_CAP + 1].decode(errors="backslashreplace")))
    return BadLine(line=line, text=printable(text.translate(_CONTROL))[:TEXT_CHARS], reason=reason, source=source)


def mask_userinfo(text: str) -> str:
    """*text* with `***` for whatever may be credentials before an `@`.

    The text may be no URL at all (`user:pw@host` without a scheme, a password with a slash in it), so
    this hides too much rather than too little. Linear in the length of the text.
    """
    text = _AUTHORITY.sub("//***@", text.replace(r"\u0040", "@"))  # as some write it in JSON
    end = text.rfind("@")
    password = _PASSWORD.search(text, 0, max(end, 0))
    return f"{text[: password.end()]}***{text[end:]}" if password else text
