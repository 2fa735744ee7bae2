"""`python -m benchmarks`: the command line, and what is written. `make bench ARGS=...` passes on to it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Never

from benchmarks.cases import BY_DEFAULT, CASES
from benchmarks.clients import CLIENTS, PEERS, ROOT
from benchmarks.machine import facts
from benchmarks.measure import adopt_orphans
from benchmarks.plot import plot
from benchmarks.report import Ran, report
from benchmarks.rounds import Places, find_memory, scratch, turns
from benchmarks.samples import Failure, Sample
from benchmarks.servers import ServerError, serving
from crawler.demo.bodies import item_body

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from benchmarks.cases import Case
    from benchmarks.clients import Client


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 when a client failed, 2 for a wrong argument."""
    args = _parser().parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)  # so that servers and clients end with us
    adopt_orphans()
    known = facts(args.peers_python)  # first of all: the load is other programs', not ours
    cases = [case.with_calls(args.calls).with_rounds(args.rounds) for case in args.cases]
    memory = args.memory or find_memory(max(case.calls for case in cases))
    places = Places(memory=memory, disk=args.disk, peers=args.peers_python, body=item_body("1"))
    most = max(case.workers for case in cases)
    clients = [client for client in args.clients if client.here]
    notes = [f"{client.name}: `{client.needs}` is not installed" for client in args.clients if not client.here]
    notes += [f"{client.name}: {client.most} calls at once at most" for client in clients if client.most < most]
    if args.memory is None and memory != Path("/dev/shm"):
        notes.append("bodies in memory: no /dev/shm with room for them, so they went to the folder for temporary files")
    rans: list[Ran] = []
    for case in cases:
        try:
            rans.append(_run(case, clients, places))
        except ServerError as exc:
            notes.append(f"case {case.name}: {exc}")
    text = report(rans, clients, known, notes)
    print(text)
    _write(args.markdown, text)
    _write(args.svg, plot(rans, clients))
    samples = [asdict(sample) for ran in rans for sample in ran.samples]
    failures = [asdict(failure) for ran in rans for failure in ran.failures]
    document = {"facts": known, "notes": notes, "samples": samples, "failures": failures}
    _write(args.json, json.dumps(document, indent=1) + "\n")
    return 1 if failures or not samples else 0


def _run(case: Case, clients: Sequence[Client], places: Places) -> Ran:
    """Run a case, saying each turn as it ends. Raises ServerError."""
    samples: list[Sample] = []
    failures: list[Failure] = []
    with scratch(places.memory) as folder, serving(case, places.body, folder) as server:
        for turn in turns(case, clients, server, places):
            if isinstance(turn, Failure):
                failures.append(turn)
                said = f"failed: {turn.reason}"
            else:
                samples.append(turn)
                said = f"{turn.run.wall_s:.1f} s, {turn.cpu_ms:.3f} ms CPU a call"
            print(f"{turn.case} {turn.round}/{case.rounds} {turn.client}: {said}", file=sys.stderr, flush=True)
    return Ran(case=case, server=server.title, samples=samples, failures=failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="This project and its peers, side by side."
    )
    parser.add_argument(
        "--cases", type=_cases, default=_cases(",".join(BY_DEFAULT)), metavar="A,B",
        help=f"of {', '.join(case.name for case in CASES)}; default: all but http2",
    )  # fmt: skip
    parser.add_argument(
        "--clients", type=_clients, default=list(CLIENTS), metavar="A,B",
        help=f"of {', '.join(client.name for client in CLIENTS)}; default: all",
    )  # fmt: skip
    parser.add_argument("--rounds", type=_natural, metavar="N", help="default: what each case needs, 1 to 5")
    parser.add_argument("--calls", type=_natural, metavar="N", help="default: what each case needs, 2,000 to 20,000")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the report, which is printed too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every run's numbers")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="the plot")
    parser.add_argument("--memory", type=Path, metavar="FOLDER", help="for bodies; default: /dev/shm where it has room")
    parser.add_argument(
        "--disk", type=Path, metavar="FOLDER", default=ROOT / "build" / "bench",
        help="for the bodies of the case disk; default: build/bench",
    )  # fmt: skip
    parser.add_argument(
        "--peers-python", default=str(PEERS) if PEERS.exists() else sys.executable, metavar="FILE",
        help="the Python that has the peers; default: .venv-bench's, else this one",
    )  # fmt: skip
    return parser


def _cases(text: str) -> list[Case]:
    by_name = {case.name: case for case in CASES}
    return [by_name[name] for name in _names(text, list(by_name))]


def _clients(text: str) -> list[Client]:
    by_name = {client.name: client for client in CLIENTS}
    return [by_name[name] for name in _names(text, list(by_name))]


def _names(text: str, known: list[str]) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(known)}")
    return names


def _natural(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _stop(number: int, _frame: FrameType | None) -> Never:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
