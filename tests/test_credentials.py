"""Where the values of `${NAME}` come from, which one goes first, and what is said when one cannot be read."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from crawler.credentials import Secrets, read_env_file
from crawler.credentials.env_file import read_env
from crawler.exceptions import SecretError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# KEY=1\n\n  \nKEY=a", {"KEY": "a"}),
        ("KEY=a=b==", {"KEY": "a=b=="}),
        ("KEY=", {"KEY": ""}),
        ("  export KEY = a b \r\nB=2", {"KEY": "a b", "B": "2"}),
        ("KEY=a#b # the comment", {"KEY": "a#b"}),
        ("KEY= # nothing", {"KEY": ""}),
        ("KEY='a \"# b\\n' # the comment", {"KEY": 'a "# b\\n'}),
        ('KEY="a \\"# \\\\b\\n"', {"KEY": 'a "# \\b\n'}),
        ("KEY=$OTHER${X}`x`", {"KEY": "$OTHER${X}`x`"}),
        ("KEY=a\nKEY=b", {"KEY": "b"}),
        ("\ufeffKEY=a", {"KEY": "a"}),
        ("KEY=it's", {"KEY": "it's"}),
    ],
)
def test_a_line_names_a_value(text: str, values: dict[str, str]) -> None:
    assert read_env(text) == values


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A=1\nsecret", "line 2 is not NAME=VALUE"),
        ("1KEY=secret", "line 1 is not"),
        ("MY-KEY=secret", "line 1 is not"),
        ("A: secret", "line 1 is not"),
        ("KEY='secret", "line 1: the value begins with a quote"),
        ('KEY="secret\\"', "line 1: the value begins with a quote"),
        ('KEY="secret" more', "line 1: the value begins with a quote"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_not_repeated(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        read_env(text)
    assert "secret" not in str(caught.value)


def printing(text: str) -> list[str]:
    return [sys.executable, "-c", f"print({text!r})"]


def test_the_command_goes_before_the_file_and_the_file_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("B=file\nC=file\n")
    environ = {"A": "environment", "B": "environment", "C": "environment", "D": "not asked for"}
    secrets = Secrets("ABC", environ=environ, env_file=str(file), command=printing("C=printed"))
    assert secrets.values == {"A": "environment", "B": "file", "C": "printed"}
    assert Secrets("AB", environ=environ, env_file=str(file)).values == {"A": "environment", "B": "file"}


def test_a_value_that_changed_is_told_and_the_old_one_stays_known(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("KEY=old")
    secrets = Secrets(["KEY"], environ={}, env_file=str(file))
    told: list[str] = []
    secrets.listen(lambda: told.append(secrets.values["KEY"]))
    assert asyncio.run(secrets.renew()) is False
    file.write_text("KEY=new")
    assert asyncio.run(secrets.renew()) is True
    assert told == ["new"]
    assert secrets.known == {"old", "new"}


def test_what_cannot_be_read_again_leaves_the_value_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("KEY=old")
    secrets = Secrets(["KEY"], environ={}, env_file=str(file))
    for text in ("OTHER=new", "KEY=", "KEY"):
        file.write_text(text)
        with pytest.raises(SecretError):
            asyncio.run(secrets.renew())
    file.unlink()
    with pytest.raises(SecretError, match="No such file"):
        asyncio.run(secrets.renew())
    assert secrets.values == {"KEY": "old"}


def test_the_environment_alone_is_not_read_again() -> None:
    secrets = Secrets(["KEY"], environ={"KEY": "a"})
    assert not secrets.may_change
    assert asyncio.run(secrets.renew()) is False


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("print('secret')", "line 1 is not NAME=VALUE"),
        ("import sys; sys.stdout.buffer.write(b'KEY=\\xff')", "no UTF-8"),
        ("print('OTHER=secret')", "expected KEY to be set in what APIFETCH_SECRET_COMMAND prints or the environment"),
        ("print('KEY=\"a\\\\nsecret\"')", "no line break"),
    ],
)
def test_a_command_that_brings_no_value_is_an_error_that_says_none(code: str, says: str) -> None:
    with pytest.raises(SecretError, match=says) as caught:
        Secrets(["KEY"], environ={}, command=[sys.executable, "-c", code])
    assert "secret" not in str(caught.value).replace("APIFETCH_SECRET_COMMAND", "")


def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(SecretError, match="no-such-command cannot be run"):
        Secrets(["KEY"], environ={}, command=["no-such-command"])


def test_a_command_is_not_run_where_nothing_is_to_be_filled_in() -> None:
    assert not Secrets((), environ={}, command=["no-such-command"]).may_change


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "env").write_bytes(b"KEY=\xff")
    for path, says in ((tmp_path, "directory"), (tmp_path / "none", "No such file"), (tmp_path / "env", "no UTF-8")):
        with pytest.raises(SecretError, match=says) as caught:
            read_env_file(str(path))
        assert str(path) in str(caught.value)


def test_while_the_command_is_asked_again_the_loop_goes_on(tmp_path: Path) -> None:
    """The command ends only when the loop has done something meanwhile."""
    go, count = tmp_path / "go", tmp_path / "count"
    count.write_text("0")
    code = (
        "import pathlib, time\n"
        f"go, count = pathlib.Path({str(go)!r}), pathlib.Path({str(count)!r})\n"
        "number = int(count.read_text())\n"
        "count.write_text(str(number + 1))\n"
        "while number and not go.exists(): time.sleep(0.01)\n"
        "print(f'KEY={number}')\n"
    )
    secrets = Secrets(["KEY"], environ={}, command=[sys.executable, "-c", code])

    async def meanwhile() -> bool:
        renewing = asyncio.ensure_future(secrets.renew())
        await asyncio.sleep(0)
        go.touch()
        return await renewing

    assert asyncio.run(meanwhile()) is True
    assert secrets.values == {"KEY": "1"}
