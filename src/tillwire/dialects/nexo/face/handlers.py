"""Which category of messages is answered by whom, and what each category needs of the terminal and
the till's session.

Payment and Reversal are not in the table: they are `payments.py`'s two steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tillwire.dialects.nexo.face.aborts import abort
from tillwire.dialects.nexo.face.acquisition import balance_inquiry, card_acquisition
from tillwire.dialects.nexo.face.administration import admin
from tillwire.dialects.nexo.face.asking import input_
from tillwire.dialects.nexo.face.closing import get_totals, reconciliation
from tillwire.dialects.nexo.face.context import Handler
from tillwire.dialects.nexo.face.desk import display, print_
from tillwire.dialects.nexo.face.diagnosis import diagnosis
from tillwire.dialects.nexo.face.enabling import enable_service
from tillwire.dialects.nexo.face.sessions import login, logout
from tillwire.dialects.nexo.face.status import transaction_status
from tillwire.dialects.nexo.wire.values import MessageCategory

HANDLERS: Final[Mapping[str, Handler]] = {
    MessageCategory.ABORT: abort,
    MessageCategory.ADMIN: admin,
    MessageCategory.BALANCE_INQUIRY: balance_inquiry,
    MessageCategory.CARD_ACQUISITION: card_acquisition,
    MessageCategory.DIAGNOSIS: diagnosis,
    MessageCategory.DISPLAY: display,
    MessageCategory.ENABLE_SERVICE: enable_service,
    MessageCategory.GET_TOTALS: get_totals,
    MessageCategory.INPUT: input_,
    MessageCategory.LOGIN: login,
    MessageCategory.LOGOUT: logout,
    MessageCategory.PRINT: print_,
    MessageCategory.RECONCILIATION: reconciliation,
    MessageCategory.TRANSACTION_STATUS: transaction_status,
}
"""By MessageCategory."""

ALWAYS: Final = frozenset(
    {
        MessageCategory.ABORT,
        MessageCategory.DIAGNOSIS,
        MessageCategory.LOGIN,
        MessageCategory.LOGOUT,
        MessageCategory.TRANSACTION_STATUS,
    }
)
"""Categories that need no session, and are served while another dialogue is under way: with them a
till finds its way back."""
