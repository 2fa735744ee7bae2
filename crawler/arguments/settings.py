"""The settings without an argument: said with -s, or in settings.py. Data, in the order of the documentation."""

from __future__ import annotations

from typing import Final

from crawler.arguments.rows import row
from crawler.values import (
    COMMAND,
    IDEMPOTENCY_KEY,
    METHODS,
    SWITCH,
    TEXT,
    UMASK,
    choice,
    seconds,
    size,
    whole,
)

SETTINGS: Final = (
    row(
        "APIFETCH_DURABILITY", choice("process", "batch", "strict"), default="batch",
        setting="APIFETCH_DURABILITY",
        says="what a record that says ok survives: `process`: the end of the program, however it comes; "
        "`batch`: a power cut too, by one sync for all that is queued; `strict`: the same, by one per file",
    ),
    row(
        "APIFETCH_FOLDER_LEVELS", whole(0, 2), default="1", setting="APIFETCH_FOLDER_LEVELS",
        says="levels of folders, 256 in each, between `responses/` and its files",
    ),
    row(
        "APIFETCH_MIN_FREE_BYTES", size(0), default="128MiB", setting="APIFETCH_MIN_FREE_BYTES",
        says="what must stay free on the output's disk: with less a run does not begin, or ends with exit code 3 while "
        "what it holds can still be stored (64 MiB may wait for the disk, and the ledger's log has 16); 0: anything",
    ),
    row(
        "APIFETCH_MIN_FREE_INODES", whole(0), default="2048", setting="APIFETCH_MIN_FREE_INODES",
        says="the same of files: 1,024 records may wait for the disk, and each may need a folder",
    ),
    row(
        "APIFETCH_LOCAL", TEXT, default="out", setting="APIFETCH_LOCAL",
        says="with `out=s3://bucket/prefix`: the directory below which a run keeps its ledger while it is on, in "
        "`s3/bucket/prefix`",
    ),
    row(
        "APIFETCH_LEDGER_COPY_S", seconds(zero=False), default="300", setting="APIFETCH_LEDGER_COPY_S",
        says="the same: seconds between two copies of the ledger to the store; a lost machine costs what was fetched "
        "since the last one",
    ),
    row(
        "APIFETCH_STORE_PATIENCE_S", seconds(zero=False), default="120", setting="APIFETCH_STORE_PATIENCE_S",
        says="the same: seconds that a store may be down, its requests repeated, before the run stops with exit code 3",
    ),
    row(
        "APIFETCH_BODIES_IN_FLIGHT_BYTES", size(2**20), default="256MiB", setting="APIFETCH_BODIES_IN_FLIGHT_BYTES",
        says="bytes of bodies, from their arrival until they are on disk, that are held at once: beyond it all calls "
        "but one wait, and the time does not count towards their `timeout` (libcurl's handler)",
    ),
    row(
        "APIFETCH_DRAIN_S", seconds(zero=True), default="5", setting="APIFETCH_DRAIN_S",
        says="seconds that calls in flight get to finish after a signal to stop",
    ),
    row(
        "APIFETCH_MAX_WAIT", seconds(zero=True), default="300", setting="APIFETCH_MAX_WAIT",
        says="seconds that a run waits for an API that says when to come back; for more it ends with exit code "
        "75 once nothing else is left to do",
    ),
    row(
        "APIFETCH_SHARED_RATE", choice("on", "off"), default="on", setting="APIFETCH_SHARED_RATE",
        says="`on`: all runs of one user on this machine, and all workers of a shared list, keep to `rate` together, "
        "and those with the same credentials wait when an API asks one of them to; `off`: each by itself",
    ),
    row(
        "APIFETCH_LEASE_S", seconds(zero=False), default="30", setting="APIFETCH_LEASE_S",
        says="seconds after which a worker of a shared list that says nothing is taken to be dead, and others make its "
        "calls; the same for all of them",
    ),
    row(
        "APIFETCH_SHARED_PATIENCE_S", seconds(zero=True), default="120", setting="APIFETCH_SHARED_PATIENCE_S",
        says="seconds that a worker of a shared list waits at its start for a Redis that is not there yet, or is still "
        "loading; then it ends with exit code 2",
    ),
    row(
        "APIFETCH_WORKERS_MAX", whole(1, 10_000), default="1000", setting="APIFETCH_WORKERS_MAX",
        says="the most concurrent requests that `workers=auto` tries; each holds a connection",
    ),
    row(
        "APIFETCH_RETRY_METHODS", METHODS, setting="APIFETCH_RETRY_METHODS", note="none",
        says="methods, as `POST,PATCH`, that are retried although the call may have been carried out",
    ),
    row(
        "APIFETCH_IDEMPOTENCY_KEY", IDEMPOTENCY_KEY, setting="APIFETCH_IDEMPOTENCY_KEY", note="off",
        says="`on`: calls that are not idempotent (POST, PATCH) carry `Idempotency-Key: \"UUID\"`, the record's own, "
        "and are repeated as others are; the name of a header: the same in that header, without quotes",
    ),
    row(
        "APIFETCH_RETRY_BASE_S", seconds(zero=False), default="1", setting="APIFETCH_RETRY_BASE_S",
        says="seconds that the first retry waits at the most; each further one waits up to twice as long",
    ),
    row(
        "APIFETCH_RETRY_CAP_S", seconds(zero=False), default="60", setting="APIFETCH_RETRY_CAP_S",
        says="seconds that any retry waits at the most, unless the API asks for more",
    ),
    row(
        "APIFETCH_SECRET_COMMAND", COMMAND, setting="APIFETCH_SECRET_COMMAND", private=True,
        says="a command that prints lines `NAME=VALUE`, in which `${NAME}` is looked up first; run at the start, and "
        "again when credentials are refused",
    ),
    row(
        "APIFETCH_ADDRESSES", choice("list", "public", "any"), default="list", setting="APIFETCH_ADDRESSES",
        says="what a call may be connected to: `list`: whatever the line's host resolves to, and no redirect and no "
        "later answer of the name server leads further in (others are `forbidden_address`); `public`: public "
        "addresses; `any`. But for `any`, never link-local and metadata addresses",
    ),
    row(
        "APIFETCH_FAIL_EARLY", whole(0), default="50", setting="APIFETCH_FAIL_EARLY",
        says="calls at the beginning after which the run stops when all were answered by one host, and failed, with "
        "the same status; 0: never",
    ),
    row(
        "APIFETCH_REFUSED_WINDOW", whole(0, 1000), default="50", setting="APIFETCH_REFUSED_WINDOW",
        says="calls in a row that a host answers with 401 or 403, after which the credentials are read again and "
        "tried; 401 for what the arguments say does it at once; 0: never, they are answers as others are",
    ),
    row(
        "APIFETCH_PROGRESS", choice("auto", "bar", "lines", "json", "off"), default="auto", setting="APIFETCH_PROGRESS",
        says="what shows how far a run is: a `bar` on the terminal, or `lines` in the log; `json`: the lines are "
        "`Progress: {...}`, for programs that read the log; `auto`: the bar where the standard error output is a "
        "terminal and there is no LOG_FILE",
    ),
    row(
        "APIFETCH_PROGRESS_S", seconds(zero=False), default="30", setting="APIFETCH_PROGRESS_S",
        says="seconds between two of those lines",
    ),
    row(
        "APIFETCH_METRICS_S", seconds(zero=False), default="10", setting="APIFETCH_METRICS_S",
        says="seconds from one `metrics.prom` to the next: Prometheus asks every 15 s to a minute",
    ),
    row(
        "APIFETCH_RETRY_REJECTED", SWITCH, default="off", setting="APIFETCH_RETRY_REJECTED",
        says="`on`: what `expect` or `ok_if` reject is retried as a 500 is, before it is `rejected`",
    ),
    row(
        "APIFETCH_UMASK", UMASK, default="077", setting="APIFETCH_UMASK",
        says="the permissions that are taken from what a run writes, in octal: `077` leaves its owner's only",
    ),
    row(
        "APIFETCH_HTTP_HANDLER", TEXT, setting="APIFETCH_HTTP_HANDLER",
        note="libcurl's where pycurl is installed, else Scrapy's own",
        says="the download handler that does the calls, by its dotted path",
    ),
    row(
        "APIFETCH_HTTP", choice("auto", "1.1", "2"), default="auto", setting="APIFETCH_HTTP",
        says="the version of HTTP: `auto` is the best both sides speak over TLS, 1.1 without it",
    ),
    row(
        "APIFETCH_CONNECT_S", seconds(zero=False), default="10", setting="APIFETCH_CONNECT_S",
        says="seconds for a connection: name, TCP and TLS",
    ),
    row(
        "APIFETCH_STALL_S", seconds(zero=True), default="15", setting="APIFETCH_STALL_S",
        says="seconds without progress that end an attempt whose answer has begun; 0: `timeout` alone",
    ),
    row(
        "APIFETCH_CA_FILE", TEXT, setting="APIFETCH_CA_FILE",
        note="`SSL_CERT_FILE`, `CURL_CA_BUNDLE`, `REQUESTS_CA_BUNDLE`, else certifi's",
        says="the certificate authorities that are trusted, a PEM file",
    ),
    row("APIFETCH_CLIENT_CERT", TEXT, setting="APIFETCH_CLIENT_CERT", says="a client's certificate, a PEM file"),
    row("APIFETCH_CLIENT_KEY", TEXT, setting="APIFETCH_CLIENT_KEY", says="its private key, a PEM file"),
)  # fmt: skip
