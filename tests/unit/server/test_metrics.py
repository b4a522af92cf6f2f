"""Numbers for Prometheus: what is counted, and that no label holds an id."""

from __future__ import annotations

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.estate_fixture import purchase
from tillwire.clock import Instant, SystemClock
from tillwire.core.doubts import Awaits
from tillwire.core.model import Heading, State, Transaction
from tillwire.watch.metrics import Metrics, Route

WORDS = {
    "dialect": {"merchantapi"},
    "state": {state.value for state in State},
    "verdict": {state.value for state in State},
    "face": {"merchantapi", "device", "nexo-tcp", ""},
    "route": {route.value for route in Route},
    "status": {"200", "201", "204", "404"},
    "result": {"idle", "delivered"},
    "listener": {"tills"},
    "driver": {"ecr17"},
    "awaits": {each.value for each in Awaits},
    "direction": {"received", "sent"},
}
"""Every label and every value that it may have here, but for the buckets' `le`."""


def transaction(state: State, *, ended_after: int | None = None) -> Transaction:
    asked = purchase()
    heading = Heading(
        "s", "Shop", "Damrak 1", "1012", "Amsterdam", "NL", "Europe/Amsterdam", "T", ""
    )
    return Transaction(
        id=SystemClock().transaction_id(),
        version=1,
        organisation_id=asked.organisation_id,
        terminal_id=asked.terminal_id,
        dialect="merchantapi",
        type=asked.type,
        state=state,
        amount=asked.amount,
        reference=SystemClock().token(),
        heading=heading,
        created_at=Instant(1000),
        ended_at=None if ended_after is None else Instant(1000 + ended_after),
    )


def sell(metrics: Metrics) -> None:
    accepted = transaction(State.ACCEPTED)
    sent = msgspec.structs.replace(accepted, state=State.SENT)
    paid = msgspec.structs.replace(sent, state=State.APPROVED, ended_at=Instant(3000))
    metrics.transition(None, accepted, "accept")
    metrics.transition(accepted, sent, "dispatch")
    metrics.transition(sent, paid, "approve")
    metrics.transition(paid, paid, "clear")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    page, _ = metrics.page()
    return {
        (sample.name, tuple(value for key, value in sample.labels.items() if key != "le")): (
            sample.value
        )
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_a_sale_is_counted_once_for_each_state_it_reached() -> None:
    metrics = Metrics()
    sell(metrics)
    found = samples(metrics)
    for state in ("ACCEPTED", "SENT", "APPROVED"):
        assert found["tillwire_transactions_total", ("merchantapi", state)] == 1
    assert found["tillwire_time_to_outcome_seconds_sum", ("merchantapi", "APPROVED")] == 2
    assert found["tillwire_time_to_outcome_seconds_count", ("merchantapi", "APPROVED")] == 1


def test_open_transactions_are_what_the_engine_says_with_unknown_always_there() -> None:
    found = samples(Metrics(lambda: {State.SENT: 3}))
    assert found["tillwire_open_transactions", ("SENT",)] == 3
    assert found["tillwire_open_transactions", ("UNKNOWN",)] == 0


def test_polls_are_idle_or_delivered_and_refused_ones_neither() -> None:
    metrics = Metrics()
    for status in (204, 204, 200, 401):
        metrics.request("device", Route.POLL, status)
    found = samples(metrics)
    assert found["tillwire_polls_total", ("idle",)] == 2
    assert found["tillwire_polls_total", ("delivered",)] == 1
    assert found["tillwire_http_requests_total", ("device", "poll", "401")] == 1


def test_commits_are_measured_by_time_and_by_units() -> None:
    metrics = Metrics()
    metrics.commit(3, 0.004)
    found = samples(metrics)
    assert found["tillwire_journal_commit_seconds_count", ()] == 1
    assert found["tillwire_journal_commit_units_sum", ()] == 3


def test_connections_and_the_messages_over_them_are_counted() -> None:
    metrics = Metrics(connections=lambda: {"tills": 2, "lanes": 9999})
    metrics.messages("nexo-tcp", "received", 3)
    metrics.messages("nexo-tcp", "received", 1)
    metrics.messages("nexo-tcp", "sent", 1)
    found = samples(metrics)
    assert found["tillwire_open_connections", ("tills",)] == 2
    assert found["tillwire_open_connections", ("lanes",)] == 9999
    assert found["tillwire_stream_messages_total", ("received", "nexo-tcp")] == 4
    assert found["tillwire_stream_messages_total", ("sent", "nexo-tcp")] == 1


def test_blocked_terminals_are_counted_by_driver_and_by_what_is_waited_for() -> None:
    found = samples(
        Metrics(blocked=lambda: {("ecr17", Awaits.PERSON): 2, ("ecr17", Awaits.ANSWER): 0})
    )
    assert found["tillwire_blocked_terminals", ("person", "ecr17")] == 2
    assert found["tillwire_blocked_terminals", ("answer", "ecr17")] == 0


def test_no_label_holds_an_id() -> None:
    metrics = Metrics(
        lambda: {State.UNKNOWN: 1},
        lambda: {"tills": 2},
        blocked=lambda: {("ecr17", Awaits.PERSON): 1},
    )
    for _ in range(20):
        sell(metrics)
    metrics.request("merchantapi", Route.WRITE, 201)
    metrics.request("device", Route.POLL, 204)
    metrics.request("", Route.NOWHERE, 404)
    metrics.messages("nexo-tcp", "received", 1)
    page, _ = metrics.page()
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label != "le":
                    assert value in WORDS[label], f"{sample.name}: {label}={value}"
