"""Whose the rows of the cloud's list are: which of them are of one transaction, of which of ours,
and at which terminal. Pure.

A row is the terminal's when the journal says that it is one of ours, else by its TID, else by the
device (which may stand elsewhere by now), else by what it follows; a row of which nothing tells is
nobody's. It is named by our reference, and where the cloud has none of it by the id that the
journal remembers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from tillwire.core.model import State, Transaction, TransactionType
from tillwire.dialects.paymentbridge.driver.listed import Group, created, kind_of
from tillwire.dialects.paymentbridge.driver.orders import HANDLE
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.dialects.paymentbridge.wire.fields import moment
from tillwire.dialects.paymentbridge.wire.objects import REFERENCE_TYPE
from tillwire.dialects.paymentbridge.wire.objects import Transaction as Listed
from tillwire.dialects.paymentbridge.wire.places import StoreDevice

_T = TransactionType
_PAYING: Final = {_T.PURCHASE, _T.PREAUTH}


class Lanes:
    """Which device stood under which TID, and when."""

    def __init__(self, devices: Iterable[StoreDevice]) -> None:
        self._tids: set[str] = set()
        self._stood: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for each in devices:
            if each.external_terminal_id:
                self._tids.add(each.external_terminal_id)
                if each.device_id:
                    since = moment(each.activated_at)
                    place = -1 if since is None else since, each.external_terminal_id
                    self._stood[each.device_id.lower()].append(place)
        for places in self._stood.values():
            places.sort()

    def tid(self, row: Listed) -> str:
        """The TID under which it was done; empty if it does not tell."""
        if row.context is None:
            return ""
        told = (row.context.tid or "").strip()
        places = self._stood.get((row.context.store_device_id or "").lower())
        if told in self._tids or not places:
            return told
        at = created(row)
        earlier = [tid for since, tid in places if at is None or since <= at]
        return earlier[-1] if earlier else places[0][1]


class Known:
    """What the journal has of a terminal."""

    def __init__(self, by_id: Mapping[str, Transaction]) -> None:
        self._by_id = by_id
        self._by_handle: dict[str, Transaction] = {}
        self._nameless: dict[str, list[Transaction]] = defaultdict(list)
        for each in by_id.values():
            if each.type is _T.REVERSAL:
                continue  # what it quotes is its original's
            for name in handles(each):
                self._by_handle[name] = each
            if each.type is _T.CAPTURE and not handles(each) and may_have_done_it(each):
                self._nameless[each.peer.get("original", "").lower()].append(each)

    def has(self, name: str) -> bool:
        """Whether there is one of this id."""
        return name in self._by_id

    def ours(self, row: Listed) -> Transaction | None:
        """Which one the row is of."""
        if found := self._by_handle.get((row.id or "").lower()):
            return found
        kind = kind_of(row)
        for name in decoded(row):
            found = self._by_id.get(name)
            # A capture may have its reservation's reference.
            if found is not None and (kind in (None, found.type) or {kind, found.type} == _PAYING):
                return found
        return None

    def capture(self, row: Listed) -> Transaction | None:
        """Which capture the row can be, if there is only one: their requests have no place for a
        reference."""
        total = row.amounts.transaction_amount if row.amounts else None
        found = self._nameless[(row.parent_id or "").lower()]
        return found[0] if len(found) == 1 and found[0].amount.minor == total else None


class Sorting:
    """Puts together what is of one transaction. Pure."""

    def __init__(
        self,
        rows: Mapping[str, Listed],
        originals: Mapping[str, Listed],
        known: Known,
        strange: frozenset[str],
        lanes: Lanes,
        tid: str,
    ) -> None:
        """`strange` are the ids of rows that are another terminal's."""
        self._rows = rows
        self._originals = originals
        self._known = known
        self._strange = strange
        self._lanes = lanes
        self._tid = tid
        self._captures: dict[str, list[Listed]] = defaultdict(list)
        """By the id of what they follow."""
        for each in rows.values():
            if is_capture(each) and each.parent_id:
                self._captures[each.parent_id.lower()].append(each)

    def groups(self) -> list[Group]:
        """Those of the terminal."""
        found: dict[str, tuple[Transaction | None, list[Listed]]] = {}
        for row in self._rows.values():
            ours = self._ours(row)
            if (ours is None and not self._is_here(row)) or self._is_of_a_sale(row):
                continue
            key = ours.id if ours else f"{_name(row, self._known, None)} {kind_of(row)}"
            found.setdefault(key, (ours, []))[1].append(row)
        return [self._group(ours, rows) for ours, rows in found.values()]

    def has_captures(self, group: Group) -> bool:
        """Whether what was captured of it has rows of its own."""
        return any(self._captures.get((each.id or "").lower()) for each in group.rows)

    def _group(self, ours: Transaction | None, rows: list[Listed]) -> Group:
        rows.sort(key=lambda each: (created(each) or 0, each.id or ""))
        last = rows[-1]
        kind = ours.type if ours else kind_of(last)
        captures = (
            [one for each in rows for one in self._captures.get((each.id or "").lower(), ())]
            if kind is _T.PURCHASE
            else []
        )
        return Group(
            rows=tuple(rows),
            captures=tuple(captures),
            kind=kind,
            name=_name(last, self._known, ours),
            ours=ours,
            reference=ours.reference if ours else _reference(last),
            original=(ours.original_id or "") if ours else self._name_of_original(last),
            tid=self._lanes.tid(last),
        )

    def _name_of_original(self, row: Listed) -> str:
        parent = self._parent(row)
        return (
            _name(parent, self._known, self._known.ours(parent)) if parent else row.parent_id or ""
        )

    def _ours(self, row: Listed) -> Transaction | None:
        found = self._known.ours(row)
        if found is not None or not is_capture(row):
            return found
        siblings = self._captures.get((row.parent_id or "").lower(), [])
        nameless = [each for each in siblings if self._known.ours(each) is None]
        return self._known.capture(row) if len(nameless) == 1 else None

    def _parent(self, row: Listed) -> Listed | None:
        name = (row.parent_id or "").lower()
        return self._rows.get(name) or self._originals.get(name)

    def _is_here(self, row: Listed) -> bool:
        if (row.id or "").lower() in self._strange:
            return False
        if tid := self._lanes.tid(row):
            return tid == self._tid
        parent = self._parent(row)
        if parent is None:
            return False
        return self._known.ours(parent) is not None or self._lanes.tid(parent) == self._tid

    def _is_of_a_sale(self, row: Listed) -> bool:
        """Whether it captures a sale, which is told where that stands, and no reservation."""
        if not is_capture(row) or self._known.ours(row) is not None:
            return False
        parent = self._parent(row)
        return parent is not None and kind_of(parent) is _T.PURCHASE


def decoded(row: Listed) -> list[str]:
    """The ids of transactions, as we give them to our references, that it has."""
    found = (ids.transaction_of(each.id or "") for each in row.references)
    return [each for each in found if each]


def handles(transaction: Transaction) -> list[str]:
    """What the cloud calls it, in small letters, by the journal."""
    outcome = transaction.outcome
    return outcome.handle.get(HANDLE, "").lower().split() if outcome else []


def may_be_at(tid: str, row: Listed, lanes: Lanes) -> bool:
    """Whether it may be of the terminal at this TID; more than its context may say that."""
    return lanes.tid(row) in ("", tid) or bool(row.parent_id) or bool(decoded(row))


def _name(row: Listed, known: Known, ours: Transaction | None) -> str:
    """Our id if it is told, be it of a journal that is lost; else the cloud's."""
    told = decoded(row)
    if ours is not None and ours.id in told:
        return ours.id
    return next((each for each in told if not known.has(each)), row.id or "")


def _reference(row: Listed) -> str:
    """What its till calls it."""
    return next(
        (each.id or "" for each in row.references if each.custom_type == REFERENCE_TYPE), ""
    )


def is_capture(row: Listed) -> bool:
    return kind_of(row) is _T.CAPTURE


def may_have_done_it(transaction: Transaction) -> bool:
    """Whether it was sent, and not in vain for all that is known."""
    is_open = not transaction.is_final and transaction.sent_at is not None
    return is_open or transaction.state is State.APPROVED
