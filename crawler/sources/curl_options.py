"""Which of curl's options are followed, which passed over, and which refused: tables, and the walk along the words.

What only says how curl shows, stores, waits or repeats is passed over, for the run's arguments say that. What is in no
table is refused. What an option does to a call is its neighbour's to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.sources.lines import LineError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT: Final = {
    "A": "user-agent", "b": "cookie", "d": "data", "e": "referer", "G": "get", "H": "header", "I": "head", "r": "range",
    "u": "user", "X": "request",
    "c": "cookie-jar", "D": "dump-header", "f": "fail", "g": "globoff", "i": "include", "J": "remote-header-name",
    "L": "location", "m": "max-time", "N": "no-buffer", "o": "output", "O": "remote-name", "s": "silent",
    "S": "show-error", "v": "verbose", "w": "write-out", "#": "progress-bar",
    "E": "cert", "F": "form", "k": "insecure", "K": "config", "n": "netrc", "T": "upload-file", "U": "proxy-user",
    "x": "proxy", "z": "time-cond", ":": "next", "0": "http1.0", "C": "continue-at",
}  # fmt: skip

SENT: Final = {
    "cookie", "data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "header", "json", "oauth2-bearer",
    "range", "referer", "request", "url", "url-query", "user", "user-agent",
}  # fmt: skip
"""Options with a value that change what is sent."""

FLAGS: Final = {"get", "head", "globoff", "path-as-is"}

PASSED_OVER: Final = {
    "basic", "compressed", "create-dirs", "fail", "fail-early", "fail-with-body", "http1.1", "http2", "include",
    "keepalive", "location", "no-buffer", "no-keepalive", "no-progress-meter", "no-sessionid", "no-location",
    "progress-bar", "remote-header-name", "remote-name", "remote-name-all", "retry-all-errors", "retry-connrefused",
    "show-error", "show-headers", "silent", "tcp-nodelay", "verbose",
}  # fmt: skip
PASSED_OVER_WITH_VALUE: Final = {
    "connect-timeout", "cookie-jar", "dump-header", "keepalive-time", "limit-rate", "max-filesize", "max-redirs",
    "max-time", "output", "output-dir", "retry", "retry-delay", "retry-max-time", "speed-limit", "speed-time", "stderr",
    "write-out",
}  # fmt: skip

REFUSED: Final = {
    "insecure": "TLS is always verified; APIFETCH_CA_FILE trusts a CA of your own",
    "form": "multipart forms cannot be sent",
    "form-string": "multipart forms cannot be sent",
    "proxy": "the proxy comes from the environment (HTTPS_PROXY), for all lines",
    "cert": "a client's certificate is the run's: APIFETCH_CLIENT_CERT",
    "key": "a client's key is the run's: APIFETCH_CLIENT_KEY",
    "cacert": "the CA file is the run's: APIFETCH_CA_FILE",
    "next": "a second call; give it a line of its own",
    "upload-file": "files are not read",
    "config": "files are not read",
    "netrc": "files are not read",
    "digest": "only Basic authentication is built",
    "ntlm": "only Basic authentication is built",
    "negotiate": "only Basic authentication is built",
    "anyauth": "only Basic authentication is built",
}


def options(rest: list[str]) -> Iterator[tuple[str, str, str]]:
    """Each option as it was said, its long name, and its value ("" for none); URLs as `url`."""
    at, only_urls = 0, False
    while at < len(rest):
        word = rest[at]
        at += 1
        if only_urls or word == "-" or not word.startswith("-"):
            yield word, "url", word
        elif word == "--":
            only_urls = True
        elif word.startswith("--"):
            option = word[2:]
            takes = _takes_value(word, option)
            if takes and at == len(rest):
                raise LineError(f"{word} has no value")
            yield word, option, rest[at] if takes else ""
            at += takes
        else:
            letters = word[1:]
            while letters:
                said, option = f"-{letters[0]}", SHORT.get(letters[0], letters[0])
                letters = letters[1:]
                if not _takes_value(said, option):
                    yield said, option, ""
                    continue
                if not letters and at == len(rest):
                    raise LineError(f"{said} has no value")
                yield said, option, letters or rest[at]
                at += not letters
                letters = ""


def _takes_value(said: str, option: str) -> bool:
    if option in REFUSED:
        raise LineError(f"{said} is not possible: {REFUSED[option]}")
    if option in SENT or option in PASSED_OVER_WITH_VALUE:
        return True
    if option in FLAGS or option in PASSED_OVER:
        return False
    raise LineError(f"{said} is no option that can be followed here")
