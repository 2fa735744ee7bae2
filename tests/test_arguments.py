"""How arguments, settings and the environment become typed values, or one error that says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crawler.accounting import ExitCode
from crawler.arguments import (
    ARGUMENTS,
    SETTINGS,
    USAGE,
    Argument,
    Configured,
    HostsNeededError,
    arguments_page,
    environment_names,
    read_arguments,
)
from crawler.arguments.page import EXIT_CODES
from crawler.exceptions import ArgumentError
from crawler.values import AtMost

PROJECT = Path(__file__).parent.parent
VALID = {
    "urls": "list.csv", "format": "csv.gz", "column": "link", "template": "https://h/{id}", "method": "PUT",
    "data": '{"a": {id}}', "headers": '{"X": "a"}', "params": '{"a": 1}',
    "hosts": "api.example.com", "out": "there", "save": "raw", "pack": "jsonl", "workers": "64", "per_host": "8",
    "retries": "0",
    "rate": "5/s,100/d", "max_calls": "7", "env_file": "/dev/null", "pass_env": "API_KEY",
    "expect": "json", "ok_if": "error == null", "APIFETCH_RETRY_REJECTED": "on",
    "APIFETCH_IDEMPOTENCY_KEY": "X-Request-Id",
    "timeout": "2.5", "max_failed": "1%", "redo": "failed", "duplicates": "fetch", "shard": "1/1", "limit": "10",
    "echo": "status",
    "APIFETCH_LOCAL": "work", "APIFETCH_LEDGER_COPY_S": "60", "APIFETCH_STORE_PATIENCE_S": "5",
    "APIFETCH_DURABILITY": "strict", "APIFETCH_FOLDER_LEVELS": "2", "APIFETCH_DRAIN_S": "0", "APIFETCH_UMASK": "022",
    "APIFETCH_ADDRESSES": "public", "APIFETCH_MIN_FREE_BYTES": "2GB", "APIFETCH_BODIES_IN_FLIGHT_BYTES": "1GiB",
    "APIFETCH_MIN_FREE_INODES": "0",
    "APIFETCH_MAX_WAIT": "0", "APIFETCH_RETRY_METHODS": "POST", "APIFETCH_RETRY_BASE_S": "0.5",
    "APIFETCH_RETRY_CAP_S": "2", "APIFETCH_SECRET_COMMAND": "token-of 'my api'",
    "APIFETCH_REFUSED_WINDOW": "0", "APIFETCH_FAIL_EARLY": "0",
    "APIFETCH_HTTP_HANDLER": "package.Handler", "APIFETCH_HTTP": "1.1", "APIFETCH_CONNECT_S": "3",
    "APIFETCH_STALL_S": "0", "APIFETCH_CA_FILE": "ca.pem", "APIFETCH_CLIENT_CERT": "me.pem",
    "APIFETCH_CLIENT_KEY": "me.key", "APIFETCH_PROGRESS": "off", "APIFETCH_PROGRESS_S": "5",
    "APIFETCH_METRICS_S": "1",
    "APIFETCH_WORKERS_MAX": "50", "APIFETCH_SHARED_RATE": "off", "APIFETCH_LEASE_S": "5",
    "APIFETCH_SHARED_PATIENCE_S": "0",
}  # fmt: skip
"""For everything, a value that is not the default."""


def read(
    said: dict[str, str] | None = None,
    *,
    s: dict[str, object] | None = None,
    settings: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    declared: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Read with a list given. said: by -a; s: by -s; settings: in settings.py."""
    configured = {name: Configured(value, explicit=False) for name, value in (settings or {}).items()}
    configured |= {name: Configured(value, explicit=True) for name, value in (s or {}).items()}
    urls = {} if "APIFETCH_URLS" in configured else {"urls": "list.txt"}
    if "APIFETCH_PASS_ENV" in configured or "pass_env" in (said or {}):  # which wants to know who gets it
        configured.setdefault("APIFETCH_HOSTS", Configured("api.example.com", explicit=False))
        environ = {"API_KEY": "k", **(environ or {})}
    return read_arguments(urls | (said or {}), configured, environ=environ or {}, declared=declared)


def message(**how: Any) -> str:
    """What the error of read(...) says."""
    with pytest.raises(ArgumentError) as caught:
        read(**how)
    return str(caught.value)


def named(rows: list[Argument] | tuple[Argument, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


# The table


def test_the_defaults_are_those_of_the_design() -> None:
    values = read()
    assert {name: str(value) for name, value in values.items()} == {
        "APIFETCH_URLS": "list.txt",
        "APIFETCH_FORMAT": "None",
        "APIFETCH_COLUMN": "url",
        "APIFETCH_TEMPLATE": "None",
        "APIFETCH_METHOD": "None",
        "APIFETCH_DATA": "None",
        "APIFETCH_HEADERS": "()",
        "APIFETCH_PARAMS": "()",
        "APIFETCH_PASS_ENV": "None",
        "APIFETCH_ENV_FILE": "None",
        "APIFETCH_HOSTS": "None",
        "APIFETCH_OUT": "out/%(name)s",
        "APIFETCH_LOCAL": "out",
        "APIFETCH_LEDGER_COPY_S": "300.0",
        "APIFETCH_STORE_PATIENCE_S": "120.0",
        "APIFETCH_SAVE": "envelope",
        "APIFETCH_PACK": "None",
        "CONCURRENT_REQUESTS": "20",
        "CONCURRENT_REQUESTS_PER_DOMAIN": "20",
        "RETRY_TIMES": "4",
        "DOWNLOAD_TIMEOUT": "30.0",
        "APIFETCH_RATE": "None",
        "APIFETCH_MAX_CALLS": "None",
        "APIFETCH_MAX_FAILED": "0",
        "APIFETCH_REDO": "retryable",
        "APIFETCH_DUPLICATES": "skip",
        "APIFETCH_EXPECT": "None",
        "APIFETCH_OK_IF": "None",
        "APIFETCH_SHARD": "None",
        "APIFETCH_LIMIT": "None",
        "APIFETCH_ECHO": "None",
        "APIFETCH_DURABILITY": "batch",
        "APIFETCH_FOLDER_LEVELS": "1",
        "APIFETCH_MIN_FREE_BYTES": "134217728",
        "APIFETCH_MIN_FREE_INODES": "2048",
        "APIFETCH_BODIES_IN_FLIGHT_BYTES": "268435456",
        "APIFETCH_DRAIN_S": "5.0",
        "APIFETCH_MAX_WAIT": "300.0",
        "APIFETCH_SHARED_RATE": "on",
        "APIFETCH_LEASE_S": "30.0",
        "APIFETCH_SHARED_PATIENCE_S": "120.0",
        "APIFETCH_WORKERS_MAX": "1000",
        "APIFETCH_RETRY_METHODS": "None",
        "APIFETCH_RETRY_BASE_S": "1.0",
        "APIFETCH_RETRY_CAP_S": "60.0",
        "APIFETCH_SECRET_COMMAND": "None",
        "APIFETCH_RETRY_REJECTED": "False",
        "APIFETCH_IDEMPOTENCY_KEY": "None",
        "APIFETCH_ADDRESSES": "list",
        "APIFETCH_REFUSED_WINDOW": "50",
        "APIFETCH_FAIL_EARLY": "50",
        "APIFETCH_UMASK": str(0o077),
        "APIFETCH_HTTP_HANDLER": "None",
        "APIFETCH_HTTP": "auto",
        "APIFETCH_CONNECT_S": "10.0",
        "APIFETCH_STALL_S": "15.0",
        "APIFETCH_CA_FILE": "None",
        "APIFETCH_CLIENT_CERT": "None",
        "APIFETCH_CLIENT_KEY": "None",
        "APIFETCH_PROGRESS": "auto",
        "APIFETCH_PROGRESS_S": "30.0",
        "APIFETCH_METRICS_S": "10.0",
    }


def test_no_name_and_no_setting_is_there_twice() -> None:
    rows = (*ARGUMENTS, *SETTINGS)
    assert len({row.name for row in rows}) == len({row.setting for row in rows}) == len(rows)


def test_every_argument_that_is_built_is_tried_below() -> None:
    assert set(VALID) == {row.name for row in (*ARGUMENTS, *SETTINGS)}


@named(ARGUMENTS)
def test_an_argument_sets_its_setting(row: Argument) -> None:
    typed = read({row.name: VALID[row.name]})[row.setting]
    assert typed == row.parse(VALID[row.name])
    assert typed != row.default


@named([*ARGUMENTS, *SETTINGS])
def test_a_setting_holds_text_or_the_typed_value(row: Argument) -> None:
    typed = row.parse(VALID[row.name])
    for value in (VALID[row.name], typed):
        assert read(settings={row.setting: value})[row.setting] == typed
        assert read(s={row.setting: value})[row.setting] == typed


def test_what_was_read_is_read_again_without_a_change() -> None:
    """The command checks first, then the spider, for callers other than the command."""
    values = read(
        {
            name: value
            for name, value in VALID.items()
            if not name.startswith("APIFETCH") and name not in {"column", "save"}
        }
    )
    assert read(settings=values) == read(s=values) == values


def test_packs_hold_envelopes() -> None:
    assert message(said={"pack": "jsonl", "save": "raw"}) == (
        "save='raw': expected envelope with pack=jsonl, whose lines are envelopes"
    )


def test_the_limit_of_a_host_follows_the_workers() -> None:
    assert read({"workers": "64"})["CONCURRENT_REQUESTS_PER_DOMAIN"] == 64
    assert read({"workers": "64", "per_host": "3"})["CONCURRENT_REQUESTS_PER_DOMAIN"] == 3


@pytest.mark.parametrize("how", [{"said": {"workers": "auto"}}, {"s": {"CONCURRENT_REQUESTS": "auto"}}])
def test_auto_is_a_ceiling_to_scrapy_and_itself_when_it_is_read_again(how: dict[str, Any]) -> None:
    values = read(**how, settings={"APIFETCH_WORKERS_MAX": 300})
    assert values["CONCURRENT_REQUESTS"] == values["CONCURRENT_REQUESTS_PER_DOMAIN"] == 300
    assert isinstance(values["CONCURRENT_REQUESTS"], AtMost)
    assert type(values["CONCURRENT_REQUESTS_PER_DOMAIN"]) is int
    again = read({"workers": "auto"}, s=values)
    assert isinstance(again["CONCURRENT_REQUESTS"], AtMost)
    assert read(settings={"CONCURRENT_REQUESTS": 9})["CONCURRENT_REQUESTS_PER_DOMAIN"] == 9


def test_none_in_the_settings_says_nothing() -> None:
    assert read(settings={row.setting: None for row in (*ARGUMENTS[1:], *SETTINGS)}) == read()


# Wrong values


@named(ARGUMENTS)
def test_a_wrong_value_is_named_with_its_argument_and_what_was_expected(row: Argument) -> None:
    shown = "'***'" if row.private else "''"
    assert message(said={row.name: ""}).startswith(f"{row.name}={shown}: expected {row.expected}")


@named([*ARGUMENTS, *SETTINGS])
def test_a_wrong_value_of_a_setting_is_named_with_the_setting(row: Argument) -> None:
    shown = "'***'" if row.private else "''"
    for how in ("s", "settings"):
        expected = f"{row.setting}={shown}: expected {row.expected}"
        assert message(**{how: {row.setting: ""}}).startswith(expected)


def test_an_object_store_takes_no_packs_of_a_shared_list() -> None:
    said = {"out": "s3://b/p", "pack": "jsonl", "urls": "redis://127.0.0.1/0/name"}
    assert "packs in an object store are acknowledged by the thousand" in message(said=said)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("worker", "-a workers"),
        ("Workers", "-a workers"),
        ("url", "-a urls"),
        ("perhost", "-a per_host"),
        ("CONCURRENT_REQUESTS", "-a workers"),
        ("apifetch_redo", "-a redo"),
        ("APIFETCH_UMASK", "-s APIFETCH_UMASK"),
        ("depht", "-a depth"),
    ],
)
def test_an_unknown_argument_is_told_the_nearest_known_one(name: str, nearest: str) -> None:
    expected = f"{name}='5': expected an argument that exists (did you mean {nearest}?)"
    assert message(said={name: "5"}, declared=("depth",)) == expected


def test_an_unknown_argument_that_resembles_none_is_told_them_all() -> None:
    text = message(said={"zzz": "5"})
    assert text.startswith("zzz='5': expected an argument that exists (there are urls, format, ")
    assert all(row.name in text for row in ARGUMENTS)


def test_arguments_of_scrapyd_and_of_a_subclass_pass_and_are_left_out() -> None:
    """A subclass may even take a name of the table for itself."""
    said = {"_job": "1", "_": "", "depth": "x", "limit": "many"}
    assert read(said, declared=("depth", "limit")) == read()


def test_without_a_list_the_message_is_the_usage() -> None:
    with pytest.raises(ArgumentError, match=f"^urls is missing: expected a list: {USAGE} [(]a URL per line"):
        read_arguments({}, {}, environ={})


def test_column_and_a_format_without_columns_exclude_each_other() -> None:
    expected = "column='link': expected no column with format=txt, which has none"
    assert message(said={"column": "link", "format": "txt"}) == expected
    assert message(said={"format": "txt"}, s={"APIFETCH_COLUMN": "link"}) == expected
    assert read({"format": "txt"}, settings={"APIFETCH_COLUMN": "link"})["APIFETCH_FORMAT"] == "txt"
    expected = "column='link': expected no column beside a template, which makes the URLs"
    assert message(said={"column": "link", "template": "https://h/{id}"}) == expected


def test_names_of_secrets_stand_in_headers_and_params_alone() -> None:
    for name, value in (("template", "https://h/{id}?k=${KEY}"), ("data", '{"k": "${KEY}"}')):
        assert "${NAME} is filled in within headers and params alone" in message(said={name: value})


def test_a_template_that_makes_one_call_of_every_line_is_refused() -> None:
    expected = "template='https://h/a': expected a {column} in it or in data, or every line would be the same call"
    for data in ({}, {"data": "a=1"}):
        assert message(said={"template": "https://h/a", **data}) == expected
    assert read({"template": "https://h/a", "data": '{"id": {id}}'})["APIFETCH_TEMPLATE"] == "https://h/a"


def test_data_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text('{"id": {id}}\n')
    assert read({"data": f"@{tmp_path}/body.json"})["APIFETCH_DATA"] == '{"id": {id}}\n'
    assert "No such file" in message(said={"data": f"@{tmp_path}/none.json"})
    assert "begins like JSON, but is none" in message(said={"data": "{'id': {id}}"})


def test_a_part_cannot_count_how_often_the_whole_list_has_a_call() -> None:
    expected = "shard='3/8': expected no parts with duplicates=fetch, which counts a call's lines over the whole list"
    assert message(said={"shard": "3/8", "duplicates": "fetch"}) == expected
    read({"shard": "1/1", "duplicates": "fetch"})


# Said twice


OTHER = {
    "pass_env": "TENANT",
    "ok_if": "data",
    "template": "https://h/{}",
    "method": "DELETE",
    "data": "b",
    "env_file": "other.env",
    "rate": "6/s",
    "max_calls": "8",
    "urls": "b.txt",
    "format": "jsonl",
    "limit": 11,
    "shard": "2/2",
    "hosts": "b.example",
    "per_host": 9,
}
"""A second value where the default is none."""


@named([row for row in ARGUMENTS if row.name not in {"echo", "expect", "pack"}])  # which have only one value
def test_what_the_command_line_says_differently_twice_is_refused(row: Argument) -> None:
    text = message(said={row.name: VALID[row.name]}, s={row.setting: OTHER.get(row.name, row.default)})
    assert text.startswith(f"{row.name}=")
    assert f"the same as -s {row.setting}=" in text


@named(ARGUMENTS)
def test_what_the_command_line_says_equally_twice_is_fine(row: Argument) -> None:
    typed = row.parse(VALID[row.name])
    assert read({row.name: VALID[row.name]}, s={row.setting: VALID[row.name]})[row.setting] == typed
    assert read({row.name: VALID[row.name]}, s={row.setting: typed})[row.setting] == typed


def test_equal_is_what_means_the_same() -> None:
    assert read({"redo": "5xx,404"}, s={"APIFETCH_REDO": "404, 5XX"})["APIFETCH_REDO"].text == "404,5xx"
    assert read({"workers": "5"}, s={"CONCURRENT_REQUESTS": "05"})["CONCURRENT_REQUESTS"] == 5


@named(ARGUMENTS)
def test_an_argument_overrules_the_settings_file(row: Argument) -> None:
    """A wrong value there too: nobody uses it."""
    assert read({row.name: VALID[row.name]}, settings={row.setting: ""})[row.setting] == row.parse(VALID[row.name])


def test_a_wrong_value_on_the_command_line_is_not_hidden_by_a_right_one() -> None:
    text = message(said={"workers": "5"}, s={"CONCURRENT_REQUESTS": "x"})
    assert text == "CONCURRENT_REQUESTS='x': expected a whole number from 1 to 10000, or auto"


# Secrets

BEARER = '{"Authorization": "Bearer ${TOKEN}"}'


def test_a_name_is_kept_unfilled_and_reported() -> None:
    said = {"headers": BEARER, "params": '{"a": ["${B}", "${TOKEN}"]}', "hosts": "api.example.com"}
    values = read(said, environ={"TOKEN": "abc", "B": "2"})
    assert values["APIFETCH_HEADERS"] == (("Authorization", "Bearer ${TOKEN}"),)
    assert environment_names(values) == ("TOKEN", "B")


@pytest.mark.parametrize(
    "how",
    [
        {"said": {"headers": BEARER}},
        {"said": {"params": '{"k": "${TOKEN}"}'}},
        {"settings": {"APIFETCH_HEADERS": BEARER}},
    ],
)
def test_a_name_needs_the_hosts_that_may_get_it(how: dict[str, Any]) -> None:
    with pytest.raises(HostsNeededError) as caught:
        read(**how, environ={"TOKEN": "abc"})
    expected = "hosts is missing: expected the hosts that get ${TOKEN}, such as -a hosts=api.example.com"
    assert str(caught.value) == expected
    assert caught.value.names == ("TOKEN",)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "TOKEN to be set in the environment, and not to be empty"),
        ({"TOKEN": ""}, "TOKEN to be set in the environment, and not to be empty"),
        ({"TOKEN": "s3cret\n"}, "TOKEN to hold no line break and no other control character"),
        ({"TOKEN": "s3cret\udcff"}, "TOKEN to hold no line break and no other control character"),
    ],
)
def test_a_variable_that_cannot_be_sent_is_refused_without_showing_it(environ: dict[str, str], expected: str) -> None:
    text = message(said={"headers": BEARER, "hosts": "a.example"}, environ=environ)
    assert text == f"headers='${{TOKEN}}': expected {expected}"


@pytest.mark.parametrize(
    "how",
    [
        {"said": {"headers": "Authorization: s3cret"}},
        {"said": {"headers": '{"Authorization": "s3cret\\n"}'}},
        {"said": {"headers": '{"Authorization: s3cret": ""}'}},
        {"said": {"headers": '{"X": "s3cret"}'}, "s": {"APIFETCH_HEADERS": {"X": "s3cret too"}}},
        {"settings": {"APIFETCH_PARAMS": {"key": {"s3cret": 1}}}},
        {"said": {"header": '{"Authorization": "s3cret"}'}},
        {"said": {"api_token": "s3cret"}},
        {"said": {"proxy": "http://me:s3cret@proxy/"}},
        {"said": {"urls": "s3://me:s3cret@h/list?key=s3cret"}},
        {"said": {"hosts": "https://me:s3cret@h/"}},
    ],
)
def test_no_message_repeats_a_secret(how: dict[str, Any]) -> None:
    assert "s3cret" not in message(**how)


# The page


def test_the_page_is_up_to_date() -> None:
    page = (PROJECT / "docs" / "arguments.md").read_text(encoding="utf-8")
    assert page == arguments_page(), "run: python -m crawler.arguments > docs/arguments.md"


def test_the_page_is_what_the_module_writes() -> None:
    run = subprocess.run([sys.executable, "-m", "crawler.arguments"], cwd=PROJECT, capture_output=True, check=True)
    assert run.stdout.decode() == arguments_page()


@named(ARGUMENTS)
def test_every_argument_is_on_the_page(row: Argument) -> None:
    [line] = [line for line in arguments_page().splitlines() if line.startswith(f"| `{row.name}` |")]
    assert f"`{row.setting}`" in line
    assert row.default_text in line


@named(SETTINGS)
def test_every_setting_without_an_argument_is_on_the_page(row: Argument) -> None:
    assert f"| `{row.setting}` | {row.default_text} | {row.help} |" in arguments_page()


def test_every_exit_code_is_on_the_page_in_the_order_of_decision() -> None:
    assert [code.value for code in EXIT_CODES] == [1, 2, 3, 6, 75, 69, 4, 8, 65, 0]
    assert set(EXIT_CODES) == set(ExitCode)


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    cells = [line.count("|") for line in arguments_page().splitlines() if line.startswith("| ")]
    assert set(cells) == {5, 4, 3}
