"""The nouns: what one run used, what its server saw, and the figures that follow. Pure: knows no process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a client used, from start to end, all its processes together.

    cpu_s: user and system. wall_s: until the last process ended. largest_bytes: the peak of the largest process.
    all_bytes: the peaks of all processes added up; None where the system does not tell. exit_code: negative for a
    signal.
    """

    cpu_s: float
    wall_s: float
    largest_bytes: int
    all_bytes: int | None
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the server used and saw during a run; None is unknown.

    processes: how many it has. connections: opened. handshakes: of TLS, in full; resumed: those shortened.
    """

    processes: int
    cpu_s: float | None = None
    connections: int | None = None
    handshakes: int | None = None
    resumed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A client's turn in one round: the list of one URL, then the whole list."""

    case: str
    client: str
    round: int
    calls: int
    workers: int
    latency_ms: int
    startup: Usage
    run: Usage
    served: Served

    @property
    def cpu_ms(self) -> float:
        """CPU for a call, start-up and end shared among all."""
        return self.run.cpu_s * 1000 / self.calls

    @property
    def further_cpu_ms(self) -> float | None:
        """CPU for each call after the first."""
        return (self.run.cpu_s - self.startup.cpu_s) * 1000 / (self.calls - 1) if self.calls > 1 else None

    @property
    def startup_s(self) -> float:
        """All that is not calls: the wall time of the list of one URL without what the server waited."""
        return self.startup.wall_s - self.latency_ms / 1000

    @property
    def per_s(self) -> float | None:
        """Calls a second after start-up; None when the run took no longer than that."""
        busy_s = self.run.wall_s - self.startup_s
        return self.calls / busy_s if busy_s > 0 else None

    @property
    def reached(self) -> float | None:
        """Calls a second after start-up, of the most that workers and latency allow (1 is all)."""
        if not self.latency_ms or self.per_s is None:
            return None
        return self.per_s * self.latency_ms / 1000 / self.workers

    @property
    def client_busy(self) -> float:
        """Cores that the client kept busy: 1 is a whole one."""
        return self.run.cpu_s / self.run.wall_s

    @property
    def server_busy(self) -> float | None:
        """How busy each of the server's processes was: near 1 the server is the limit, not the client."""
        return None if self.served.cpu_s is None else self.served.cpu_s / self.run.wall_s / self.served.processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A turn that came to nothing. reason: one line."""

    case: str
    client: str
    round: int
    reason: str
