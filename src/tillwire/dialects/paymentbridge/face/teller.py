"""What callers are told, written in the commit of what it tells: callbacks of a terminal, and
deliveries to hooks (source 000).

RECEIVED and STARTED come from the terminal's signs of life; where it gave none, they go with the
last callback, which implies them. UNKNOWN says nothing: whoever hears nothing looks at the list,
where the transaction is CREATED, and hears the end once there is one. What provably never reached
a terminal is not told, either, just as a message whose ttl has passed.

How a transaction's callbacks are written was fixed when it was accepted (`Notes`), so they stay as
they are whatever the settings are later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID, uuid5

import msgspec
import structlog

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Hook
from tillwire.core.letters import CALLBACK, HOOK, Letter
from tillwire.core.model import State, Transaction, TransactionType
from tillwire.core.ports import Vault
from tillwire.dialects.paymentbridge.face import transactions
from tillwire.dialects.paymentbridge.face.places import device_at
from tillwire.dialects.paymentbridge.wire import hooks, ids, objects, reading, status
from tillwire.dialects.paymentbridge.wire.fields import stamp
from tillwire.errors import JournalError, Proof, TillwireError

FACE: Final = "paymentbridge"
PAUSES: Final = (5.0, 10.0)
"""Seconds before the second and third try of a callback (source 000's terminals)."""
PATIENCE: Final = 3.0
"""Seconds in which a callback is to be answered with 200."""
HOOK_PAUSES: Final = (10.0, 60.0, 300.0, 1800.0, 7200.0)
HOOK_PATIENCE: Final = 2.0

_APP: Final = "co.poynt.services"
"""The vendor's name for the program on the terminal that takes cloud messages."""
_EVENTS: Final = UUID("d5a0a3e4-2f0e-5bd0-9d39-6f1e3cde0b52")
"""The name space of events' ids."""
_FINAL: Final = "FINAL"
_T = TransactionType
_log = structlog.get_logger()


class Notes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a transaction's callbacks repeat, and how they are written: `Callback.detail`."""

    reference: str = ""
    action: str = ""
    order_id: str = ""
    text: str = ""
    """The cashier's notes."""
    style: str = "nexi"
    gzip: str = ""
    purchase_action: str = "SALE"
    original: str = ""
    """Of a void: what is voided, in JSON, as it was before."""
    drop: str = ""
    """Mischief: callbacks that are never sent, with commas; so are the other ones below."""
    twice: str = ""
    reversed: str = ""
    delay: str = ""
    """Seconds."""

    def detail(self) -> Mapping[str, str]:
        """As it is journaled."""
        kept: dict[str, str] = msgspec.to_builtins(self)
        return kept


class Sealed(msgspec.Struct, frozen=True):
    """What is sealed in a hook: `Hook.sealed_secret`."""

    secret: str
    base: str
    """The address of the face as its owner calls it: links in deliveries begin with it."""
    address: str = ""
    """Where its deliveries go, which may have a token in it. Empty: as in `Hook.address`."""


def opened(hook: Hook, vault: Vault) -> Sealed:
    """What is sealed in the hook, with its address. Raises `JournalError`, and what the vault
    does."""
    try:
        found = msgspec.json.decode(vault.open(hook.sealed_secret), type=Sealed)
    except msgspec.MsgspecError:
        raise JournalError("What is sealed in the hook is of no use.") from None
    return found if found.address else msgspec.structs.replace(found, address=hook.address)


class BridgeTeller:
    """Writes the letters of this dialect."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def letters(
        self, before: Transaction | None, after: Transaction, event: str, estate: Estate
    ) -> Sequence[Letter]:
        """As `letters.Teller`."""
        found: list[Letter] = []
        if after.callback is not None and after.callback.face == FACE and before is not None:
            found += _callbacks(before, after, estate)
        if (kind := _hook_event(before, after, event)) is not None:
            found += self._deliveries(after, kind, estate)
        return found

    def _deliveries(self, after: Transaction, kind: str, estate: Estate) -> Iterator[Letter]:
        for hook in estate.hooks_for(after.heading.store_id, FACE):
            if kind not in hook.events:
                continue
            try:
                yield self._delivery(hook, after, kind, estate)
            except Exception as error:  # noqa: BLE001 - what else is told must not be lost with it
                reason = error.detail if isinstance(error, TillwireError) else type(error).__name__
                _log.error("a hook cannot be told", hook=hook.id, reason=reason)

    def _delivery(self, hook: Hook, after: Transaction, kind: str, estate: Estate) -> Letter:
        sealed = opened(hook, self._vault)
        at = transactions.updated_at(after)
        of = _subject(after)
        business = ids.business_id(hook.merchant_id)
        body = reading.encode(
            hooks.Event(
                id=str(uuid5(_EVENTS, f"{hook.id} {kind} {after.id} {after.version}")),
                hook_id=hook.id,
                application_id=hook.application_id,
                business_id=business,
                store_id=after.heading.store_id,
                device_id=device_at(estate, after.terminal_id, after.created_at),
                event_type=kind,
                resource="/transactions",
                resource_id=of,
                created_at=stamp(at),
                updated_at=stamp(at),
                links=(
                    objects.Link(
                        href=f"{sealed.base}/businesses/{business}/transactions/{of}",
                        rel="resource",
                        method="GET",
                    ),
                ),
            )
        )
        headers = {}
        if sealed.secret:
            headers[hooks.SIGNATURE_HEADER] = hooks.signature(sealed.secret, body)
        destination = msgspec.json.encode({"url": sealed.address, "headers": headers}).decode()
        return Letter(
            transaction_id=after.id,
            organisation_id=hook.organisation_id,
            channel=HOOK + hook.id,
            kind=kind,
            sealed=self._vault.seal(destination),
            body=body,
            created_at=at,
            due_at=at,
            pauses=HOOK_PAUSES,
            patience=HOOK_PATIENCE,
        )


def _subject(after: Transaction) -> str:
    """The transaction that an event is about: of an increment, what it raises."""
    of = after.original_id if after.type is _T.INCREMENT else after.id
    return ids.transaction_uuid(of or after.id)


def _hook_event(before: Transaction | None, after: Transaction, event: str) -> str | None:
    """Which of the vendor's events a move is, if any."""
    if event == "reverse":
        return "TRANSACTION_VOIDED"
    if before is None or before.is_final or after.type is _T.REVERSAL:
        return None
    if after.state is State.DECLINED:
        return None if after.type is _T.INCREMENT else "TRANSACTION_DECLINED"
    if after.state is not State.APPROVED:
        return None
    if after.type is _T.PURCHASE and after.callback is not None:
        as_what = after.callback.detail.get("purchase_action")
        return "TRANSACTION_AUTHORIZED" if as_what == "AUTHORIZE" else "TRANSACTION_CAPTURED"
    return {
        _T.PREAUTH: "TRANSACTION_AUTHORIZED",
        _T.REFUND: "TRANSACTION_REFUNDED",
        _T.INCREMENT: "TRANSACTION_UPDATED",
    }.get(after.type, "TRANSACTION_CAPTURED")


# --- callbacks ----------------------------------------------------------------------------------


def _callbacks(before: Transaction, after: Transaction, estate: Estate) -> Iterator[Letter]:
    assert after.callback is not None, "the caller has looked"
    notes = msgspec.convert(after.callback.detail, Notes)
    dropped = notes.drop.split(",")
    for kind, body in _told(before, after, estate, notes):
        if kind.lower() in dropped:
            continue
        yield _letter(after, kind, body, notes)
        if kind == _FINAL and notes.twice:
            yield _letter(after, kind, body, notes)


def _told(
    before: Transaction, after: Transaction, estate: Estate, notes: Notes
) -> list[tuple[str, bytes]]:
    """What is told of a move, in its order."""
    final = _final(before, after, estate, notes)
    processed = final is not None and after.outcome is not None
    style = status.KeyStyle(notes.style)
    received = (status.RECEIVED, status.opening(status.RECEIVED, notes.reference, style))
    started = (status.STARTED, status.opening(status.STARTED, notes.reference, style))
    if notes.reversed:
        return [] if final is None else [(_FINAL, final), started, received]
    found: list[tuple[str, bytes]] = []
    if _is_there(after, processed=processed) and not _is_there(before):
        found.append(received)
    if (after.started_at is not None or processed) and before.started_at is None:
        found.append(started)
    if final is not None:
        found.append((_FINAL, final))
    return found


def _is_there(known: Transaction, *, processed: bool = False) -> bool:
    """Whether the terminal has got it, by its own word or since it worked on it."""
    return processed or known.received_at is not None or known.started_at is not None


def _final(before: Transaction, after: Transaction, estate: Estate, notes: Notes) -> bytes | None:
    """The body of the last callback; None when none is due."""
    if before.is_final or not after.is_final:
        return None
    if after.state is State.FAILED:
        # Where RECEIVED was told, somebody waits for more.
        told = _is_there(before) or after.proof is Proof.REFUSED_BY_PEER
        return minimal(notes.reference, "FAILED") if told else None
    if after.outcome is None:
        return None
    if after.state is State.CANCELLED:
        return minimal(notes.reference, "CANCELED")
    return reading.encode(_payment(after, estate, notes))


def minimal(reference: str, word: str, why: str = "") -> bytes:
    """The body of a last callback without any transaction."""
    payment = objects.Payment(reference_id=reference, status=word, notes=why or None)
    return reading.encode(payment)


def _payment(after: Transaction, estate: Estate, notes: Notes) -> objects.Payment:
    terms = after.terms
    if notes.original:
        original = reading.exact(objects.Transaction, notes.original.encode())
        made = _voided(original, after)
    else:
        made = transactions.shown(after, estate, notes.purchase_action)
    return objects.Payment(
        reference_id=notes.reference,
        status="PROCESSED",
        action=made.action,
        amount=after.amount.minor - terms.tip - terms.cash_back,
        tip_amount=terms.tip,
        cashback_amount=terms.cash_back,
        currency=after.amount.currency,
        references=(objects.Reference.of(notes.reference),) if notes.reference else (),
        order_id=notes.order_id or None,
        notes=notes.text or None,
        caller_package_name=_APP,
        authz_only=after.type is _T.PREAUTH,
        non_referenced_credit=after.type is _T.REFUND and after.original_id is None,
        tid=after.heading.tid or None,
        transactions=(made,),
    )


def _voided(original: objects.Transaction, void: Transaction) -> objects.Transaction:
    """What a void's callback has: the original as it is now, or the try that was declined."""
    assert void.ended_at is not None, "it has ended"
    if void.state is State.APPROVED:
        return transactions.voided(original, void.ended_at)
    return transactions.refused_void(original, void)


def _letter(after: Transaction, kind: str, body: bytes, notes: Notes) -> Letter:
    assert after.callback is not None, "the caller has looked"
    moments = (after.ended_at, after.started_at, after.received_at)
    at = next(each for each in moments if each is not None)
    return callback_letter(
        body,
        kind=kind,
        sealed=after.callback.sealed,
        organisation_id=after.organisation_id,
        at=at,
        delay=float(notes.delay or 0),
        packed=bool(notes.gzip),
        transaction_id=after.id,
    )


def callback_letter(
    body: bytes,
    *,
    kind: str,
    sealed: str,
    organisation_id: str,
    at: Instant,
    delay: float,
    packed: bool,
    transaction_id: str | None = None,
) -> Letter:
    """One callback, which goes out `delay` seconds after `at`."""
    return Letter(
        transaction_id=transaction_id,
        organisation_id=organisation_id,
        channel=CALLBACK,
        kind=kind,
        sealed=sealed,
        body=body,
        gzip=packed,
        created_at=at,
        due_at=Instant(at + round(delay * 1000)),
        pauses=PAUSES,
        patience=PATIENCE,
    )
