"""Bodies that API servers send, and those that trip readers, each with the name it must be stored under."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """kind: body, charset (of a text), or base64. content_type: None when the answer had none.

    repeats: it holds a name twice (for DuckDB, A and a are one), so that DuckDB cannot infer a column type.
    wide: it holds an integer of more than 64 bits, which pandas' own parser refuses.
    """

    kind: str
    body: bytes
    content_type: str | None = None
    repeats: bool = False
    wide: bool = False


def arrays(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def objects(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def hidden(depth: int) -> bytes:
    """So deep, yet each bracket seems closed at once, by one inside a string."""
    return b'["]",' * depth + b"0" + b',"["]' * depth


LISTING = json.dumps([{"id": i, "name": f"n{i}", "tags": ["a", "b"]} for i in range(200)]).encode()
MARKDOWN = json.dumps([{"id": i, "text": f'[a](b) {{x]] "q" \\ \\" {i}\n'} for i in range(200)]).encode()
CONTROL = "".join(map(chr, range(32))) + "\x7f\x80\x85\x9f\u2028\u2029\ufeff\ufffe\uffff\U0010ffff"
JAPANESE = "日本語のページ、表示"
GERMAN = "Grüße aus Köln"

CORPUS: dict[str, Sample] = {
    # JSON
    "object": Sample("body", b'{"a":[1,2.5,null,true],"b":{}}'),
    "pretty": Sample("body", b'{\r\n  "a": [\n\t1\n  ]\n}\n'),
    "white space around": Sample("body", b" \t\r\n[1] \n\r\t"),
    "more white space than JSON": Sample("body", b'\n{"a":":"}' + b"\n" * 20),
    "1.0": Sample("body", b"[1.0,-0,-0.0,1E+05,1e-999]"),
    "number": Sample("body", b"17"),
    "string": Sample("body", b'"x"'),
    "empty string": Sample("body", b'""'),
    "null": Sample("body", b"null"),
    "true": Sample("body", b"true"),
    "empty object": Sample("body", b"{}"),
    "empty array": Sample("body", b"[]"),
    "64 bits": Sample("body", b"[18446744073709551615,-9223372036854775808]"),
    "65 bits": Sample("body", b"18446744073709551616", wide=True),
    "120 digits": Sample("body", b'{"wei":-' + b"1234567890" * 12 + b"}", wide=True),
    "4300 digits": Sample("body", b"9" * 4300, wide=True),
    "4301 digits": Sample("utf-8", b"9" * 4301),
    "4301 digits among others": Sample("utf-8", b'{"a":[1.5,-' + b"9" * 4301 + b"]}"),
    "4301 digits in a string": Sample("body", b'"' + b"9" * 4301 + b'"'),
    "4301 digits in a fraction": Sample("body", b"0." + b"9" * 4301),
    "1e999": Sample("body", b'{"a":1e999,"b":-1e99999999999999999999}'),
    "repeated names": Sample("body", b'{"a":1,"a":{"b":2}}', repeats=True),
    "names that differ in case": Sample("body", b'{"id":1,"ID":2}', repeats=True),
    "odd names": Sample("body", '{"":1,"a.b":2,"a\\"":3,"😀":4,"a\\u0000b":5}'.encode()),
    "names of the envelope": Sample("body", b'{"line":1,"body":2,"text":"]}","base64":":"}'),
    "escaped control characters": Sample("body", json.dumps(CONTROL).encode()),
    "raw separators": Sample("body", '"\x7f\x80\u2028\u2029\ufeff\uffff"'.encode()),
    "emoji": Sample("body", '{"😀":"日本"}'.encode()),
    "proper pairs": Sample("body", b'["\\ud83d\\ude00","\\uDBFF\\uDFFF","\\\\ud800"]'),
    "listing": Sample("body", LISTING),
    "brackets in strings": Sample("body", b'["]}\\"\\\\","[{","]\\\\",{"}]":"\\\\\\""}]'),
    "brackets in many strings": Sample("body", MARKDOWN),
    "long string": Sample("body", b'"' + b"x" * 3_000_000 + b'"'),
    "long name": Sample("body", b'{"' + b"k" * 100_000 + b'":1}'),
    "100 arrays": Sample("body", arrays(100)),
    "100 objects": Sample("body", objects(100)),
    "100 deep behind strings": Sample("body", hidden(100)),
    "JSON said to be Shift-JIS": Sample("body", '"é"'.encode(), "application/json; charset=Shift_JIS"),
    "JSON said to be HTML": Sample("body", b"{}", "text/html"),
    # almost JSON
    "101 arrays": Sample("utf-8", arrays(101)),
    "101 objects": Sample("utf-8", objects(101)),
    "101 deep behind strings": Sample("utf-8", hidden(101)),
    "5000 arrays": Sample("utf-8", arrays(5000)),
    "100000 objects": Sample("utf-8", objects(100_000)),
    "5000 opened": Sample("utf-8", b"[" * 5000),
    "byte order mark": Sample("utf-8", b"\xef\xbb\xbf{}"),
    "NaN": Sample("utf-8", b'{"a":NaN}'),
    "Infinity": Sample("utf-8", b"[Infinity]"),
    "-Infinity": Sample("utf-8", b"[-Infinity]"),
    "lone high surrogate": Sample("utf-8", b'"\\ud800"'),
    "lone low surrogate": Sample("utf-8", b'{"\\udE00":1}'),
    "pair the wrong way round": Sample("utf-8", b'["\\ude00\\ud83d"]'),
    "surrogate after an escape": Sample("utf-8", b'"\\\\\\ud83dx\\ude00"'),
    "CESU-8": Sample("base64", b'"\xed\xa0\xbd\xed\xb8\x80"'),
    "invalid UTF-8": Sample("base64", b'{"a":"\xff"}'),
    "raw control character": Sample("utf-8", b'"a\x01b"'),
    "raw NUL": Sample("utf-8", b'"a\x00b"'),
    "leading zero": Sample("utf-8", b"01"),
    "trailing comma": Sample("utf-8", b"[1,]"),
    "trailing garbage": Sample("utf-8", b'{"a":1};'),
    "trailing NUL": Sample("utf-8", b"{}\x00"),
    "cut": Sample("utf-8", b'{"a":[1,2'),
    "JSON lines": Sample("utf-8", b'{"a":1}\n{"a":2}\n'),
    "JSONP": Sample("utf-8", b'callback({"a":1})'),
    "single quotes": Sample("utf-8", b"{'a':1}"),
    "form feed": Sample("utf-8", b"\f1"),
    # text
    "empty": Sample("utf-8", b""),
    "empty UTF-16": Sample("utf-8", b"", "text/plain; charset=utf-16"),
    "white space": Sample("utf-8", b" \r\n"),
    "HTML": Sample("utf-8", b'<!doctype html>\n<p class="x">]}&nbsp;</p>\n', "text/html; charset=utf-8"),
    "NUL": Sample("utf-8", b"a\x00b\x00"),
    "control characters": Sample("utf-8", CONTROL.encode()),
    "looks like a date": Sample("utf-8", b"2026-99-99 x"),
    "Latin-1": Sample("iso8859-1", GERMAN.encode("latin-1"), 'text/html; Charset="ISO-8859-1"'),
    "Latin-1, every byte": Sample("iso8859-1", bytes(range(256)), "text/plain;charset=latin1"),
    "Latin-1, not said": Sample("base64", GERMAN.encode("latin-1"), "text/html"),
    "Shift-JIS": Sample("shift_jis", JAPANESE.encode("shift_jis"), "text/html; charset=Shift_JIS"),
    "Shift-JIS, cut in a character": Sample("base64", "日本".encode("shift_jis")[:-1], "a/b; charset=shift_jis"),
    "UTF-8 said to be ASCII": Sample("utf-8", GERMAN.encode(), "text/plain; charset=us-ascii"),
    "UTF-8 with mark": Sample("utf-8-sig", b"\xef\xbb\xbfa", "text/plain; charset=utf-8-sig"),
    "UTF-8 without its mark": Sample("utf-8", b"a", "text/plain; charset=utf-8-sig"),
    "UTF-16 big endian": Sample("utf-16-be", GERMAN.encode("utf-16-be"), "text/plain; charset=utf-16be"),
    "UTF-16 without its mark": Sample("base64", "ü".encode("utf-16-le"), "text/plain; charset=utf-16"),
    "UTF-16, not said": Sample("base64", b"\xff\xfea\x00"),
    "UTF-16 with a lone surrogate": Sample("base64", b"\x00\xd8a\x00", "text/plain; charset=utf-16-le"),
    # neither
    "PDF": Sample("base64", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "application/pdf"),
    "gzip": Sample("base64", gzip.compress(b"{}", mtime=0)),
    "every byte": Sample("base64", bytes(range(256))),
}

_SNIPPETS = ["]", "}", "[", "{", '"', "\\", ']}"\\', '\\"', ',"body":', "\x00", "\ud83d", "é", "a", "\u2028"]


def random_samples(count: int) -> list[tuple[bytes, str | None]]:
    """Bodies of hostile strings, JSON and not, the same ones in every run, and their Content-Types."""
    rng = random.Random(8)

    def string() -> str:
        return "".join(rng.choices(_SNIPPETS, k=rng.randint(0, 8)))

    def value(depth: int) -> object:
        match rng.randrange(6 if depth else 3):
            case 0 | 1:
                return string()
            case 2:
                return rng.choice([0, -1.5, 10**18, None, True])
            case 3:
                return {f"{i}{string()}": value(depth - 1) for i in range(rng.randint(0, 3))}
            case _:
                return [value(depth - 1) for _ in range(rng.randint(0, 3))]

    def body() -> bytes:
        match rng.randrange(4):
            case 0:
                return rng.randbytes(rng.randint(0, 60))
            case 1:
                return string().encode("utf-8", "surrogatepass")
            case _:
                return json.dumps(value(6), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")

    types = [
        None,
        "a/b; charset=latin1",
        "a/b; charset=utf-16",
        "a/b; charset=cp1252",
        "a/b; charset=gb18030",
    ]
    return [(body(), rng.choice(types)) for _ in range(count)]
