"""Bodies that came whole and are strange: kept byte for byte, whatever they are said to be."""

from __future__ import annotations

import json
from typing import Final

from crawler.items import Outcome
from tests.hostile.behaviour import BODY, Behaviour, answer, says

JSON: Final = "application/json"
ENTITIES: Final = (b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10))
XML_BOMB: Final = b"<!DOCTYPE a [%b]><a>&l9;</a>" % b"".join(ENTITIES)


def kept(name: str, note: str, body: bytes, content_type: str | None = JSON, *headers: str) -> Behaviour:
    lines = headers if content_type is None else (f"Content-Type: {content_type}", *headers)
    return Behaviour(name=name, note=note, serve=says(answer(body, *lines)), outcome=Outcome.OK, status=200, body=body)


GROUP: Final = (
    kept("json-bom", "a byte order mark before the JSON", b"\xef\xbb\xbf{}"),
    kept("json-nan", "NaN and Infinity, which are no JSON", b"[NaN, Infinity, -Infinity]"),
    kept("json-deep", "100,000 brackets", b"[" * 50_000 + b"]" * 50_000),
    kept("json-long-number", "a number of 100,000 digits", b"1" * 100_000),
    kept("json-float", "1.0 and 1E400 stay as they are", b'{"a": 1.0, "b": 1E400, "a": 2}'),
    kept("json-surrogate", "half a surrogate pair, escaped", b'"\\ud800"'),
    kept("json-cut", "JSON that was cut, under the length of what is left", b'{"a": [1, 2'),
    kept("json-empty", "no body, said to be JSON", b""),
    kept("json-spaces", "spaces alone", b" \r\n\t "),
    kept("json-nul", "NULs", b"\0" * 100),
    kept("json-line-separators", "U+2028, which ends lines in JavaScript", '"\u2028\u2029\x85"'.encode()),
    kept("json-utf-16", "JSON in UTF-16", '{"a": "é"}'.encode("utf-16"), "application/json; charset=utf-16"),
    kept("json-escapes", "terminal escapes and a bell", b'"\x1b[2J\x07"'),
    kept("utf-8-bad", "bytes that are no UTF-8", b'{"a": "\xff\xfe\xc3"}', "application/json; charset=utf-8"),
    kept("charset-bogus", "a charset that does not exist", b'"\xe9"', "application/json; charset=bogus-8"),
    kept("charset-utf-7", "a charset that browsers refuse", b'"+ADw-script+AD4-"', "text/html; charset=utf-7"),
    kept("type-html", "JSON, said to be HTML", BODY, "text/html"),
    kept("type-image", "HTML, said to be a picture", b"<html></html>", "image/png"),
    kept("type-none", "no Content-Type", BODY, None),
    kept("type-empty", "an empty Content-Type", BODY, ""),
    kept("type-nonsense", "a Content-Type that is none", BODY, ";;=,/\xff"),
    kept("type-twice", "two Content-Types", BODY, "text/html", "Content-Type: image/png"),
    kept("type-10k", "a Content-Type of 10 kB", BODY, "text/html; charset=" + "x" * 10_000),
    kept("html-error-page", "an error page with status 200", b"<h1>500 Internal Server Error</h1>", "text/html"),
    kept(
        "html-meta-refresh",
        "a page that says where to go: it is not followed",
        b'<html><head><meta http-equiv="refresh" content="0; url=/elsewhere"></head></html>',
        "text/html",
    ),
    kept("header-refresh", "the same as a header", BODY, JSON, "Refresh: 0; url=/elsewhere"),
    kept("header-location-200", "Location in an answer of 200", BODY, JSON, "Location: /elsewhere"),
    kept(
        "file-name-path",
        "a file name that leads out of the folder",
        BODY,
        JSON,
        'Content-Disposition: attachment; filename="../../../../etc/passwd"',
    ),
    kept("xml-bomb", "entities that would be 10^9 times as large", XML_BOMB, "text/xml"),
    kept("one-line-of-1-mb", "a string of 1 MB", json.dumps("x" * 1_000_000).encode()),
    kept("quotes", "what would break a CSV, a shell, an SQL", b'"=1+1\'; drop table records; -- `id`"', "text/plain"),
    kept("looks-like-http", "a body that looks like a response", answer(b"no"), "text/plain"),
)
