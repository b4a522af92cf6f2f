"""Logs how transactions move: what a person looks for first when a payment is in question."""

from __future__ import annotations

import logging

import structlog

from tillwire.core.model import State, Transaction
from tillwire.watch.metrics import Metrics


class TransitionLog:
    """Writes a line for each move, then tells the metrics. Implements the `Watch` port.

    Ends are worth `info`; a lost outcome blocks a terminal and is worth a `warning`; the moves
    between are `debug`.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = structlog.get_logger().bind()

    def transition(self, before: Transaction | None, after: Transaction, event: str) -> None:
        """A transaction moved; told after the commit."""
        self._metrics.transition(before, after, event)
        if before is not None and before.state is after.state:
            level = logging.DEBUG
        elif after.state is State.UNKNOWN:
            level = logging.WARNING
        else:
            level = logging.INFO if after.is_final else logging.DEBUG
        if not self._log.is_enabled_for(level):
            return
        self._log.log(
            level,
            f"transaction {after.state.value.lower()}",
            transaction=after.id,
            move=event,
            terminal=after.heading.terminal,
            dialect=after.dialect,
            type=after.type.value,
        )
