"""Check Transaction: `POST /mpos-core/app/checkTransaction` (source 001).

The source names the answer's contents (status, card type, amount, acquirer and timestamps), and not
its members. `CheckTransactionResponse` is our profile of it, in the words of the vendor's apps; a
client reads answers by `aliases.py`, since a server may have other names.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from tillwire.dialects.softpos.wire import reading
from tillwire.dialects.softpos.wire.errors import FieldErrorDTO, InvalidFields
from tillwire.money import MAX_MINOR

PATH: Final = "/mpos-core/app/checkTransaction"
LARGEST_REQUEST: Final = 8_192
"""Octets of a request at most."""
LONGEST_CALLER_ID: Final = 256

ASSERTION_HEADER: Final = "client_assertion"
CLIENT_HEADER: Final = "client_id"
"""Headers beside Authorization, with the underscores that many servers drop."""


class Status(StrEnum):
    """How a transaction stands, in our profile."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"
    REVERSED = "REVERSED"
    PENDING = "PENDING"
    ERROR = "ERROR"


class CheckTransactionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which transaction is meant."""

    terminal_id: str
    """A TID: eight digits."""
    caller_trx_id: str = ""
    """The caller's own id; empty if there is none, though it is needed to find one."""


_Amount = Annotated[int, msgspec.Meta(ge=0, le=MAX_MINOR)]


class CheckTransactionResponse(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"
):
    """A transaction, in our profile. What is not known is absent."""

    terminal_id: str
    caller_trx_id: str | None = None
    merchant_id: str | None = None
    transaction_id: str | None = None
    """The acquirer's reference."""
    operation_type: str
    """PAYMENT, REFUND or REVERSAL."""
    status: Status
    result_code: int | None = None
    """As the apps have it: 0 authorised, 20 cancelled, 21 declined, 22 error."""
    action_code: str | None = None
    """Three digits; 000 is approved."""
    amount: _Amount | None = None
    """Minor units."""
    currency: str | None = None
    card_type: str | None = None
    pan: str | None = None
    """Twelve asterisks and the last four digits."""
    transaction_type: str | None = None
    """How the card was read: CLI, CLM, ICC, MAG or MAN."""
    acquirer_id: str | None = None
    acquirer_name: str | None = None
    authorization_number: str | None = None
    stan: str | None = None
    operation_number: str | None = None
    transaction_timestamp: str | None = None
    """ISO 8601, UTC; so is `update_timestamp`."""
    update_timestamp: str | None = None


RESULT_CODES: Final = {
    Status.APPROVED: 0,
    Status.REVERSED: 0,
    Status.CANCELLED: 20,
    Status.DECLINED: 21,
    Status.ERROR: 22,
}
"""The apps' result of what has ended."""


def read_request(octets: bytes) -> CheckTransactionRequest:
    """Which transaction a caller asks for. Raises `InvalidFields`, with all that is wrong."""
    if len(octets) > LARGEST_REQUEST:
        raise _invalid("body", f"It has more than {LARGEST_REQUEST} octets.")
    try:
        members = msgspec.json.decode(octets)
    except reading.NOT_JSON:
        raise _invalid("body", "It is not JSON.") from None
    if not isinstance(members, dict):
        raise _invalid("body", "It is no object.")
    terminal, caller = members.get("terminalId"), members.get("callerTrxId")
    errors = []
    if problem := _problem_of_terminal(terminal):
        errors.append(FieldErrorDTO("terminalId", problem))
    if problem := _problem_of_caller_id(caller):
        errors.append(FieldErrorDTO("callerTrxId", problem))
    if errors:
        raise InvalidFields(errors)
    return CheckTransactionRequest(terminal_id=str(terminal), caller_trx_id=caller or "")


def _problem_of_terminal(value: Any) -> str:
    if value is None or value == "":
        return "It is required."
    good = isinstance(value, str) and len(value) == 8 and value.isascii() and value.isdecimal()
    return "" if good else "It must be a text of 8 digits."


def _problem_of_caller_id(value: Any) -> str:
    good = value is None or (isinstance(value, str) and len(value) <= LONGEST_CALLER_ID)
    return "" if good else f"It must be a text of up to {LONGEST_CALLER_ID} characters."


def _invalid(field: str, message: str) -> InvalidFields:
    return InvalidFields([FieldErrorDTO(field, message)])


def write_request(request: CheckTransactionRequest) -> bytes:
    """The body that asks for it."""
    body = {"terminalId": request.terminal_id}
    if request.caller_trx_id:
        body["callerTrxId"] = request.caller_trx_id
    return reading.encode(body)
