"""What `PosNotificationCallbackUrl` is told: the completed envelope, written in the commit of the
end (source 002 names the address and nothing more).

It is a hint. It has no token, and whoever gets it polls for the truth. What is UNKNOWN is not told
before there is an end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.letters import NOTIFICATION, Letter
from tillwire.core.model import Transaction
from tillwire.core.ports import Vault
from tillwire.dialects.smartconnect.face import answers
from tillwire.dialects.smartconnect.wire import envelope
from tillwire.dialects.smartconnect.wire.envelope import Envelope

FACE: Final = "smartconnect"
PAUSES: Final = (5.0, 30.0, 120.0)
"""Seconds before each further try."""
PATIENCE: Final = 10.0
"""Seconds in which it is to be answered with any 2xx."""
ASKED: Final = "asked"
"""Where in `Callback.detail` stands what was asked for."""


class SmartConnectTeller:
    """Writes the letters of this dialect."""

    def __init__(self, vault: Vault) -> None:
        """As all tellers are made; addresses come sealed already."""

    def letters(
        self, before: Transaction | None, after: Transaction, event: str, estate: Estate
    ) -> Sequence[Letter]:
        """As `letters.Teller`."""
        callback = after.callback
        if callback is None or callback.face != FACE or not after.is_final:
            return ()
        if before is not None and before.is_final:
            return ()
        assert after.ended_at is not None, "what is final has ended"
        asked = answers.read(callback.detail[ASKED])
        result = answers.ending(asked, after)
        told = answers.completed(asked, after.id, after.created_at, result)
        return [
            notification(
                told,
                sealed=callback.sealed,
                organisation_id=after.organisation_id,
                at=after.ended_at,
                transaction_id=after.id,
            )
        ]


def notification(
    told: Envelope,
    *,
    sealed: str,
    organisation_id: str,
    at: Instant,
    transaction_id: str | None = None,
) -> Letter:
    """One letter that it has ended."""
    return Letter(
        transaction_id=transaction_id,
        organisation_id=organisation_id,
        channel=NOTIFICATION,
        kind=told.transaction_status,
        sealed=sealed,
        body=envelope.write(told),
        created_at=at,
        due_at=at,
        pauses=PAUSES,
        patience=PATIENCE,
    )
