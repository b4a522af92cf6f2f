"""What came of a transaction, in the results of the protocol.

Pure functions of the transaction as committed and of what its exchange remembers, so a result that
is made again is the same to the octet. Texts of the face's own are in Italian, as the protocol's
terminals have them; a terminal's reasons stay in its own words.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from tillwire.clock import Instant, local
from tillwire.core.errands import CardRead
from tillwire.core.model import Cause, EntryMode, Outcome, State, Transaction, Verdict
from tillwire.core.totals import TotalsKind, TotalsRow
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.memos import Job, lane_stan
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.dialects.ecr17.wire import CardType, HostTime, Result, ResultCode, fitted
from tillwire.errors import Proof
from tillwire.money import CURRENCIES

ERROR_TEXT: Final = 24
"""Characters of a reason."""
DECLINED: Final = "TRANSAZIONE NEGATA"
CANCELLED: Final = "OPERAZIONE ANNULLATA"
NO_CARD: Final = "CARTA NON PRESENTE"
NO_DATA: Final = "DATI AGGIUNTIVI MANCANTI"
NOT_SENT: Final = "TERMINALE NON RAGGIUNTO"
_NOT_DONE: Final = {
    Proof.REFUSED_BY_PEER: "RIFIUTATO DAL TERMINALE",
    Proof.ABSENT_AT_PEER: "OPERAZIONE NON ESEGUITA",
}
"""What no terminal did, by the proof; else `NOT_SENT`."""

_ENTRY: Final = {
    EntryMode.CONTACTLESS: wire.TransactionType.CONTACTLESS_CHIP,
    EntryMode.CHIP: wire.TransactionType.CHIP,
    EntryMode.SWIPE: wire.TransactionType.SWIPED,
    EntryMode.MANUAL: wire.TransactionType.KEYED,
}
_ACTIONS: Final = {"00": "000", "10": "002", "05": "100", "54": "101", "14": "111", "51": "116"}
"""ISO 8583:1987 response codes as the action codes of its 1993 edition, which the documents seem to
mean. Whatever else is no approval is `100`."""
_NOT_HONOURED: Final = "100"
_BANCOMAT: Final = frozenset({"BANCOMAT", "PAGOBANCOMAT", "PAGO_BANCOMAT"})
_IN: Final = frozenset(
    {
        TotalsKind.DEBIT,
        TotalsKind.COMPLETED,
        TotalsKind.CASH_ADVANCE,
        TotalsKind.REVERSE_CREDIT,
    }
)
_OUT: Final = frozenset({TotalsKind.CREDIT, TotalsKind.REVERSE_DEBIT})


def result_of(job: Job, transaction: Transaction, settings: Settings) -> bytes:
    """The payload of the result of a final transaction."""
    return wire.encode(_result(job, transaction, settings))


def _result(job: Job, transaction: Transaction, settings: Settings) -> Result:
    outcome = transaction.outcome
    approved = outcome is not None and outcome.verdict is Verdict.APPROVED
    said = _block(job, transaction, settings)
    action: dict[str, Any] = {"action_code": _action(outcome)}
    amount = transaction.approved_amount if approved else transaction.amount.minor
    # A tip on the terminal may be more than the field holds: then it is not told.
    told: dict[str, Any] = {"amount": amount if amount <= wire.LARGEST_AMOUNT else None}
    converted = _conversion(outcome) if approved and settings.dcc_results else {}
    kind = job.exchange.kind
    if kind == "P":
        if converted and told["amount"] is not None:
            return wire.DccPaymentResult(**said, **action, **told, **converted)
        return wire.PaymentResult(**said)
    if kind == "X":
        return wire.PaymentResult(**said, **(action | told if told["amount"] is not None else {}))
    if kind == "p":
        code: dict[str, Any] = {"preauthorisation_code": job.exchange.chain} if approved else {}
        told["amount"] = min(amount, wire.LARGEST_AMOUNT)  # it cannot be left out here
        return wire.PreauthorisationResult(**said, **action, **(told | code if approved else {}))
    if kind in "iA" and not approved:
        del said["acquirer"]
    if kind == "i":
        del said["card_type"]
        return wire.IncrementResult(**said, **action)
    if kind == "c":
        if converted:
            return wire.DccCaptureResult(**said, **action, **converted)
        return wire.CaptureResult(**said, **action)
    if kind == "S":
        return wire.ReversalResult(**said | {"authorisation_code": ""}, **action)
    assert kind == "A", "no other request makes a transaction"
    for name in ("card_type", "stan"):
        del said[name]
    return wire.RefundResult(**said)


def refusal(kind: str, tid: str, text: str, settings: Settings) -> bytes:
    """The payload of a result that says that nothing was done, and why."""
    said: dict[str, Any] = {"tid": tid, "result": ResultCode.KO, "error_text": text}
    if kind == "i":
        return wire.encode(wire.IncrementResult(**said, action_code=_NOT_HONOURED))
    numbered = said | {"acquirer": settings.acquirer, "action_code": _NOT_HONOURED}
    if kind == "c":
        return wire.encode(wire.CaptureResult(**numbered))
    if kind == "H":
        return wire.encode(wire.CardVerificationResult(**numbered))
    assert kind == "S", "all others are refused with NAK"
    return wire.encode(wire.ReversalResult(**numbered))


def _block(job: Job, transaction: Transaction, settings: Settings) -> dict[str, Any]:
    """What all results have."""
    outcome = transaction.outcome
    said: dict[str, Any] = {
        "tid": job.memo.tid,
        "stan": stan_of(job, transaction),
        "acquirer": settings.acquirer,
        "card_type": _card_type(outcome.brand if outcome else ""),
    }
    if outcome is None or outcome.verdict is not Verdict.APPROVED:
        code, text = _refused(job, transaction)
        return said | {"result": code, "error_text": text}
    return said | {
        "result": ResultCode.OK,
        "last_four": outcome.card_last4 if _is_number(outcome.card_last4, 4) else "",
        "transaction_type": _entry(outcome.entry_mode),
        "authorisation_code": fitted(outcome.authorisation_code, 6),
        "host_time": _host_time(transaction),
    }


def _refused(job: Job, transaction: Transaction) -> tuple[ResultCode, str]:
    outcome, proof = transaction.outcome, transaction.proof
    if outcome is None:
        if transaction.state is not State.CANCELLED:
            text = NOT_SENT if proof is None else _NOT_DONE.get(proof, NOT_SENT)
            return ResultCode.KO, text
        return ResultCode.KO, NO_DATA if job.memo.announced else CANCELLED
    no_card = outcome.cause is Cause.NO_CARD
    default = DECLINED if outcome.verdict is Verdict.DECLINED else CANCELLED
    text = fitted(outcome.reason, ERROR_TEXT) or (NO_CARD if no_card else default)
    promised = no_card and job.memo.card_present
    return ResultCode.NO_CARD if promised else ResultCode.KO, text


def stan_of(job: Job, transaction: Transaction) -> str:
    """The terminal's own, its last six digits; the lane's where the terminal tells none."""
    outcome = transaction.outcome
    stan = (outcome.stan if outcome else "")[-6:]
    if not (stan.isascii() and stan.isdigit() and stan.strip("0")):
        return job.stan
    return stan.zfill(6)


def _action(outcome: Outcome | None) -> str:
    if outcome is None:
        return _NOT_HONOURED
    approved = outcome.verdict is Verdict.APPROVED
    return _ACTIONS.get(outcome.response_code, "000" if approved else _NOT_HONOURED)


def _card_type(brand: str) -> str:
    if not brand:
        return CardType.OTHER
    known = brand.upper().replace(" ", "_") in _BANCOMAT
    return CardType.BANCOMAT if known else CardType.CREDIT


def _host_time(transaction: Transaction) -> HostTime:
    outcome = transaction.outcome
    at = (outcome.at if outcome else None) or transaction.ended_at or transaction.created_at
    return host_time(at, transaction.heading.time_zone)


def host_time(at: Instant, time_zone: str) -> HostTime:
    """A moment as a host in this zone tells it."""
    moment = local(at, time_zone)
    return HostTime(moment.timetuple().tm_yday, moment.hour, moment.minute)


def local_time(at: Instant, time_zone: str) -> datetime:
    """A moment on a clock in this zone, to the minute; the protocol knows no zone."""
    return local(at, time_zone).replace(tzinfo=None, second=0, microsecond=0)


def verification(
    card: CardRead, tid: str, number: int, at: Instant, time_zone: str, settings: Settings
) -> bytes:
    """The payload of the result of a card verification. `number` is the lane's for it."""
    return wire.encode(
        wire.CardVerificationResult(
            tid=tid,
            result=ResultCode.OK,
            last_four=card.card_last4 if _is_number(card.card_last4, 4) else "",
            transaction_type=_entry(card.entry_mode),
            host_time=host_time(at, time_zone),
            card_type=_card_type(card.brand),
            acquirer=settings.acquirer,
            stan=lane_stan(number),
        )
    )


def _entry(mode: EntryMode | None) -> str:
    return _ENTRY[mode] if mode else ""


def _conversion(outcome: Outcome | None) -> dict[str, Any]:
    """What the customer's account was charged; empty when that is not known to fit."""
    conversion = outcome.conversion if outcome else None
    if conversion is None:
        return {}
    rate, amount = round(Decimal(conversion.rate), 4), conversion.amount
    if not 0 < rate < 10_000 or not 0 <= amount.minor < 10**12:
        return {}
    return {
        "converted": True,
        "rate": rate,
        "currency": amount.currency,
        "converted_amount": amount.minor,
        "decimals": CURRENCIES[amount.currency].exponent,
    }


def net_of(rows: tuple[TotalsRow, ...], currency: str) -> int:
    """Minor units that rows of totals come to, what is only reserved left out."""
    ours = [row for row in rows if row.currency == currency]
    taken = sum(row.amount for row in ours if row.kind in _IN)
    return taken - sum(row.amount for row in ours if row.kind in _OUT)


def _is_number(text: str, places: int) -> bool:
    return len(text) == places and text.isascii() and text.isdigit()
