"""`ok_if`: which bodies meet a condition, what it costs, and what is said of one that cannot be meant."""

from __future__ import annotations

import json
from typing import Any

import jmespath
import pytest

from crawler.values import CONDITION, Condition


def condition(text: str) -> Condition:
    read: Condition = CONDITION.parse(text)
    return read


@pytest.mark.parametrize(
    ("text", "body", "holds"),
    [
        ("error == null", '{"data": 1}', True),
        ("error == null", '{"error": null}', True),
        ("error == null", '{"error": "no"}', False),
        ("error == null", "[]", True),
        ("status == 'ok'", '{"status": "ok"}', True),
        ("status == 'ok'", '{"status": "fail"}', False),
        ("success", '{"success": true}', True),
        ("success", '{"success": false}', False),
        ("success", "{}", False),
        ("count", '{"count": 0}', True),  # JMESPath: 0 is not false
        ("data", '{"data": []}', False),
        ("data", '{"data": {}}', False),
        ("data", '{"data": ""}', False),
        ("length(items) > `0`", '{"items": [1]}', True),
        ("length(items) > `0`", '{"items": []}', False),
        ("code == `18446744073709551617`", '{"code": 18446744073709551617}', True),
        ("[0].id", '[{"id": 1}]', True),
        ("[0].id", "[]", False),
        ("length(@) == `2`", '{"a": 1, "b": 2}', True),
        ("items[?bad] | length(@) == `0`", '{"items": [{"bad": false}]}', True),
        ("\"my-code\" == 'x'", '{"my-code": "x"}', True),
        ("a.b.c", '{"a": {"b": {"c": [0]}}}', True),
        ("value", '{"value": 1e400}', True),
        ("null", "null", False),
    ],
)
def test_a_condition_holds_as_jmespath_says(text: str, body: str, holds: bool) -> None:
    fault = condition(text).fault(body.encode())
    assert (fault is None) is holds
    assert fault is None or fault == f"not ok_if={text}"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": ', b'{"error": NaN}', b'{"error": "\xff"}', b"{}x"])
def test_a_body_that_is_no_json_meets_no_condition(body: bytes) -> None:
    assert str(condition("error == null").fault(body)).startswith("ok_if: the body is no JSON")


def test_a_body_of_another_shape_is_told_and_not_repeated() -> None:
    fault = condition("length(items) > `0`").fault(json.dumps({"items": None, "long": "x" * 10_000}).encode())
    assert fault is not None
    assert fault.startswith("ok_if=length(items) > `0` cannot be told: In function length(), invalid type")
    assert len(fault) < 300


def test_a_hostile_body_is_nested_too_deep() -> None:
    for text in ("error", "@"):
        assert condition(text).fault(b'{"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}") is not None


DOCUMENT = {"a": {"x": [{"n": 1, "t": "q"}, {"n": 2, "t": None}]}, "b": "text", "c": 0, "d": None, "e": {"k": 1}}

EXPRESSIONS: dict[str, set[str] | None] = {
    "a": {"a"},
    "a.x[0].n == `1` && !d": {"a", "d"},
    "a.x[?t == 'q'].n | [0]": {"a"},
    "a.x[].n": {"a"},
    "e.* | [0]": {"e"},
    "{one: b, two: c}.two": {"b", "c"},
    "[b, c][1]": {"b", "c"},
    "max_by(a.x, &n).n": {"a"},
    "contains(b, 'ex')": {"b"},
    "b || missing": {"b", "missing"},
    "a.x[:1]": {"a"},
    "`1`": set(),
    "@": None,
    "*.k": None,
    "keys(@)": None,
    "@.b": None,
    "b && length(@) == `5`": None,
}


@pytest.mark.parametrize(("text", "names"), EXPRESSIONS.items())
def test_only_what_is_looked_at_is_built_and_the_answer_is_the_same(text: str, names: set[str] | None) -> None:
    read = condition(text)
    assert read.names == (None if names is None else frozenset(names))
    body = json.dumps(DOCUMENT).encode()
    assert read.compiled.search(read._built(body)) == jmespath.search(text, DOCUMENT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("error ==", "it ends too early"),
        ("error = null", "character 7, at '= null': Unknown token '='"),
        ("error null", "character 7, at 'null': null is not expected here"),
        ("count > 0", "character 9, at '0': 0 is not expected here; a number is written `0`"),
        ("size(a)", "character 1, at 'size(a)': there is no function size()"),
        ("a && len(b)", "character 6, at 'len(b)': there is no function len()"),
        ("length(a, b)", "length() takes 1 values, not 2"),
        ("not_null()", "not_null() takes 1 values or more, not 0"),
        ('status == "ok"', "character 11, at '\"ok\"': \"ok\" is the name of a member; the text is written 'ok'"),
        ("success == true", "character 12, at 'true': true is the name of a member; the value is written `true`"),
        ("a == 'b", 'character 6, at "\'b": Unclosed'),
        ("(" * 5000, "nested too deep"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused_by_its_place(text: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is what is tested
        CONDITION.parse(text)
    assert says in str(caught.value)


@pytest.mark.parametrize("value", ["", None, 1, True])
def test_what_is_no_text_is_no_condition(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # it says nothing more
        CONDITION.parse(value)
