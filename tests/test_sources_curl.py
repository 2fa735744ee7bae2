"""`curl` commands: what is sent is what the real curl sends, or the line is bad and names the option.

Each command of the table is run by curl itself against a server that keeps what it got, and compared byte for byte
with the call that the reader makes of it. Without curl on this machine that half is skipped; what must be refused is
checked everywhere.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

import pytest

from crawler.items import BadLine, Entry
from crawler.sources import Shape, open_source
from crawler.sources.lines import LineError
from crawler.sources.shell import words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "http://127.0.0.1:8765"

SENT = [
    f"curl {URL}/items/1",
    f"curl '{URL}/items?a=1&b=2#part'",
    f"curl {URL}",
    f"curl -sSL {URL}/a -o /dev/null -w '%{{http_code}}' --max-time 10 --retry 3",
    f"/usr/bin/curl -X DELETE {URL}/items/1",
    f"curl -XPOST {URL}/empty",
    f"curl -H 'Accept: text/csv' -H 'X-Tag:a' -H 'X-Tag: b' -H 'X-Empty;' {URL}/h",
    f"curl -d a=1 {URL}/form",
    f"curl -d a=1 -d 'b=2 3' --data 'c=é' {URL}/form",
    f"curl -d '' {URL}/form",
    f"curl -X PUT --data-raw '@no-file' {URL}/raw",
    f"curl --data-binary $'a\\nb\\tc\\u00e9\\x21' {URL}/raw",
    f"curl --data-urlencode 'q=a b&c=d/é+~' --data-urlencode '=x y' --data-urlencode 'plain text' {URL}/form",
    f"curl -G -d a=1 --data-urlencode 'q=a b' {URL}/search",
    f"curl -G -d a=1 '{URL}/search?x=0'",
    f"curl -G -d a=1 '{URL}/search?x=0#f'",
    f"curl -G {URL}/search",
    f"curl -I {URL}/head",
    f"curl --head {URL}/head",
    f"""curl --json '{{"a": [1.0, {{"b": null}}]}}' {URL}/json""",
    f"curl --json '{{\"a\":' --json '1}}' -H 'Accept: */*' {URL}/json",
    f"curl --json '{{}}' -H 'Content-Type: application/vnd.api+json' {URL}/json",
    f"curl -d '{{}}' -H 'Content-Type: application/json' -X PATCH {URL}/json",
    f"curl -u me:s3cret {URL}/auth",
    f"curl -u 'mé:a:b' {URL}/auth",
    f"curl -u a:b -H 'Authorization: Bearer t' {URL}/auth",
    f"curl --oauth2-bearer abc {URL}/auth",
    "curl http://me:pw%20x@127.0.0.1:8765/auth",
    f"curl -b 'a=1; b=2' -b c=3 {URL}/cookies",
    f"curl -H 'Cookie: a=1' {URL}/cookies",
    f"curl -A 'me/1.0' -e http://ref/ {URL}/agent",
    f"curl -A 'me/1.0' -H 'User-Agent: you' {URL}/agent",
    f"curl -r 0-99 {URL}/part",
    f"curl --compressed {URL}/packed",
    f"curl {URL}/a/./b/../c/.. ",
    f"curl --path-as-is {URL}/a/./b/../c",
    f"curl -g '{URL}/a[1]?b=[2]'",
    f"curl '{URL}/a%20b/%7e/+?x=%7a&y=;$'",
    f"curl --url {URL}/url -sS",
    f"curl --url-query 'q=a b' --url-query +x=%20 {URL}/url",
    f"""curl "{URL}/double?a='b'" -d "\\"x\\\\" -H "X-Quote: it's" """,
    f"curl {URL}/a\\&c",
    f"curl -d a=1 -H 'Content-Type:' {URL}/untyped",
    f"curl -d a=1 -H 'Expect:' {URL}/unexpecting # a comment",
    f"curl -GsXPOST -d a=1 {URL}/get-post",
    f"curl \\\n  -H 'A: 1' \\\n  -d '{{\"b\": 2}}' \\\n  {URL}/lines",
]

REFUSED = {
    f"curl -k {URL}/": "-k is not possible: TLS is always verified",
    f"curl -sk {URL}/": "-k is not possible",
    f"curl --insecure {URL}/": "--insecure is not possible: TLS is always verified",
    f"curl -d @body.json {URL}/": "-d @body.json: files are not read",
    f"curl --json @body.json {URL}/": "--json @body.json: files are not read",
    f"curl --data-urlencode name@file {URL}/": "--data-urlencode name@file: files are not read",
    f"curl -H @headers {URL}/": "-H names a file",
    f"curl -b cookies.txt {URL}/": "-b names a file of cookies",
    f"curl {URL}/1 {URL}/2": f"a second URL, {URL}/2",
    f"curl --url {URL}/1 {URL}/2": "a second URL",
    f"curl {URL}/1 --next {URL}/2": "--next is not possible: a second call",
    "curl -s": "no URL",
    f"curl --frobnicate {URL}/": "--frobnicate is no option",
    f"curl --data=a {URL}/": "--data=a is no option",
    f"curl -s9 {URL}/": "-9 is no option",
    f"curl {URL}/ -H": "-H has no value",
    f"curl {URL}/ --header": "--header has no value",
    f"curl -F a=b {URL}/": "-F is not possible: multipart",
    f"curl -T file {URL}/": "-T is not possible: files",
    f"curl -x http://p {URL}/": "-x is not possible: the proxy",
    f"curl -u me {URL}/": "-u has no password",
    f"curl --digest -u a:b {URL}/": "--digest is not possible",
    f"curl -X post {URL}/": "-X post: a method is a word in capitals",
    f"curl -H 'Host: other' {URL}/": "header Host cannot be set",
    f"curl -H 'Accept:' {URL}/": "-H Accept: a header cannot be taken out",
    f"curl -H nothing {URL}/": "-H is no header",
    f"curl -A '' {URL}/": "-A '': only a value",
    f"curl -I -d a {URL}/": "-I and a body",
    f"curl {URL}/[1-3]": "curl makes several URLs of one",
    f"curl {URL}/{{a,b}}": "curl makes several URLs of one",
    f"curl -g {URL}/{{a}}": "the URL holds '{', which may not stand in one: write %7B",
    f"curl {URL}/é": "the URL holds 'é', which may not stand in one: write %C3%A9",
    f"curl '{URL}/%zz'": "the URL holds '%', which may not stand in one: write %25",
    f"curl '{URL}/a b'": "the URL holds ' ', which may not stand in one: write %20",
    f"curl {URL}/?a=1&b=2": "an unquoted & is for a shell",
    f"curl {URL}/ | jq .": "an unquoted | is for a shell",
    f"curl {URL}/ > file": "an unquoted > is for a shell",
    f"curl $BASE/1 {URL}/": "a $ is for a shell",
    f'curl "{URL}/$(id)"': "a $ is for a shell",
    f"curl `id` {URL}/": "a ` runs a command",
    f"curl '{URL}/": "the quote ' at position 6 is not closed",
    f'curl "{URL}/': 'the quote " at position 6 is not closed',
    f"curl $'{URL}/": "the quote $' at position 6 is not closed",
    f"wget {URL}/": "a command begins with curl",
    "curl ftp://h/": "scheme 'ftp' is not supported",
    "curl example.com": "no scheme",
    "curl -H 'A: \\\n": "",
}


class Call(NamedTuple):
    """What a server sees of a call. headers: those that say something of it, in lower case, sorted."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


OWN = {"host", "user-agent", "accept", "accept-encoding", "content-length", "connection"}
"""Headers that every client sends of its own accord: compared only where the command names them."""


def read(path: Path, command: str) -> list[Entry | BadLine]:
    path.write_text(f"# a comment\n\n{command}\n")
    with closing(open_source(str(path), Shape(format="curl"))) as source:
        return [item for batch in iter(lambda: source.next_batch(9), []) for item in batch]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, list[Call]]]:
    """The address of a server, and what it has got."""
    got: list[Call] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            method, target, _ = self.raw_requestline.decode("latin-1").split(" ")
            headers = sorted((name.lower(), value) for name, value in self.headers.items())
            got.append(Call(method, target, headers, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{http.server_port}", got
        http.shutdown()
        thread.join()


def of_entry(entry: Entry, named: set[str]) -> Call:
    """What goes out for an entry. named: headers of OWN that count."""
    headers = [(name.lower(), value.encode().decode("latin-1")) for name, value in entry.headers]
    if entry.authorization is not None and "authorization" not in dict(headers):
        headers.append(("authorization", entry.authorization))
    target = entry.target.partition("://")[2].partition("/")
    return Call(
        entry.method,
        f"/{target[2]}" if target[1] else f"/{''.join(entry.target.partition('?')[1:])}",
        sorted(header for header in headers if header[0] not in OWN - named),
        entry.body,
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_what_is_sent_is_what_curl_sends(server: tuple[str, list[Call]], tmp_path: Path) -> None:
    place, got = server
    assert len(SENT) >= 40
    for number, command in enumerate(SENT):
        here = command.replace("127.0.0.1:8765", place)
        [entry] = read(tmp_path / f"{number}.curl", here)
        assert isinstance(entry, Entry), (command, entry.reason)
        del got[:]
        # -q: no ~/.curlrc; bash takes the words apart
        run = here.replace("curl", "curl -q --noproxy '*' -s", 1)
        done = subprocess.run(["bash", "-c", run], capture_output=True, timeout=240, check=False)
        assert done.returncode == 0, (command, done.stderr)
        [call] = got
        named = {name.lower() for name, _ in entry.headers}
        sent = call._replace(headers=[header for header in call.headers if header[0] not in OWN - named])
        assert of_entry(entry, named) == sent, command
        assert entry.line == 3


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_sent_as_curl_would_is_a_bad_line_that_says_why(command: str, tmp_path: Path) -> None:
    [bad] = read(tmp_path / "list.curl", command)
    assert isinstance(bad, BadLine)
    assert REFUSED[command] in bad.reason
    assert bad.line == 3


def test_a_bad_command_is_shown_without_what_opens_doors(tmp_path: Path) -> None:
    command = (
        """curl -k -u me:s3cret -H 'X-Key: s3cret' -H "A: \\"s3cret" -sHB:s3cret"""
        f" --oauth2-bearer s3cret -b 'a=s3cret' {URL}"
    )
    [bad] = read(tmp_path / "list.curl", command)
    assert isinstance(bad, BadLine)
    assert "s3cret" not in bad.text
    assert bad.text.startswith("curl -k -u *** -H *** -H *** -sH*** ")


def test_lines_go_on_after_a_backslash_and_are_numbered_by_their_first(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    path.write_bytes(
        b"curl \\\r\n  http://x/1\r\n# curl http://x/no\n\ncurl 'http://x/2' \\\n\ncurl http://x/3 -A a\\\\\ncurl \\"
         b"\n-d '" + b"a" * 100_000 + b"' \\\nhttp://x/4\\"
    )  # fmt: skip
    with closing(open_source(str(path))) as source:  # the first line says that it is curl
        found = [item for batch in iter(lambda: source.next_batch(1), []) for item in batch]
    assert [(item.line, getattr(item, "url", None)) for item in found] == [
        (1, "http://x/1"),
        (5, "http://x/2"),
        (7, "http://x/3"),
        (8, "http://x/4"),
    ]
    assert isinstance(found[-1], Entry)
    assert len(found[-1].body) == 100_000


def test_the_names_of_secrets_stay_as_they_are_written(tmp_path: Path) -> None:
    [entry] = read(tmp_path / "a.curl", f'curl -H "Authorization: Bearer ${{TOKEN}}" {URL}/${{TENANT}}/1')
    assert isinstance(entry, Entry)
    assert (entry.url, entry.headers) == (f"{URL}/${{TENANT}}/1", (("Authorization", "Bearer ${TOKEN}"),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 'b c'd \"e $'f'\" $'\\'' ''", ["a", "b cd", "e $'f'", "'", ""]),
        ("a\\ b \\'", ["a b", "'"]),
        ('"a\\"b\\\\c\\d"', ['a"b\\c\\d']),
        ("a#b #c", ["a#b"]),
        ("$ 'x'", ["$", "x"]),
        ("$'\\xc3\\xa9\\303\\251\\u00e9\\U0001F600\\q'", ["ééé😀\\q"]),
    ],
)
def test_words_are_those_of_a_shell(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["$'\\xff'", "$'\\ud800'", "$'\\U00110000'"])
def test_what_is_no_character_is_refused(text: str) -> None:
    with pytest.raises(LineError, match=r"no character|not UTF-8"):
        words(text)
