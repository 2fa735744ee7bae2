"""WireMock: faults on order, from another language's HTTP stack. Source: https://wiremock.org/docs/stubbing/."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.check.foreign.process import BUILT, ForeignServer, free_port, program, skip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

THREADS: Final = 64  # more than workers: what waits holds one each


def stub(name: str, response: Mapping[str, Any], method: str = "ANY") -> dict[str, Any]:
    return {"request": {"method": method, "urlPath": f"/{name}"}, "response": {"status": 200, **response}}


BODY: Final = '{"whole": true}'
OK: Final = ("ok", 200)
STUBS: Final[dict[str, tuple[Mapping[str, Any], tuple[str, int | None]]]] = {
    "whole": ({"body": BODY}, OK),
    "reset": ({"fault": "CONNECTION_RESET_BY_PEER"}, ("reset", None)),
    "empty": ({"fault": "EMPTY_RESPONSE"}, ("reset", None)),
    "malformed": ({"fault": "MALFORMED_RESPONSE_CHUNK"}, ("truncated", None)),
    "random": ({"fault": "RANDOM_DATA_THEN_CLOSE"}, ("bad_response", None)),
    "dribble": ({"body": BODY, "chunkedDribbleDelay": {"numberOfChunks": 5, "totalDuration": 1000}}, OK),
    "dribble-for-long": (
        {"body": BODY, "chunkedDribbleDelay": {"numberOfChunks": 10, "totalDuration": 10_000}},
        ("timeout", None),
    ),
    "late": ({"body": BODY, "fixedDelayMilliseconds": 1000}, OK),
    "too-late": ({"body": BODY, "fixedDelayMilliseconds": 10_000}, ("timeout", None)),
    "busy": ({"status": 503, "body": BODY}, ("http_error", 503)),
    "late-and-busy": ({"status": 503, "fixedDelayMilliseconds": 1000}, ("http_error", 503)),
}
"""What WireMock does, and the outcome."""


def sequence(name: str, responses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Stubs that answer one call after the other, and the last one for ever."""
    states = ["Started", *(f"after {n}" for n in range(1, len(responses)))]
    return [
        {**stub(name, response), "scenarioName": name, "requiredScenarioState": state, "newScenarioState": following}
        for response, state, following in zip(responses, states, [*states[1:], states[-1]], strict=True)
    ]


@contextmanager
def wiremock(folder: Path) -> Iterator[str]:
    """Its origin."""
    mappings = [stub(name, response) for name, (response, _) in STUBS.items()]
    mappings += sequence("third-time", [{"status": 503}, {"fault": "MALFORMED_RESPONSE_CHUNK"}, {"body": BODY}])
    java = program("java")
    jars = sorted((BUILT / "wiremock").glob("node_modules/wiremock/build/wiremock-standalone-*.jar"))
    if not jars:
        skip("there is no WireMock")
    (folder / "mappings").mkdir()
    (folder / "mappings" / "all.json").write_text(json.dumps({"mappings": mappings}))
    port = free_port()
    command = [
        java, "-jar", str(jars[-1]), "--port", str(port), "--bind-address", "127.0.0.1", "--root-dir", str(folder),
        "--container-threads", str(THREADS), "--no-request-journal", "--disable-banner",
    ]  # fmt: skip
    with ForeignServer(command, port=port, folder=folder):
        yield f"http://127.0.0.1:{port}"
