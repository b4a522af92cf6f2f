"""Rows <-> values: how each value of the two models in `core/` lies in its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Table

from tillwire.clock import Instant
from tillwire.core.estate_model import (
    ApiKey,
    Application,
    ClientApp,
    Device,
    FormerSecret,
    Hook,
    Lifecycle,
    Merchant,
    Organisation,
    PairingCode,
    Register,
    SealedKey,
    Store,
    Terminal,
)
from tillwire.core.letters import Letter, LetterState
from tillwire.core.model import (
    Callback,
    Discrepancy,
    Event,
    Exchange,
    Heading,
    Outcome,
    Session,
    State,
    Terms,
    Transaction,
    TransactionType,
)
from tillwire.core.totals import Closing, Ending, TotalsRow
from tillwire.errors import Proof
from tillwire.journal import tables
from tillwire.money import Money

Row = Sequence[Any]
S = TypeVar("S", bound=msgspec.Struct)

_encode = msgspec.json.Encoder().encode
_heading = msgspec.json.Decoder(Heading)
_outcome = msgspec.json.Decoder(Outcome)
_terms = msgspec.json.Decoder(Terms)
_callback = msgspec.json.Decoder(Callback)
_totals = msgspec.json.Decoder(tuple[TotalsRow, ...])
_peer = msgspec.json.Decoder(dict[str, str])
_texts = msgspec.json.Decoder(tuple[str, ...])
_former_secrets = msgspec.json.Decoder(tuple[FormerSecret, ...])
_pauses = msgspec.json.Decoder(tuple[float, ...])
_detail = msgspec.json.Decoder(dict[str, Any])
_NO_TERMS: Final = Terms()
_STATES: Final = {state.value: state for state in State}
_TYPES: Final = {kind.value: kind for kind in TransactionType}

ESTATE_TABLES: Final[dict[type[msgspec.Struct], Table]] = {
    Organisation: tables.organisations,
    ApiKey: tables.api_keys,
    Merchant: tables.merchants,
    Store: tables.stores,
    Terminal: tables.terminals,
    Device: tables.devices,
    Application: tables.applications,
    Hook: tables.hooks,
    Register: tables.registers,
    ClientApp: tables.client_apps,
    SealedKey: tables.sealed_keys,
}

_LETTER: Final = tuple(tables.letters.columns.keys())
_EXCHANGE: Final = tuple(tables.exchanges.columns.keys())

MOVING_COLUMNS: Final = (
    "version", "state", "token", "terms", "sent_at", "send_by", "deadline", "started_at", "peer",
    "outcome", "proof", "ended_at", "cleared_at", "reversed_at", "received_at",
)  # fmt: skip
"""The columns of a transaction that change after it was accepted."""

SETTLED_COLUMNS: Final = ("tries", "state", "due_at", "settled_at", "trouble")
"""The columns of a letter that change with a try to deliver it."""


def json_text(value: object) -> str:
    """JSON as it lies in a text column."""
    return _encode(value).decode()


def insert_values(transaction: Transaction) -> dict[str, Any]:
    """Every column of a new transaction."""
    return {
        "id": transaction.id,
        "organisation_id": transaction.organisation_id,
        "terminal_id": transaction.terminal_id,
        "dialect": transaction.dialect,
        "type": transaction.type.value,
        "amount": transaction.amount.minor,
        "currency": transaction.amount.currency,
        "reference": transaction.reference,
        "heading": json_text(transaction.heading),
        "created_at": transaction.created_at,
        "original_id": transaction.original_id,
        "partial_allowed": int(transaction.partial_allowed),
        "register": transaction.register,
        "waits": int(transaction.waits),
        "expires_at": transaction.expires_at,
        "callback": json_text(transaction.callback) if transaction.callback else None,
        **moving_values(transaction),
    }


def moving_values(transaction: Transaction) -> dict[str, Any]:
    """The columns of a transaction that change."""
    return {
        "version": transaction.version,
        "state": transaction.state.value,
        "token": transaction.token,
        "terms": None if transaction.terms == _NO_TERMS else json_text(transaction.terms),
        "sent_at": transaction.sent_at,
        "send_by": transaction.send_by,
        "deadline": transaction.deadline,
        "started_at": transaction.started_at,
        "peer": json_text(transaction.peer) if transaction.peer else None,
        "outcome": json_text(transaction.outcome) if transaction.outcome else None,
        "proof": transaction.proof.value if transaction.proof else None,
        "ended_at": transaction.ended_at,
        "cleared_at": transaction.cleared_at,
        "reversed_at": transaction.reversed_at,
        "received_at": transaction.received_at,
    }


def transaction(row: Row) -> Transaction:
    """A transaction from a row with the columns of its table, in their order."""
    (
        id_, version, organisation_id, terminal_id, dialect, type_, state, amount, currency,
        reference, heading, created_at, original_id, partial_allowed, register, waits, expires_at,
        token, sent_at,
        send_by, deadline, started_at, peer, outcome, proof, ended_at, cleared_at, reversed_at,
        terms, callback, received_at,
    ) = row  # fmt: skip
    return Transaction(
        id=id_,
        version=version,
        organisation_id=organisation_id,
        terminal_id=terminal_id,
        dialect=dialect,
        type=_TYPES[type_],
        state=_STATES[state],
        amount=Money(amount, currency),
        reference=reference,
        heading=_heading.decode(heading),
        created_at=created_at,
        original_id=original_id,
        partial_allowed=bool(partial_allowed),
        register=register,
        waits=bool(waits),
        expires_at=expires_at,
        token=token,
        sent_at=sent_at,
        send_by=send_by,
        deadline=deadline,
        started_at=started_at,
        peer=_peer.decode(peer) if peer else {},
        outcome=_outcome.decode(outcome) if outcome else None,
        proof=Proof(proof) if proof else None,
        ended_at=ended_at,
        cleared_at=cleared_at,
        reversed_at=reversed_at,
        terms=_terms.decode(terms) if terms else _NO_TERMS,
        callback=_callback.decode(callback) if callback else None,
        received_at=received_at,
    )


def event_values(event: Event) -> dict[str, Any]:
    """The columns of a new event; its position is the database's to give."""
    return {
        "transaction_id": event.transaction_id,
        "sequence": event.sequence,
        "name": event.name,
        "state": event.state.value,
        "at": event.at,
        "detail": json_text(event.detail) if event.detail else "{}",
    }


def event(row: Row) -> Event:
    """An event from a row of its table."""
    position, transaction_id, sequence, name, state, at, detail = row
    return Event(
        transaction_id=transaction_id,
        sequence=sequence,
        name=name,
        state=_STATES[state],
        at=Instant(at),
        detail=_detail.decode(detail),
        position=position,
    )


def discrepancy(row: Row) -> Discrepancy:
    """A discrepancy from a row of its table."""
    number, transaction_id, at, known, heard, closed_at, closed_by, reason, kind, key, source = row
    return Discrepancy(
        id=number,
        transaction_id=transaction_id,
        at=at,
        known=known,
        heard=heard,
        closed_at=closed_at,
        closed_by=closed_by,
        reason=reason,
        kind=kind,
        key=key,
        source=source,
    )


def exchange_values(exchange: Exchange) -> dict[str, Any]:
    """The columns of a new exchange; its id is the database's to give."""
    values = msgspec.structs.asdict(exchange)
    del values["id"]
    return values


def exchange(row: Row) -> Exchange:
    """An exchange from a row of its table."""
    return Exchange(**dict(zip(_EXCHANGE, row, strict=True)))


def letter_values(letter: Letter) -> dict[str, Any]:
    """The columns of a letter; the id of a new one is the database's to give."""
    values = msgspec.structs.asdict(letter)
    del values["id"]
    return {
        **values,
        "gzip": int(letter.gzip),
        "pauses": json_text(letter.pauses),
        "patience": str(letter.patience),
        "state": letter.state.value,
    }


def letter(row: Row) -> Letter:
    """A letter from a row of its table."""
    values = dict(zip(_LETTER, row, strict=True))
    values["body"] = bytes(values["body"])
    values["gzip"] = bool(values["gzip"])
    values["pauses"] = _pauses.decode(values["pauses"])
    values["patience"] = float(values["patience"])
    values["state"] = LetterState(values["state"])
    return Letter(**values)


def session_values(session: Session) -> dict[str, Any]:
    """The columns of a session."""
    return {**msgspec.structs.asdict(session), "detail": json_text(session.detail)}


def session(row: Row) -> Session:
    """A session from a row of its table."""
    terminal_id, dialect, register, opened_at, detail = row
    return Session(
        terminal_id=terminal_id,
        dialect=dialect,
        register=register,
        opened_at=opened_at,
        detail=_peer.decode(detail),
    )


def closing_values(closing: Closing) -> dict[str, Any]:
    """The columns of a closing."""
    values = msgspec.structs.asdict(closing)
    return {**values, "totals": json_text(values.pop("rows"))}


def closing(row: Row) -> Closing:
    """A closing from a row of its table."""
    terminal_id, number, opened_at, closed_at, position, ended, totals = row
    return Closing(
        terminal_id=terminal_id,
        number=number,
        opened_at=opened_at,
        closed_at=closed_at,
        position=position,
        ended=ended,
        rows=_totals.decode(totals),
    )


class _Counted(msgspec.Struct):
    """What totals want of an outcome."""

    approved_amount: int = 0
    brand: str = ""


_counted = msgspec.json.Decoder(_Counted)


def ending(row: Row) -> Ending:
    """How a transaction ended, from a row of the statement of this name."""
    type_, state, asked, currency, register, terms, outcome, original_type = row
    counted = _counted.decode(outcome) if outcome else _Counted()
    return Ending(
        type=_TYPES[type_],
        state=_STATES[state],
        asked=asked,
        approved=counted.approved_amount,
        currency=currency,
        brand=counted.brand,
        register=register,
        terms=_terms.decode(terms) if terms else _NO_TERMS,
        original_type=_TYPES[original_type] if original_type else None,
    )


def estate_values(thing: msgspec.Struct) -> dict[str, Any]:
    """The columns of a thing of the estate; they are named as its fields are."""
    return {name: _column(getattr(thing, name)) for name in thing.__struct_fields__}


def _column(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool):
        return int(value)
    return json_text(value) if isinstance(value, Mapping | tuple) else value


def estate_thing(kind: type[S], row: Row) -> S:
    """A thing of the estate from a row of its table."""
    names = ESTATE_TABLES[kind].columns.keys()
    values = dict(zip(names, row, strict=True))
    if "lifecycle" in values:
        values["lifecycle"] = Lifecycle(values["lifecycle"])
    if "settings" in values:
        values["settings"] = _detail.decode(values["settings"])
    for listed in ("permissions", "events", "redirect_uris", "tids"):
        if listed in values:
            values[listed] = _texts.decode(values[listed])
    if "former_secrets" in values:
        written = values["former_secrets"]
        values["former_secrets"] = _former_secrets.decode(written) if written else ()
    if "detail" in values:
        values["detail"] = _peer.decode(values["detail"])
    if "active" in values:
        values["active"] = bool(values["active"])
    for binary in ("digest", "device_digest", "secret_digest", "certificate_digest"):
        if values.get(binary) is not None:
            values[binary] = bytes(values[binary])
    return kind(**values)


def pairing_code(row: Row) -> PairingCode:
    """A pairing code from a row of its table."""
    digest, terminal_id, created_at, expires_at = row
    return PairingCode(
        digest=bytes(digest),
        terminal_id=terminal_id,
        created_at=created_at,
        expires_at=expires_at,
    )
