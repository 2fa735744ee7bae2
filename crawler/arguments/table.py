"""The arguments that a run is told by. Data, in the order of the documentation."""

from __future__ import annotations

from typing import Final

from crawler.arguments.rows import row
from crawler.pacing import RATE
from crawler.values import (
    CONDITION,
    DATA,
    FORMAT,
    HEADERS,
    HOSTS,
    METHOD,
    OUT,
    PARAMS,
    REDO,
    SHARD,
    TEMPLATE,
    TEXT,
    TOLERANCE,
    URLS,
    VARIABLES,
    WORKERS,
    choice,
    seconds,
    whole,
)

USAGE: Final = "scrapy crawl apifetch -a urls=FILE"

ARGUMENTS: Final = (
    row(
        "urls", URLS, note="required",
        says="the list: a path, a directory of lists, a pattern (`lists/*.csv`), `-` for the standard input, or "
        "the URL of one, `https:` or in an object store (`s3://bucket/items.csv`); `redis://host:port/0/name`: one "
        "that several machines share",
    ),
    row(
        "format", FORMAT, note="from the name, else the first lines",
        says="`txt` `csv` `tsv` `jsonl` `curl`, each also with `.gz` `.bz2` `.xz` `.zst`; "
        "`parquet` (with `pip install pyarrow`)",
    ),
    row("column", TEXT, default="url", says="the column of a table that holds the URL"),
    row(
        "template", TEMPLATE,
        says="`https://api.example/items/{id}?c={country}`: URLs made from columns, or `{}` from each line of a "
        "plain list; values are percent-encoded",
    ),
    row("method", METHOD, note="`GET`, with `data` `POST`", says="for lines that do not say"),
    row(
        "data", DATA,
        says="the body, for lines that do not say, or `@FILE` that holds one; a template too: values are "
        "JSON-encoded in JSON, form-encoded in any other text",
    ),
    row(
        "headers", HEADERS, default="{}", private=True,
        says="added to every request: a JSON object whose values are texts or lists of texts, or `@FILE` "
        "that holds one; values may hold `${NAME}`",
    ),
    row(
        "params", PARAMS, default="{}", private=True,
        says="added to the query when sending: a JSON object, or `@FILE` that holds one; values may hold "
        "`${NAME}`; not part of a record's name, never stored",
    ),
    row(
        "pass_env", VARIABLES,
        says="names, with commas between, that the *list* may use as `${NAME}` in URLs (not in hosts), in headers and "
        "in bodies; others are plain text there",
    ),
    row(
        "env_file", TEXT,
        says="a file of lines `NAME=VALUE` in which `${NAME}` is looked up before the environment; read again when "
        "credentials are refused",
    ),
    row(
        "hosts", HOSTS, note="any",
        says="the only hosts that lines may name (others are `forbidden_host`) and that get what `${NAME}` "
        "stands for, with commas between: `api.example.com` (on the scheme's own port), `localhost:8000`, "
        "`*.example.com` (all below it, not itself); required as soon as a value holds `${NAME}`",
    ),
    row(
        "out", OUT, default="out/%(name)s",
        says="the output directory; `%(name)s` is the list's name, `%(time)s` the start of the run, `%%` a "
        "percent sign; or the URL of an object store, `s3://bucket/prefix` ([object stores](object-stores.md))",
    ),
    row(
        "save", choice("envelope", "raw"), default="envelope",
        says="`envelope`: a JSON object with the body in it; `raw`: the body alone",
    ),
    row(
        "pack", choice("jsonl"), note="a file each",
        says="`jsonl`: many envelopes in one zstd file, a line each, for millions of small bodies "
        "([packed](packed.md))",
    ),
    row(
        "workers", WORKERS, default="20", setting="CONCURRENT_REQUESTS",
        says="concurrent requests; `auto` finds for each host how many it is worth, up to `APIFETCH_WORKERS_MAX`",
    ),
    row(
        "per_host", whole(1, 10_000), note="as `workers`", setting="CONCURRENT_REQUESTS_PER_DOMAIN",
        says="the most of them for one host",
    ),
    row(
        "rate", RATE,
        says="calls per host: `10/s`, `100/m`, `5/s,10000/d`; never more in any window, retries and redirects included",
    ),
    row("retries", whole(0), default="4", setting="RETRY_TIMES", says="attempts after the first one"),
    row(
        "timeout", seconds(zero=False), default="30", setting="DOWNLOAD_TIMEOUT",
        says="seconds for a whole attempt",
    ),
    row(
        "max_calls", whole(1),
        says="a budget of calls, retries and redirects included: then the run stops, and can be continued",
    ),
    row(
        "max_failed", TOLERANCE, default="0",
        says="failures that still exit 0: a number, or a share of the lines (`0.5%`)",
    ),
    row(
        "redo", REDO, default="retryable",
        says="what a second run fetches again: `none`; `retryable` (no response, cut or damaged, 401 408 425 "
        "429 5xx); `failed` (all that is not ok); `all`; `changed` (all, but what is ok only if the API says that "
        "it is another); statuses (`404,5xx`), whatever the outcome",
    ),
    row(
        "duplicates", choice("skip", "fetch"), default="skip",
        says="`skip`: one call, further lines are `duplicate` records; `fetch`: a call per line",
    ),
    row(
        "expect", choice("json"),
        says="`json`: an answer whose body is not JSON is `rejected`, whatever its status",
    ),
    row(
        "ok_if", CONDITION,
        says="a condition on the body, in JMESPath: `error == null`, `status == 'ok'`; an answer that does not meet it "
        "is `rejected`, whatever its status",
    ),
    row(
        "shard", SHARD, note="the whole list",
        says="`i/n`, i from 1: only that part of the list, beside other runs that have the other parts "
        "([scaling](scaling.md)); `auto` reads `JOB_COMPLETION_INDEX` (from 0) and `JOB_COMPLETION_COUNT`, `auto/n` "
        "the first alone",
    ),
    row("limit", whole(1), says="only the first N lines"),
    row("echo", choice("status"), says="`status` prints each status as it completes"),
)  # fmt: skip
