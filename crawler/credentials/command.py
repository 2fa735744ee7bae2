"""Asking a command for secrets: APIFETCH_SECRET_COMMAND, which prints lines of NAME=VALUE.

Owns how it is run: without a shell, with nothing to read, and with an end. What it says on stderr is passed on.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from crawler.credentials.env_file import read_env
from crawler.exceptions import SecretError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SETTING: Final = "APIFETCH_SECRET_COMMAND"

COMMAND_S: Final = 60.0
"""Seconds that the command gets. A token service that is asked over a network answers in less, or not at all."""


def ask(words: Sequence[str], *, begun: Callable[[subprocess.Popen[bytes]], None] | None = None) -> dict[str, str]:
    """Give the names and values that the command prints. begun: told of its process. Raises SecretError."""
    try:
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:  # the user's words
            if begun is not None:
                begun(process)
            printed = _printed(process)
    except subprocess.TimeoutExpired:
        raise SecretError(f"{SETTING}: {words[0]} has not ended after {COMMAND_S:g} s") from None
    except OSError as exc:
        raise SecretError(f"{SETTING}: {words[0]} cannot be run: {exc.strerror}") from exc
    if process.returncode:
        raise SecretError(f"{SETTING}: {words[0]} ended with exit code {process.returncode}")
    try:
        return read_env(printed.decode())
    except UnicodeDecodeError:
        raise SecretError(f"{SETTING}: {words[0]} printed what is no UTF-8") from None
    except ValueError as exc:
        raise SecretError(f"{SETTING}: of what {words[0]} printed, {exc}") from exc


def _printed(process: subprocess.Popen[bytes]) -> bytes:
    """All that it prints until its end, after which it is killed in any case."""
    try:
        return process.communicate(timeout=COMMAND_S)[0]
    except BaseException:
        process.kill()
        raise


async def ask_aside(words: Sequence[str]) -> dict[str, str]:
    """The same while the event loop goes on; whoever is cancelled here ends the command. Raises SecretError."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[dict[str, str]] = loop.create_future()
    processes: list[subprocess.Popen[bytes]] = []

    def wait() -> None:
        try:
            values, error = ask(words, begun=processes.append), None
        except SecretError as exc:
            values, error = {}, exc
        with suppress(RuntimeError):  # the run has ended, and its loop with it
            loop.call_soon_threadsafe(tell, values, error)

    def tell(values: dict[str, str], error: SecretError | None) -> None:
        if answered.done():  # whoever asked has been cancelled
            return
        if error is None:
            answered.set_result(values)
        else:
            answered.set_exception(error)

    # a daemon, not an executor's thread: a command that hangs must not outlive the run
    threading.Thread(target=wait, name="secret command", daemon=True).start()
    try:
        return await answered
    except asyncio.CancelledError:
        for process in processes:
            process.kill()
            process.wait()  # at once: the run may be over before the thread has taken note of it
        raise
