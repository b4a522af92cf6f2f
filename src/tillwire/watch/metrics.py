"""What Prometheus is told.

Labels are words of a fixed vocabulary (dialects, states, faces, status codes, the configuration's
listeners), never ids, references or addresses: their number is bounded however long the gateway
runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tillwire.core.doubts import Awaits
from tillwire.core.letters import LetterState
from tillwire.core.model import OPEN_STATES, State, Transaction

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more line for each, and no use

OpenCount = Callable[[], Mapping[State, int]]
Connections = Callable[[], Mapping[str, int]]
Reached = Callable[[], Mapping[str, bool]]
Blocked = Callable[[], Mapping[tuple[str, Awaits], int]]

_OUTCOME_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 900, 3600)
_COMMIT_SECONDS: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1, 5)
_COMMIT_UNITS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Route(StrEnum):
    """The kinds of requests that are told apart."""

    READ = "read"
    WRITE = "write"
    POLL = "poll"
    """A terminal asks whether there is work for it."""
    PAGE = "page"
    """The gateway's own pages."""
    NOWHERE = "nowhere"
    """Nothing is served under this path."""


class _Asked(Collector):
    """A gauge that is read when it is asked for, so that it cannot drift from what it is of."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        read: Callable[[], Iterable[tuple[Sequence[str], float]]],
    ) -> None:
        """`read` tells the values of the labels, and the number that goes with them."""
        self._about = name, text, labels
        self._read = read

    def collect(self) -> Iterable[Metric]:
        name, text, labels = self._about
        family = GaugeMetricFamily(name, text, labels=labels)
        for values, number in self._read():
            family.add_metric(values, number)
        return [family]

    def describe(self) -> Iterable[Metric]:
        return []


def _gauges(
    open_count: OpenCount, connections: Connections, reached: Reached, blocked: Blocked
) -> Iterator[_Asked]:
    """What is known at any moment."""

    def states() -> Iterator[tuple[Sequence[str], float]]:
        counted = open_count()
        for state in sorted(OPEN_STATES):
            yield (state.value,), counted.get(state, 0)

    yield _Asked(
        "tillwire_open_transactions", "Transactions that are not final.", ["state"], states
    )
    yield _Asked(
        "tillwire_blocked_terminals",
        "Terminals whose last transaction's outcome nobody knows, by what is waited for.",
        ["driver", "awaits"],
        lambda: [((driver, awaits), count) for (driver, awaits), count in blocked().items()],
    )
    yield _Asked(
        "tillwire_open_connections",
        "Connections that are open.",
        ["listener"],
        lambda: [((listener,), count) for listener, count in connections().items()],
    )
    yield _Asked(
        "tillwire_till_reached",
        "Whether the till that a listener dials is there (1) or not (0).",
        ["listener"],
        lambda: [((listener,), int(is_there)) for listener, is_there in reached().items()],
    )


class Metrics:
    """The gateway's numbers. Implements the engine's `Watch` port."""

    def __init__(
        self,
        open_count: OpenCount = dict,
        connections: Connections = dict,
        reached: Reached = dict,
        letters_waiting: Callable[[], int] = int,
        blocked: Blocked = dict,
    ) -> None:
        """`open_count` says how many transactions are open, by state, `connections` how many
        connections each listener has, `reached` whether the tills that are dialled are there,
        `letters_waiting` how many letters wait, and `blocked` how many terminals are blocked, by
        driver and what is waited for."""
        self._registry = CollectorRegistry()
        self._transactions = Counter(
            "tillwire_transactions",
            "Transactions that reached a state.",
            ["dialect", "state"],
            registry=self._registry,
        )
        self._time_to_outcome = Histogram(
            "tillwire_time_to_outcome_seconds",
            "From acceptance to a final state.",
            ["dialect", "verdict"],
            buckets=_OUTCOME_SECONDS,
            registry=self._registry,
        )
        self._commit_seconds = Histogram(
            "tillwire_journal_commit_seconds",
            "How long a group of units of work took to become durable.",
            buckets=_COMMIT_SECONDS,
            registry=self._registry,
        )
        self._commit_units = Histogram(
            "tillwire_journal_commit_units",
            "Units of work that shared one commit.",
            buckets=_COMMIT_UNITS,
            registry=self._registry,
        )
        self._polls = Counter(
            "tillwire_polls",
            "Terminals asking for work.",
            ["result"],
            registry=self._registry,
        )
        self._requests = Counter(
            "tillwire_http_requests",
            "HTTP requests answered.",
            ["face", "route", "status"],
            registry=self._registry,
        )
        self._messages = Counter(
            "tillwire_stream_messages",
            "Messages over connections that are not HTTP.",
            ["face", "direction"],
            registry=self._registry,
        )
        self._lane_resets = Counter(
            "tillwire_lane_resets",
            "Connections of lanes that an operator has closed.",
            ["listener"],
            registry=self._registry,
        )
        self._tls_refused = Counter(
            "tillwire_tls_refused",
            "Connections that ended in their TLS handshake.",
            ["listener"],
            registry=self._registry,
        )
        self._letters = Counter(
            "tillwire_letters",
            "Letters to tills and applications that were delivered or given up.",
            ["channel", "result"],
            registry=self._registry,
        )
        self._letter_seconds = Histogram(
            "tillwire_letter_seconds",
            "From the fact to the delivery of the letter that tells of it.",
            ["channel"],
            buckets=_OUTCOME_SECONDS,
            registry=self._registry,
        )
        Gauge(
            "tillwire_letters_waiting",
            "Letters that wait or are under way.",
            registry=self._registry,
        ).set_function(letters_waiting)
        for gauge in _gauges(open_count, connections, reached, blocked):
            self._registry.register(gauge)
        ProcessCollector(registry=self._registry)
        self._transition_children: dict[tuple[str, State], tuple[Counter, Histogram | None]] = {}
        self._request_children: dict[tuple[str, Route, int], Counter] = {}

    def transition(self, before: Transaction | None, after: Transaction, event: str) -> None:
        """A transaction moved; told after the commit."""
        if before is not None and before.state is after.state:
            return
        known = self._transition_children.get((after.dialect, after.state))
        if known is None:
            labels = after.dialect, after.state.value
            ended = self._time_to_outcome.labels(*labels) if after.is_final else None
            known = self._transactions.labels(*labels), ended
            self._transition_children[after.dialect, after.state] = known
        count, time_to_outcome = known
        count.inc()
        if time_to_outcome is not None and after.ended_at is not None:
            time_to_outcome.observe(max(0, after.ended_at - after.created_at) / 1000)

    def commit(self, units: int, seconds: float) -> None:
        """A group of `units` units of work was committed within `seconds`."""
        self._commit_seconds.observe(seconds)
        self._commit_units.observe(units)

    def request(self, face: str, route: Route, status: int) -> None:
        """A request was answered. `face` is a face's name or empty."""
        child = self._request_children.get((face, route, status))
        if child is None:
            child = self._requests.labels(face, route.value, str(status))
            self._request_children[face, route, status] = child
        child.inc()
        if route is Route.POLL and status in (200, 204):
            self._polls.labels("delivered" if status == 200 else "idle").inc()

    def letter(self, channel: str, state: LetterState, seconds: float) -> None:
        """A letter on a channel (`callback`, `notification`, `hook`) was settled so many seconds
        after it was written."""
        self._letters.labels(channel, state.value.lower()).inc()
        if state is LetterState.DELIVERED:
            self._letter_seconds.labels(channel).observe(seconds)

    def messages(self, face: str, direction: str, count: int) -> None:
        """So many messages were `received` or `sent` over byte streams."""
        self._messages.labels(face, direction).inc(count)

    def lane_reset(self, listener: str, closed: int) -> None:
        """An operator has closed so many connections of a lane."""
        self._lane_resets.labels(listener).inc(closed)

    def tls_refused(self, listener: str) -> None:
        """A connection ended in its TLS handshake."""
        self._tls_refused.labels(listener).inc()

    def page(self) -> tuple[bytes, str]:
        """The numbers as Prometheus reads them, and their content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
