"""When credentials are dead and when a call is refused for its own sake, in virtual time, as the server sees it."""

from __future__ import annotations

import pytest
from scrapy.settings import Settings

from crawler.credentials import Door, Secrets, Verdict, lets_in, says_nothing
from crawler.credentials.door import BEYOND_CHANCE
from crawler.extensions.planning import _who

WINDOW = 50
ANSWER, AGAIN, LATER = Verdict.ANSWER, Verdict.AGAIN, Verdict.LATER


class Host:
    """A door, and a clock that goes on with every call."""

    def __init__(self, window: int = WINDOW) -> None:
        self.door = Door(window)
        self.now_s = 0.0

    def is_calm(self) -> bool:
        return self.door.is_calm

    def is_dead(self) -> bool:
        return self.door.is_dead

    def is_shut(self) -> bool:
        return self.door.is_shut

    def refused(
        self, call: str, *, sent_s: float | None = None, strict: bool = True, before_s: float | None = None
    ) -> Verdict:
        """Refuse a call that was sent then, or just now: while the door is shut, that is one that tries."""
        self.now_s += 1
        return self.door.refused(
            call, self.now_s, sent_s=self.now_s - 0.5 if sent_s is None else sent_s, strict=strict, before_s=before_s
        )

    def accepted(self, *, sent_s: float | None = None) -> bool:
        self.now_s += 1
        return self.door.accepted(self.now_s, sent_s=self.now_s - 0.5 if sent_s is None else sent_s)

    def renewed(self) -> None:
        self.now_s += 1
        self.door.renewed(self.now_s)


def test_a_401_shuts_the_door_and_a_call_that_went_since_tries() -> None:
    host = Host()
    assert host.refused("a") is AGAIN
    assert host.is_shut()
    assert not host.door.is_tried(0.5)
    assert host.door.is_tried(1.5)
    host.renewed()
    assert host.accepted()
    assert not host.is_shut()
    assert not host.door.is_tried(host.now_s + 1)


def test_a_door_is_calm_unless_a_call_was_refused_and_none_has_got_in_since() -> None:
    host = Host(window=3)
    assert host.is_calm()
    host.refused("a", strict=False)
    assert not host.is_calm()
    host.accepted()
    assert host.is_calm()
    for call in "bcd":
        host.refused(call, strict=False)
    assert not host.is_calm()


def test_those_in_flight_are_kept_and_count_only_against_what_they_carried() -> None:
    """New credentials: what the old ones were refused says nothing of them."""
    host = Host()
    in_flight = [f"{n}" for n in range(20)]
    for call in in_flight:
        assert host.refused(call, sent_s=0.0) is AGAIN
    host.renewed()
    assert host.refused("0") is LATER
    assert not host.is_dead()
    assert host.refused("late", sent_s=0.0) is AGAIN
    assert not host.is_dead()


def test_the_same_credentials_are_dead_when_one_has_tried_and_many_were_refused() -> None:
    host = Host()
    for n in range(BEYOND_CHANCE):
        assert host.refused(f"{n}", sent_s=0.0) is AGAIN
    assert not host.is_dead()
    assert host.refused("0") is ANSWER
    assert host.is_dead()
    assert host.is_shut()
    assert host.refused("late", sent_s=0.0) is AGAIN  # it stays for the next run


def test_one_worker_finds_out_that_they_are_dead_by_a_handful_of_which_the_last_has_its_answer() -> None:
    host = Host()
    assert host.refused("0") is AGAIN
    for n in range(BEYOND_CHANCE - 1):
        assert host.refused(f"{n}") is LATER
        assert not host.is_dead()
    assert host.refused("last") is ANSWER
    assert host.is_dead()


def test_late_answers_of_calls_in_flight_complete_the_number() -> None:
    host = Host()
    host.refused("0", sent_s=0.0)
    host.refused("0")
    for n in range(1, BEYOND_CHANCE):
        assert not host.is_dead()
        assert host.refused(f"{n}", sent_s=0.0) is AGAIN
    assert host.is_dead()


def test_a_call_that_is_refused_for_its_own_sake_has_its_answer_and_401_is_no_alarm_any_more() -> None:
    host = Host()
    host.refused("a")
    assert host.refused("a") is LATER  # until another one gets in
    assert host.is_shut()
    assert host.accepted()
    assert not host.door.is_open_question("a")
    assert not host.door.is_refusing
    assert host.refused("b") is LATER
    assert not host.is_shut()


def test_a_call_that_goes_again_after_others_got_in_has_its_answer_if_it_is_refused_again() -> None:
    host = Host()
    host.refused("a")
    refused_s = host.now_s
    assert host.accepted()
    assert host.refused("a", before_s=refused_s) is ANSWER


@pytest.mark.parametrize("strict", [True, False])
def test_a_trial_that_says_nothing_leaves_the_door_shut_for_another(strict: bool) -> None:
    host = Host(window=1)
    host.refused("a", strict=strict)
    assert host.door.is_tried(2.0)
    assert host.door.is_tried(3.0)
    assert host.accepted()


def test_403_is_an_open_question_until_a_whole_window_is_refused() -> None:
    host = Host()
    for n in range(WINDOW - 1):
        assert host.refused(f"{n}", strict=False) is LATER
        assert host.refused(f"{n}", strict=False) is LATER  # the same call counts once
    assert host.refused("last", strict=False) is AGAIN
    assert host.is_shut()
    host.refused("last")
    assert host.is_dead()


def test_a_success_that_was_sent_after_the_first_refusal_ends_the_row() -> None:
    host = Host(window=3)
    for n in range(2):
        host.refused(f"{n}", strict=False)
    host.accepted(sent_s=0.0)  # it was on its way before
    assert host.refused("2", strict=False) is AGAIN
    host = Host(window=3)
    for n in range(2):
        host.refused(f"{n}", strict=False)
    host.accepted()
    assert host.refused("2", strict=False) is LATER


def test_a_success_that_was_sent_after_the_row_began_opens_what_the_window_has_shut() -> None:
    host = Host(window=2)
    host.refused("0", strict=False)
    sent_s = host.now_s + 0.1
    host.refused("1", strict=False)
    assert host.is_shut()
    assert host.accepted(sent_s=sent_s)
    assert not host.is_shut()


def test_what_was_refused_before_a_success_was_sent_has_its_answer_and_what_came_later_has_none() -> None:
    host = Host(window=3)
    host.refused("0", strict=False)
    sent_s = host.now_s + 0.1
    host.refused("1", strict=False)
    host.accepted(sent_s=sent_s)
    assert not host.door.is_open_question("0")
    assert host.door.is_open_question("1")
    assert host.refused("2", strict=False) is LATER  # a row of two


def test_a_door_is_shut_each_time_that_credentials_die() -> None:
    host = Host()
    for n in range(3):
        assert host.refused(f"{n}") is AGAIN
        assert host.door.shut_s == host.now_s
        host.renewed()
        assert host.accepted()


def test_a_late_refusal_of_what_was_sent_before_the_door_opened_is_kept() -> None:
    host = Host()
    host.refused("a")
    host.renewed()
    host.accepted()
    assert host.refused("b", sent_s=0.5) is AGAIN
    assert not host.is_shut()


@pytest.mark.parametrize(
    ("status", "nothing"), [(200, False), (304, False), (404, False), (429, True), (500, True), (407, True)]
)
def test_what_says_something_about_credentials(status: int, nothing: bool) -> None:
    assert says_nothing(status) is nothing


@pytest.mark.parametrize(
    ("header", "does"),
    [
        ("Authorization", True), ("X-Api-Key", True), ("cookie", True), ("Accept", False), ("X-Cookie-Policy", False),
        ("Proxy-Authorization", False), ("proxy-authorization", False),
    ],
)  # fmt: skip
def test_what_lets_a_call_in_is_not_what_lets_it_through_a_proxy(header: str, does: bool) -> None:
    assert lets_in(header) is does


def test_runs_that_go_through_a_proxy_as_different_users_are_one_to_the_api() -> None:
    def who(**headers: str) -> str:
        given = {"APIFETCH_HEADERS": tuple((name.replace("_", "-"), value) for name, value in headers.items())}
        settings = Settings({"APIFETCH_PARAMS": (), "APIFETCH_PASS_ENV": (), **given})
        return _who(settings, Secrets((), environ={}))

    assert who(Proxy_Authorization="Basic YTpi", Accept="*/*") == who(Proxy_Authorization="Basic YzpkCg==") == ""
    assert who(Authorization="Bearer abc") != who(Authorization="Bearer abd") != ""
