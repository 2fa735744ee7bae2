"""The table: every argument and setting that a run is told by. Data, in the order of the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError
from crawler.pacing import RATE
from crawler.secrets import STARS, mask_url
from crawler.values import (
    FORMAT,
    HEADERS,
    HOSTS,
    METHODS,
    OUT,
    PARAMS,
    REDO,
    TEXT,
    TOLERANCE,
    UMASK,
    URLS,
    Kind,
    choice,
    seconds,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable

USAGE: Final = "scrapy crawl apifetch -a urls=FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A row of the table.

    name: what stands after -a; the setting's own name when there is no argument. default: typed;
    default_text: for people. parse: raises ValueError; expected: ends the sentence "expected ...".
    ready: whether it is built. private: its value is not repeated in messages.
    """

    name: str
    setting: str
    default: Any
    default_text: str
    parse: Callable[[object], Any]
    expected: str
    help: str
    ready: bool = True
    private: bool = False

    @property
    def flag(self) -> str:
        """How it is said on the command line."""
        return f"-s {self.name}" if self.name == self.setting else f"-a {self.name}"

    def read(self, value: object, *, said_as: str) -> Any:
        """Give the typed value. said_as: argument or setting, for the message. Raises ArgumentError."""
        try:
            return self.parse(value)
        except ValueError as exc:
            more = f" ({mask_url(str(exc))})" if str(exc) else ""
            raise ArgumentError(said_as, self.shown(value), f"{self.expected}{more}") from exc

    def shown(self, value: object) -> object:
        """Give what a message may repeat of a value."""
        return STARS if self.private else mask_url(value) if isinstance(value, str) else value


def _ready(
    name: str, kind: Kind, says: str, *,
    default: str = "", note: str = "none", setting: str = "", private: bool = False,
) -> Argument:  # fmt: skip
    """Give a row that is built. default: as text; without one it is None, which *note* explains."""
    return Argument(
        name=name, setting=setting or f"APIFETCH_{name.upper()}", help=says, private=private,
        default=kind.parse(default) if default else None, default_text=f"`{default}`" if default else note,
        parse=kind.parse, expected=kind.expected,
    )  # fmt: skip


def _planned(name: str, says: str, *, note: str = "none") -> Argument:
    return Argument(
        name=name, setting=f"APIFETCH_{name.upper()}", help=says, ready=False,
        default=None, default_text=note, parse=_refuse, expected="nothing so far",
    )  # fmt: skip


def _refuse(_value: object) -> Any:
    raise ValueError("not yet: it is planned, not built")


ARGUMENTS: Final = (
    _ready(
        "urls", URLS, note="required",
        says="the list: a path, or `-` for the standard input; not yet: a directory, a pattern "
        "(`lists/*.csv`), the URL of a list (`https:`, `s3:`, `redis:`)",
    ),
    _ready(
        "format", FORMAT, note="from the name, else the first lines",
        says="`txt` `csv` `tsv` `jsonl`, each also with `.gz`; "
        "not yet: `curl` `parquet`, and `.bz2` `.xz` `.zst`",
    ),
    _ready("column", TEXT, default="url", says="the column of a table that holds the URL"),
    _planned(
        "template",
        "`https://api.example/items/{id}?c={country}`: URLs made from columns, or `{}` from each line of a "
        "plain list; values are percent-encoded",
    ),
    _planned("method", "for lists that do not say", note="`GET`"),
    _planned("data", "the body, for lists that do not say; a template too, values JSON-encoded"),
    _ready(
        "headers", HEADERS, default="{}", private=True,
        says="added to every request: a JSON object whose values are texts or lists of texts, or `@FILE` "
        "that holds one; values may hold `${NAME}`",
    ),
    _ready(
        "params", PARAMS, default="{}", private=True,
        says="added to the query when sending: a JSON object, or `@FILE` that holds one; values may hold "
        "`${NAME}`; not part of a record's name, never stored",
    ),
    _planned("pass_env", "names of environment variables that the *list* may use as `${NAME}`"),
    _planned(
        "env_file",
        "where `${NAME}` is looked up besides the environment; read again when credentials are refused",
    ),
    _ready(
        "hosts", HOSTS, note="any",
        says="the only hosts that lines may name (others are `forbidden_host`) and that get what `${NAME}` "
        "stands for, with commas between: `api.example.com` (on the scheme's own port), `localhost:8000`, "
        "`*.example.com` (all below it, not itself); required as soon as a value holds `${NAME}`",
    ),
    _ready(
        "out", OUT, default="out/%(name)s",
        says="the output directory; `%(name)s` is the list's name, `%(time)s` the start of the run, `%%` a "
        "percent sign; not yet: the URL of an object store",
    ),
    _ready(
        "save", choice("envelope", "raw"), default="envelope",
        says="`envelope`: a JSON object with the body in it; `raw`: the body alone",
    ),
    _ready(
        "workers", whole(1, 10_000, later="auto"), default="20", setting="CONCURRENT_REQUESTS",
        says="concurrent requests; not yet: `auto`, which finds the number",
    ),
    _ready(
        "per_host", whole(1, 10_000), note="as `workers`", setting="CONCURRENT_REQUESTS_PER_DOMAIN",
        says="the most of them for one host",
    ),
    _ready(
        "rate", RATE,
        says="calls per host: `10/s`, `100/m`, `5/s,10000/d`; never more in any window, retries and redirects included",
    ),
    _ready("retries", whole(0), default="4", setting="RETRY_TIMES", says="attempts after the first one"),
    _ready(
        "timeout", seconds(zero=False), default="30", setting="DOWNLOAD_TIMEOUT",
        says="seconds for a whole attempt",
    ),
    _ready(
        "max_calls", whole(1),
        says="a budget of calls, retries and redirects included: then the run stops, and can be continued",
    ),
    _ready(
        "max_failed", TOLERANCE, default="0",
        says="failures that still exit 0: a number, or a share of the lines (`0.5%`)",
    ),
    _ready(
        "redo", REDO, default="retryable",
        says="what a second run fetches again: `none`; `retryable` (no response, cut or damaged, 401 408 425 "
        "429 5xx); `failed` (all that is not ok); `all`; statuses (`404,5xx`), whatever the outcome; not "
        "yet: `changed`",
    ),
    _ready(
        "duplicates", choice("skip", "fetch"), default="skip",
        says="`skip`: one call, further lines are `duplicate` records; `fetch`: a call per line",
    ),
    _planned("expect", "declared success: `json`"),
    _planned("ok_if", "declared success: a JMESPath condition on the body"),
    _planned("shard", "`i/n`, from 1: only that part of the list; `auto` reads `JOB_COMPLETION_INDEX`"),
    _ready("limit", whole(1), says="only the first N lines"),
    _ready("echo", choice("status"), says="`status` prints each status as it completes"),
)  # fmt: skip

SETTINGS: Final = (
    _ready(
        "APIFETCH_DURABILITY", choice("process", "batch", "strict"), default="batch",
        setting="APIFETCH_DURABILITY",
        says="what a record that says ok survives: `process`: the end of the program, however it comes; "
        "`batch`: a power cut too, by one sync for all that is queued; `strict`: the same, by one per file",
    ),
    _ready(
        "APIFETCH_FOLDER_LEVELS", whole(0, 2), default="1", setting="APIFETCH_FOLDER_LEVELS",
        says="levels of folders, 256 in each, between `responses/` and its files",
    ),
    _ready(
        "APIFETCH_DRAIN_S", seconds(zero=True), default="5", setting="APIFETCH_DRAIN_S",
        says="seconds that calls in flight get to finish after a signal to stop",
    ),
    _ready(
        "APIFETCH_MAX_WAIT", seconds(zero=True), default="300", setting="APIFETCH_MAX_WAIT",
        says="seconds that a run waits for an API that says when to come back; for more it ends with exit code "
        "75 once nothing else is left to do",
    ),
    _ready(
        "APIFETCH_RETRY_METHODS", METHODS, setting="APIFETCH_RETRY_METHODS", note="none",
        says="methods, as `POST,PATCH`, that are retried although the call may have been carried out",
    ),
    _ready(
        "APIFETCH_RETRY_BASE_S", seconds(zero=False), default="1", setting="APIFETCH_RETRY_BASE_S",
        says="seconds that the first retry waits at the most; each further one waits up to twice as long",
    ),
    _ready(
        "APIFETCH_RETRY_CAP_S", seconds(zero=False), default="60", setting="APIFETCH_RETRY_CAP_S",
        says="seconds that any retry waits at the most, unless the API asks for more",
    ),
    _ready(
        "APIFETCH_UMASK", UMASK, default="077", setting="APIFETCH_UMASK",
        says="the permissions that are taken from what a run writes, in octal: `077` leaves its owner's only",
    ),
    _ready(
        "APIFETCH_HTTP_HANDLER", TEXT, setting="APIFETCH_HTTP_HANDLER",
        note="libcurl's where pycurl is installed, else Scrapy's own",
        says="the download handler that does the calls, by its dotted path",
    ),
    _ready(
        "APIFETCH_HTTP", choice("auto", "1.1", "2"), default="auto", setting="APIFETCH_HTTP",
        says="the version of HTTP: `auto` is the best both sides speak over TLS, 1.1 without it",
    ),
    _ready(
        "APIFETCH_CONNECT_S", seconds(zero=False), default="10", setting="APIFETCH_CONNECT_S",
        says="seconds for a connection: name, TCP and TLS",
    ),
    _ready(
        "APIFETCH_STALL_S", seconds(zero=True), default="15", setting="APIFETCH_STALL_S",
        says="seconds without progress that end an attempt whose answer has begun; 0: `timeout` alone",
    ),
    _ready(
        "APIFETCH_CA_FILE", TEXT, setting="APIFETCH_CA_FILE",
        note="`SSL_CERT_FILE`, `CURL_CA_BUNDLE`, `REQUESTS_CA_BUNDLE`, else certifi's",
        says="the certificate authorities that are trusted, a PEM file",
    ),
    _ready("APIFETCH_CLIENT_CERT", TEXT, setting="APIFETCH_CLIENT_CERT", says="a client's certificate, a PEM file"),
    _ready("APIFETCH_CLIENT_KEY", TEXT, setting="APIFETCH_CLIENT_KEY", says="its private key, a PEM file"),
)  # fmt: skip
"""Settings without an argument: said with -s, or in settings.py."""
