"""Every error this project raises on purpose. Knows nothing of who catches it."""

from __future__ import annotations

from typing import ClassVar

from crawler.items import Outcome


class ApiFetchError(Exception):
    """Base of every error this project raises on purpose."""


# Before the run


class ArgumentError(ApiFetchError):
    """An argument (or its setting) holds a value the run cannot work with. Exit code 2."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        given = f"{name} is missing" if value is None else f"{name}={value!r}"
        super().__init__(f"{given}: expected {expected}")


class ListError(ApiFetchError):
    """The list as a whole cannot be read (missing, a folder, not what its name says). Exit code 2."""


class InterruptError(ApiFetchError):
    """A signal came before the run had begun. Exit code 75."""


class SecretError(ApiFetchError):
    """What `${NAME}` stands for cannot be read; the message says why, and never the value. At the start exit code 2."""


class CrawlError(ApiFetchError):
    """A crawl that was called from Python has no result; the message is the command's. exit_code: as of Popen."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ProbeError(ApiFetchError):
    """The calls of a probe could not be made. Exit code 2."""


# Around the output directory


class OtherRunError(ApiFetchError):
    """Another run holds the output directory. Exit code 69."""


class OtherListError(ApiFetchError):
    """The output directory belongs to another list or to other arguments. Exit code 2."""


class StoreError(ApiFetchError):
    """The disk refused a read or a write: nothing of that batch is acknowledged. Exit code 3."""


class BodyError(ApiFetchError):
    """The file of a record is missing, or is not what the ledger says."""


# About one call


class BadURLError(ApiFetchError):
    """A text is no URL that can be fetched; the message says why."""


class CallError(ApiFetchError):
    """Base of the errors that end one call with an outcome of its own. response: the last one, if there was any."""

    response: object | None = None
    outcome: ClassVar[Outcome | None] = None


class BadRedirectError(CallError):
    """A redirect leads nowhere, too far, or where it must not; the message says which."""

    outcome = Outcome.BAD_REDIRECT


class ForbiddenAddressError(CallError):
    """A call would be connected to an address that APIFETCH_ADDRESSES does not allow. Nothing was sent."""

    outcome = Outcome.FORBIDDEN_ADDRESS


class ForbiddenHostError(CallError):
    """A line names a host that `hosts` does not allow."""

    outcome = Outcome.FORBIDDEN_HOST


class StoppedError(CallError):
    """The run is stopping: this call was not finished and stays for the next run."""


class WithheldError(CallError):
    """What an answer means will be told by those of other calls: until then it is nobody's."""


class DecodeError(CallError):
    """A body is not what its content coding says: damaged, or bytes follow its end."""

    outcome = Outcome.DECODE


class UnknownCodingError(DecodeError):
    """A content coding that we do not undo, or too many of them: asking again would not help."""


class TruncatedError(CallError):
    """A body ends before its content coding does."""

    outcome = Outcome.TRUNCATED


class TooLargeError(CallError):
    """A body is larger than it may be."""

    outcome = Outcome.TOO_LARGE


class RejectedError(CallError):
    """An answer is not what was declared to be success (`expect`, `ok_if`)."""

    outcome = Outcome.REJECTED

    def __init__(self, reason: str, response: object) -> None:
        super().__init__(reason)
        self.response = response
