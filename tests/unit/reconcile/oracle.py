"""The comparison said again, row by row and without a database: what DuckDB finds is held to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tillwire.clock import Instant
from tillwire.core.model import TransactionType
from tillwire.money import Money, from_text
from tillwire.reconcile.facts import HELD, MOVED, NOTHING, OPEN, REVERSED, Window
from tillwire.reconcile.match import GATEWAY, LABELS, NEAR
from tillwire.reconcile.profiles import Key, Status
from tillwire.reconcile.results import Kind, Result, Seen, compare
from tillwire.reconcile.sides import Origin
from tillwire.reconcile.sources import Row, cut

Rows = Mapping[str, Sequence[Row]]
Told = tuple[tuple[Kind, ...], tuple[tuple[str, int], ...]]
"""The kinds of a result, and the rows that it is of."""
_ANY: Final = Origin("", 1)
_DAY: Final = 86_400_000


@dataclass(eq=False)
class Line:
    """A row, and what it says."""

    label: str
    number: int
    row: Row
    seen: Seen
    keys: Mapping[Key, str | None]

    @property
    def facts(self) -> tuple[object, ...]:
        """Two rows of which these are the same agree."""
        counts = self.seen.meaning in (MOVED, HELD, REVERSED)
        minor = self.seen.amount.minor if counts else 0
        return minor, self.seen.amount.currency, self.seen.meaning, self.seen.back

    def key(self, key: Key) -> tuple[object, ...] | None:
        """What a row must have in common with another one; None when it has nothing."""
        found = self.keys[key]
        return None if found is None else (found,) if key is Key.ID else (found, self.seen.back)

    def first(self, keys: Sequence[Key]) -> str | None:
        """The strongest of these; a card number is none, before it is cut."""
        if keys[0] is Key.REFERENCE and cut(self.row.reference) != self.row.reference:
            return None
        return self.keys[keys[0]]

    @property
    def order(self) -> tuple[object, ...]:
        """The first of several."""
        row = self.row
        texts = (row.acquirer_reference, cut(row.reference), row.stan, row.authorisation_code)
        names = (row.transaction_id, row.original_id, row.terminal, row.tid)
        empty_last = tuple((not text, text) for text in (*texts, row.card_last4, *names))
        kind, status = (
            list(words).index(word)
            for words, word in ((TransactionType, self.seen.type), (Status, self.seen.status))
        )
        return (self.seen.at, empty_last, kind, status, self.seen.amount.minor, self.number)


def line(label: str, number: int, row: Row, window: Window) -> Line:
    """A row as it is read."""
    kind, status = TransactionType(row.type), Status(row.status)
    back = kind in (TransactionType.REFUND, TransactionType.REVERSAL)
    if status is Status.APPROVED:
        held = kind in (TransactionType.PREAUTH, TransactionType.INCREMENT)
        meaning = HELD if held else REVERSED if kind is TransactionType.REVERSAL else MOVED
    else:
        meaning = {Status.REVERSED: REVERSED, Status.UNKNOWN: OPEN}.get(status, NOTHING)
    at = Instant(int(datetime.fromisoformat(row.at).timestamp() * 1000))
    inside = window.begin <= at < window.end
    amount = from_text(row.amount, row.currency, "amount")
    money = amount if isinstance(amount, Money) else Money(amount, row.currency)
    seen = Seen(number, kind, status, money, at, at // _DAY, inside, meaning, back, {})
    trace = f"{row.tid.lower()}|{row.stan.zfill(6)}|{row.authorisation_code.zfill(6)}"
    keys = {
        Key.ID: row.transaction_id or None,
        Key.REFERENCE: (row.reference and f"{cut(row.reference)}|{row.tid.lower()}") or None,
        Key.ACQUIRER_REFERENCE: row.acquirer_reference or None,
        Key.TRACE: trace if row.tid and row.stan and row.authorisation_code else None,
    }
    return Line(label, number, row, seen, keys)


def compared_by_hand(
    sides: Rows, window: Window, keys: Mapping[str, Sequence[Key]]
) -> Counter[Told]:
    """Every result, whatever it is. `keys` are those that each side may be known by."""
    lines = {
        label: [line(label, number, row, window) for number, row in enumerate(rows, 1)]
        for label, rows in sides.items()
    }
    others = [label for label in LABELS[1:] if label in sides]
    results, left = _settled(lines, others, keys)
    twins: dict[Line, Line] = {}
    partners: dict[str, dict[Line, Line]] = {}
    for label in others:
        partners[label] = _paired(left[GATEWAY], left[label], keys[label], twins)
    nobodys = {
        label: [
            each
            for each in left[label]
            if each not in partners[label].values() and each not in twins
        ]
        for label in others
    }
    between: dict[Line, Line] = {}
    if len(others) == 2:
        one, other = others
        both = [key for key in keys[one] if key in keys[other]]
        between = _paired(nobodys[one], nobodys[other], both, twins)
    clusters = [
        [ours, *(partners[label][ours] for label in others if ours in partners[label])]
        for ours in left[GATEWAY]
    ]
    taken = {*between, *between.values(), *twins}
    clusters += [list(pair) for pair in between.items()]
    clusters += [[each] for label in others for each in nobodys[label] if each not in taken]
    by_family: dict[str, dict[str, Sequence[Line]]] = defaultdict(dict)
    for cluster in clusters:
        ours = cluster[0].row
        if cluster[0].label == GATEWAY:
            by_family[ours.transaction_id][ours.transaction_id] = cluster
            by_family[ours.original_id][ours.transaction_id] = cluster
    for cluster in clusters:
        ours = cluster[0].row
        near = by_family[ours.transaction_id] | by_family[ours.original_id]
        results[_told(cluster, others, _kin(cluster, near, others))] += 1
    results.update(_told([each], others, {}, twin=_ANY) for each in twins)
    return results


def _told(
    cluster: Iterable[Line],
    others: Sequence[str],
    kin: Mapping[str, bool | None],
    twin: Origin | None = None,
) -> Told:
    found = Result((Kind.MATCHED,), {each.label: each.seen for each in cluster}, twin)
    rows = tuple((each.label, each.number) for each in cluster)
    return compare(found, others, kin), rows


def _settled(
    lines: Mapping[str, list[Line]], others: Sequence[str], keys: Mapping[str, Sequence[Key]]
) -> tuple[Counter[Told], dict[str, list[Line]]]:
    """What moved no money, and is alone under its strongest key, is not looked for by another."""
    counts: Counter[tuple[str, str, str | None]] = Counter()
    for label in others:
        for side in (GATEWAY, label):
            counts.update((side, label, each.first(keys[label])) for each in lines[side])

    def lonely(each: Line, label: str) -> bool:
        other = label if each.label == GATEWAY else GATEWAY
        return len(keys[label]) == 1 or not counts[other, label, None]

    def counterpart(each: Line, label: str) -> tuple[str | None, int]:
        key = each.first(keys[label])
        return key, counts[label if each.label == GATEWAY else GATEWAY, label, key]

    results: Counter[Told] = Counter()
    gone: set[Line] = set()
    for ours in lines[GATEWAY]:
        if ours.seen.meaning not in (NOTHING, HELD):
            continue
        cluster = [ours]
        for label in others:
            key, count = counterpart(ours, label)
            if key is None or counts[GATEWAY, label, key] > 1 or count > 1:
                break
            if count == 0:
                if not lonely(ours, label):
                    break
                continue
            (other,) = (each for each in lines[label] if each.first(keys[label]) == key)
            if other.facts != ours.facts:
                break
            cluster.append(other)
        else:
            if len(cluster) <= len(others):
                results[_told(cluster, others, {})] += 1
                gone.update(cluster)
    return results, {label: [each for each in lines[label] if each not in gone] for label in lines}


def _paired(
    left: Sequence[Line], right: Sequence[Line], keys: Sequence[Key], twins: dict[Line, Line]
) -> dict[Line, Line]:
    """The rows of two sides that are the same transaction; what repeats another row is noted."""
    pairs: dict[Line, Line] = {}
    for index, key in enumerate(keys):
        here = [each for each in left if each not in pairs and each not in twins]
        taken = set(pairs.values())
        there = [each for each in right if each not in taken and each not in twins]
        if index and keys[0] is Key.ID:
            there = [each for each in there if not each.row.transaction_id]
        both = [[each for each in side if each.key(key)] for side in (here, there)]
        sizes = [Counter(each.key(key) for each in side) for side in both]

        def pair(
            same: Callable[[Line], object],
            order: Callable[[Line], tuple[object, ...]],
            key: Key = key,
            both: list[list[Line]] = both,
            sizes: list[Counter[tuple[object, ...] | None]] = sizes,
        ) -> None:
            taken = {*pairs, *pairs.values(), *twins}
            groups: dict[object, tuple[list[Line], list[Line]]] = defaultdict(lambda: ([], []))
            for place, side in enumerate(both):
                for each in side:
                    if each not in taken:
                        groups[each.key(key), same(each)][place].append(each)
            for ours, theirs in groups.values():
                ranked = zip(sorted(ours, key=order), sorted(theirs, key=order), strict=False)
                for one, other in ranked:
                    alone = all(size[one.key(key)] == 1 for size in sizes)
                    near = abs(one.seen.at - other.seen.at) <= NEAR
                    if key is Key.ID or alone or near:
                        pairs[one] = other

        def paid_first(each: Line) -> tuple[object, ...]:
            return (each.seen.meaning != MOVED, each.order)

        def paid(each: Line) -> tuple[object, ...]:
            if each.seen.meaning in (MOVED, REVERSED):
                return (each.seen.amount, each.seen.back)
            return (each.label, each.number)

        pair(lambda each: (each.facts, each.seen.day), lambda each: each.order)
        pair(lambda each: each.facts, lambda each: each.order)
        pair(lambda each: (paid(each), each.seen.day), lambda each: each.order)
        pair(paid, lambda each: each.order)
        for side in both:
            _set_apart(side, key, keys[:index], {*pairs, *pairs.values()}, twins)
        pair(lambda each: each.seen.day, paid_first)
        pair(lambda _: None, paid_first)
    return pairs


def _set_apart(
    side: Sequence[Line],
    key: Key,
    stronger: Sequence[Key],
    paired: set[Line],
    twins: dict[Line, Line],
) -> None:
    alike: dict[object, list[Line]] = defaultdict(list)
    for each in side:
        if each.label != GATEWAY:
            day = 0 if key is Key.ID else each.seen.day
            alike[each.key(key), each.facts, day].append(each)
    for found in alike.values():
        first, *_ = sorted(found, key=lambda each: (each not in paired, each.order))
        for each in found:
            counts = each.seen.meaning in (MOVED, HELD, REVERSED)
            strongest = all(each.key(other) is None for other in stronger)
            if each is not first and each not in paired and counts and strongest:
                twins[each] = first


def _kin(
    cluster: Sequence[Line], by_id: Mapping[str, Sequence[Line]], others: Sequence[str]
) -> dict[str, bool | None]:
    """Whether each side has what is reversed by, or reverses, the gateway's row."""
    ours = cluster[0]
    if ours.label != GATEWAY:
        return {}
    kin = [
        each
        for each in by_id.values()
        if (ours.row.type == "REVERSAL" and each[0].row.transaction_id == ours.row.original_id)
        or (each[0].row.type == "REVERSAL" and each[0].row.original_id == ours.row.transaction_id)
    ]
    if not kin:
        return dict.fromkeys(others)
    rows = [row for each in kin for row in each]
    return {
        label: any(row.seen.back or row.seen.meaning == MOVED for row in rows if row.label == label)
        for label in others
    }
