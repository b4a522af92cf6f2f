"""Matching: which rows of the sides are the same transaction.

Most rows agree. So the sides are joined once by the hashes of their strongest keys, and what agrees
in all facts is only counted. All other rows (those that differ, are alone, have no key, or share it
with others) are read again as text and matched key by key, the strongest first: identical rows
before others, and what comes twice is set apart. A hash never decides that two rows differ; that
two keys of a run have the same one, and all facts agree, has a chance of one in billions.

Every row of every side is in exactly one place: agreed, or in one cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tillwire.core.model import TransactionType
from tillwire.errors import InvalidRequest
from tillwire.reconcile.facts import FACTS, HELD, MOVED, NOTHING, OPEN, REVERSED
from tillwire.reconcile.profiles import Key
from tillwire.reconcile.sides import KeyOf, Numbers, Shared, Side, count, fetch, keys_of, load
from tillwire.reconcile.workspace import Workspace

GATEWAY: Final = "gateway"
TILL: Final = "till"
ACQUIRER: Final = "acquirer"
LABELS: Final = (GATEWAY, TILL, ACQUIRER)

NEAR: Final = 86_400_000
"""Milliseconds between two rows of one transaction, where others may have the same key later."""

_EARLIEST: Final = (
    "ms, acquirer_reference, reference, stan, authorisation_code, card_last4, transaction_id, "
    "original_id, terminal, tid, type, status, minor, cur, n"
)
"""The order of rows under one key, which is not that of their files, or in them, as long as they
differ in anything that is told of them."""

Keys = Mapping[str, list[Shared]]
"""The keys that the gateway's rows have in common with each other side."""


def match(workspace: Workspace, sides: Mapping[str, Side]) -> Mapping[str, Numbers]:
    """Make the tables `agreed` (how many rows of a place, day and kind do) and `clusters` (all
    others, with their texts in `rows_LABEL`); how each side's rows are numbered. Raises
    `InvalidRequest`."""
    others = [label for label in LABELS[1:] if label in sides]
    keys = {label: _common(sides[GATEWAY], sides[label]) for label in others}
    chosen = {label: _first(keys[label]) for label in others}
    first = {GATEWAY: {label: key for label, (key, _) in chosen.items()}}
    first |= {label: {GATEWAY: key} for label, (key, _) in chosen.items()}
    with ThreadPoolExecutor(1) as counter:  # beside the database, which reads them, too
        counted = counter.submit(count, sides.values())
        numbers = {GATEWAY: load(workspace, sides[GATEWAY], first[GATEWAY], grouping=True)}
        for label, (_, having) in chosen.items():
            numbers[label] = load(workspace, sides[label], first[label], having=having)
        lines = counted.result()
    _join(workspace, others, keys, unique=[key.key for key, _ in chosen.values()] == [Key.ID])
    for label, its_keys in first.items():
        _choose(workspace, label, list(its_keys))
        workspace.run(f"DROP TABLE {label}")
    with ThreadPoolExecutor(len(first)) as readers:
        fetched = [
            readers.submit(fetch, workspace, sides[label], numbers[label], lines) for label in first
        ]
        for each in fetched:
            each.result()
    _pair_all(workspace, sides, others, keys, numbers)
    _gather(workspace, others)
    return numbers


def _common(one: Side, other: Side) -> list[Shared]:
    found = keys_of(one, other)
    for index, part in enumerate(other.parts):
        if not any(index in each.others for each in found):
            raise InvalidRequest(
                part.source.name,
                "nothing in it says which of our transactions a row is",
                "columns for transaction_id, for reference, for acquirer_reference, or for tid, "
                "stan and authorisation_code",
            )
    return found


def _first(keys: Sequence[Shared]) -> tuple[KeyOf, frozenset[int]]:
    """The key that is the strongest one of most of a side's sources, and those sources. By it they
    are joined; what the others have is read as text."""
    having: dict[KeyOf, frozenset[int]] = {}
    for each in keys:
        known = frozenset().union(*having.values())
        having[each.by] = having.get(each.by, frozenset()) | (each.others - known)
    return max(having.items(), key=lambda each: len(each[1]))


# --- what agrees ----------------------------------------------------------------------------


def _join(workspace: Workspace, others: Sequence[str], keys: Keys, *, unique: bool) -> None:
    """Make the table `joined`: one row for all that agree of a place, day and kind, and one for
    each that does not. `unique`: there is one other side, and the key is our id, which is hardly
    ever on our side twice; that it is not need not be looked at, but can be seen from the join."""
    theirs = [_twice(workspace, label, f"h_{GATEWAY}") for label in others]
    if unique:
        (label,) = others
        ours = _twice(workspace, GATEWAY, f"h_{label}", _of_those_that_may_be_alone(label))
        _join_but(workspace, others, keys, [ours, *theirs])
        ((once,),) = workspace.run(
            f"SELECT (SELECT coalesce(sum(count_{label}), 0) FROM joined) = "
            f"(SELECT count(h_{GATEWAY}) FROM {label})"
        )
        if once:
            return
        workspace.run("DROP TABLE joined")
    ours_all = [_twice(workspace, GATEWAY, f"h_{label}") for label in others]
    _join_but(workspace, others, keys, [*ours_all, *theirs])


def _join_but(
    workspace: Workspace, others: Sequence[str], keys: Keys, twice: Sequence[str]
) -> None:
    """Make the table `joined`, in which nothing agrees that is there `twice`."""
    agrees = " AND ".join(
        [f"({_agrees(workspace, others, keys)})", *(f"NOT {each}" for each in twice if each)]
    )
    joins = " ".join(
        f"FULL JOIN {label} ON {GATEWAY}.h_{label} = {label}.h_{GATEWAY}" for label in others
    )
    labels = (GATEWAY, *others)
    # By its first hash: rows that share one disagree together.
    hashes = ", ".join(
        f"{label}.h_{GATEWAY if label != GATEWAY else others[0]} AS n_{label}" for label in labels
    )
    kept = ", ".join(f"CASE WHEN NOT agrees THEN n_{label} END AS {label}" for label in labels)
    counts = ", ".join(f"count(n_{label}) AS count_{label}" for label in labels)
    grouped = ", ".join(
        f"CASE WHEN agrees THEN {name} END AS {name}" for name in ("place", "day", "inside")
    )
    workspace.run(
        f"CREATE TABLE joined AS SELECT agrees, {grouped}, "
        f"CASE WHEN agrees THEN facts % {FACTS} END AS kind, {kept}, {counts}, "
        f"sum(divide(facts, {FACTS})) AS minor, any_value(n_{GATEWAY}) AS sampled "
        f"FROM (SELECT {GATEWAY}.facts, place, inside, {GATEWAY}.day, {hashes}, "
        f"coalesce({agrees}, false) AS agrees FROM {GATEWAY} {joins}) GROUP BY ALL"
    )


def _class(label: str) -> str:
    return f"divide({label}.facts % {FACTS} % 10, 2)"


def _agrees(workspace: Workspace, others: Sequence[str], keys: Keys) -> str:
    """Whether the others agree with the gateway in a joined row, without more to look at."""
    lonely = {
        label: not (len(keys[label]) > 1 and _lacks(workspace, label, f"h_{GATEWAY}"))
        for label in others
    }
    theirs = " AND ".join(
        f"({label}.facts = {GATEWAY}.facts OR ({label}.facts IS NULL AND {lonely[label]} "
        f"AND {_class(GATEWAY)} IN ({NOTHING}, {HELD})))"
        for label in others
    )
    known = " AND ".join(f"{GATEWAY}.h_{label} IS NOT NULL" for label in others)
    return f"{known} AND {_class(GATEWAY)} NOT IN ({OPEN}, {REVERSED}) AND {theirs}"


def _lacks(workspace: Workspace, label: str, column: str) -> bool:
    """Whether a row of the side lacks its first key: by another one it may be of a row that seems
    to be alone."""
    return bool(workspace.run(f"SELECT 1 FROM {label} WHERE {column} IS NULL LIMIT 1"))


def _of_those_that_may_be_alone(label: str) -> str:
    """The condition of the gateway's rows whose key is that of one which agrees alone, too."""
    alone = f"SELECT h_{label} FROM {GATEWAY} WHERE {_class(GATEWAY)} IN ({NOTHING}, {HELD})"
    return f"h_{label} IN ({alone})"


def _twice(workspace: Workspace, label: str, column: str, which: str = "true") -> str:
    """Whether the joined row's key comes more than once on this side, among the rows of `which`;
    empty when none does."""
    table = f"twice_{label}_{column}"
    workspace.run(
        f"CREATE OR REPLACE TABLE {table} AS SELECT {column} AS h FROM {label} "
        f"WHERE {column} IS NOT NULL AND {which} GROUP BY {column} HAVING count(*) > 1"
    )
    ((count,),) = workspace.run(f"SELECT count(*) FROM {table}")
    if not count:
        return ""
    return f"({label}.{column} IS NOT NULL AND {label}.{column} IN (SELECT h FROM {table}))"


def _choose(workspace: Workspace, label: str, against: Sequence[str]) -> None:
    """Make the tables `odd_LABEL`, with the numbers of the rows that are still to be matched, and
    `wanted_LABEL`, which has besides one of each place, which tells its names."""
    first = f"h_{against[0]}"
    lacking = " OR ".join(f"h_{other} IS NULL" for other in against)
    odd = f"SELECT {label} FROM joined WHERE NOT agrees AND {label} IS NOT NULL"
    workspace.run(
        f"CREATE TABLE odd_{label} AS SELECT rowid AS n FROM {label} "
        f"WHERE {lacking} OR {first} IN ({odd})"
    )
    samples = "SELECT any_value(sampled) FROM joined WHERE agrees GROUP BY place"
    sampled = f"OR {first} IN ({samples})" if label == GATEWAY else ""
    workspace.run(
        f"CREATE TABLE wanted_{label} AS SELECT rowid AS n, {first} AS h, facts, day FROM {label} "
        f"WHERE rowid IN (SELECT n FROM odd_{label}) {sampled}"
    )


# --- what is matched as text ----------------------------------------------------------------


def _pair_all(
    workspace: Workspace,
    sides: Mapping[str, Side],
    others: Sequence[str],
    keys: Keys,
    numbers: Mapping[str, Numbers],
) -> None:
    for label in LABELS[1:]:
        workspace.run(f"CREATE TABLE twins_{label} (n BIGINT, twin BIGINT)")
        workspace.run(_empty_pairs(GATEWAY, label))
    workspace.run(_empty_pairs(TILL, ACQUIRER))
    for label in others:
        _pair(workspace, GATEWAY, label, keys[label], numbers)
    if len(others) == 2:
        _pair(workspace, TILL, ACQUIRER, keys_of(sides[TILL], sides[ACQUIRER]), numbers)


def _empty_pairs(one: str, other: str) -> str:
    return f"CREATE TABLE pairs_{one}_{other} (a BIGINT, b BIGINT, key VARCHAR, alone BOOLEAN)"


def _pair(
    workspace: Workspace,
    one: str,
    other: str,
    keys: Sequence[Shared],
    numbers: Mapping[str, Numbers],
) -> None:
    """Pair what two sides still have, key by key; the result is in `pairs_ONE_OTHER`. Rows of the
    same facts come before others, and rows of the same day before others: a key may come again
    tomorrow, or today, after a sale was reversed."""
    pairs = f"pairs_{one}_{other}"
    left = [(each.by, numbers[one].within(each.ones)) for each in keys]
    right = [(each.by, numbers[other].within(each.others)) for each in keys]
    for index, (key, *_) in enumerate(keys):
        # Whoever names another id of ours is of another transaction, whatever else is the same.
        unnamed = _lacking(each for each in right[:index] if each[0].key is Key.ID)
        counts = {"l": 0, "r": 0}
        tables = (("r", other, "b", right, unnamed), ("l", one, "a", left, "true"))
        for table, label, taken, known, allowed in tables:
            if counts["r"] or label != GATEWAY:
                free = f"n NOT IN (SELECT {taken} FROM {pairs}) {_not_taken(one, label)}"
                condition = f"{free} AND {known[index][1]} AND {allowed}"
                stronger = _lacking(known[:index])
                counts[table] = _candidates(workspace, table, label, key, stronger, condition)
        if all(counts.values()):
            _pair_by(workspace, pairs, key, "facts, day")
            _pair_by(workspace, pairs, key, "facts")
            # One side says of a sale that it was reversed, the other has the reversal beside it.
            _pair_by(workspace, pairs, key, "paid, day")
            _pair_by(workspace, pairs, key, "paid")
        for table, label, taken, *_ in tables:
            if label != GATEWAY and counts[table] > 1:  # the gateway's are sales of their own
                _set_apart(workspace, table, label, key, f"SELECT {taken} FROM {pairs}")
        if all(counts.values()):
            paid_first = f"class = {MOVED} DESC, turn"
            _pair_by(workspace, pairs, key, "day", paid_first)
            _pair_by(workspace, pairs, key, "", paid_first)


def _lacking(keys: Iterable[tuple[KeyOf, str]]) -> str:
    """Whether a row has none of these keys; each counts for the rows of its condition."""
    lacks = (f"(({key.sql()}) IS NULL OR NOT {condition})" for key, condition in keys)
    return " AND ".join(lacks) or "true"


def _candidates(
    workspace: Workspace, table: str, label: str, key: KeyOf, stronger: str, condition: str
) -> int:
    """Make the table of those rows of a side that have the key `k`, with `paid`, the facts of what
    was paid once, be it reversed since or not, and whose `turn` it is; how many there are."""
    ((count,),) = workspace.run(
        f"CREATE OR REPLACE TABLE {table} AS SELECT n, k, strongest, facts, paid, day, class, ms, "
        f"count(*) OVER (PARTITION BY k) AS size, row_number() OVER (ORDER BY {_EARLIEST}) AS turn "
        f"FROM (SELECT *, {key.sql()} AS k, {stronger} AS strongest, "
        f"CASE WHEN class IN ({MOVED}, {REVERSED}) THEN facts - class * 2 END AS paid "
        f"FROM rows_{label} "
        f"WHERE n IN (SELECT n FROM odd_{label}) AND {condition}) WHERE k IS NOT NULL"
    )
    return int(count)


def _pair_by(workspace: Workspace, pairs: str, key: KeyOf, same: str, order: str = "turn") -> None:
    """Pair the rows of both tables that have the key and all of `same` in common, in this order."""
    columns = f"k, {same}" if same else "k"
    ranked = f"SELECT *, row_number() OVER (PARTITION BY {columns} ORDER BY {order}) AS i FROM"
    left = f"({ranked} l WHERE n NOT IN (SELECT a FROM {pairs})) AS l"
    right = f"({ranked} r WHERE n NOT IN (SELECT b FROM {pairs})) AS r"
    alone = "l.size = 1 AND r.size = 1"
    near = "true" if key.key is Key.ID else f"(({alone}) OR abs(l.ms - r.ms) <= {NEAR})"
    # Without a terminal nobody knows whose reference it is.
    own = "false" if key.key is Key.REFERENCE and not key.place else "true"
    workspace.run(
        f"INSERT INTO {pairs} SELECT l.n, r.n, '{key.key.value}', {own} AND {alone} "
        f"FROM {left} JOIN {right} USING ({columns}, i) WHERE {near}"
    )


def _set_apart(workspace: Workspace, table: str, label: str, key: KeyOf, paired: str) -> None:
    """Note which rows of a side say what another one of it says already: of the same day, since a
    till's numbers may begin anew tomorrow."""
    same = "k, facts" if key.key is Key.ID else "k, facts, day"
    workspace.run(
        f"INSERT INTO twins_{label} SELECT n, twin FROM (SELECT n, strongest, class, paired, "
        f"first(n) OVER (PARTITION BY {same} ORDER BY paired DESC, turn) AS twin "
        f"FROM (SELECT *, n IN ({paired}) AS paired FROM {table})) "
        f"WHERE NOT paired AND n <> twin AND strongest AND class IN ({MOVED}, {HELD}, {REVERSED})"
    )
    workspace.run(f"DELETE FROM {table} WHERE n IN (SELECT n FROM twins_{label})")


def _not_taken(one: str, label: str) -> str:
    """That a row is not set apart, nor paired with the gateway's while others are paired."""
    condition = "" if label == GATEWAY else f"AND n NOT IN (SELECT n FROM twins_{label})"
    if one != GATEWAY:
        condition += f" AND n NOT IN (SELECT b FROM pairs_{GATEWAY}_{label})"
    return condition


def _gather(workspace: Workspace, others: Sequence[str]) -> None:
    """Make the tables `clusters`, with the rows' numbers of each and how they were found, and
    `kin`: whether what a gateway's row reverses, or is reversed by, is on the other sides."""
    for label in LABELS[1:]:
        if label not in others:
            workspace.run(f"CREATE TABLE odd_{label} (n BIGINT)")
    known = {
        label: f"pairs_{GATEWAY}_{label} AS {label} ON {label}.a = g.n" for label in LABELS[1:]
    }
    rest = {
        label: f"SELECT n FROM odd_{label} WHERE n NOT IN (SELECT b FROM pairs_{GATEWAY}_{label}) "
        f"AND n NOT IN (SELECT n FROM twins_{label})"
        for label in LABELS[1:]
    }
    workspace.run(
        "CREATE TABLE clusters AS "
        "SELECT g.n AS gateway, till.b AS till, acquirer.b AS acquirer, acquirer.key AS key, "
        f"acquirer.alone AS alone, NULL::BIGINT AS twin FROM odd_{GATEWAY} g "
        f"LEFT JOIN {known[TILL]} LEFT JOIN {known[ACQUIRER]} "
        f"UNION ALL SELECT NULL, t.n, p.b, NULL, NULL, NULL FROM ({rest[TILL]}) t "
        f"LEFT JOIN pairs_{TILL}_{ACQUIRER} p ON p.a = t.n "
        f"UNION ALL SELECT NULL, NULL, n, NULL, NULL, NULL FROM ({rest[ACQUIRER]}) "
        f"WHERE n NOT IN (SELECT b FROM pairs_{TILL}_{ACQUIRER}) "
        f"UNION ALL SELECT NULL, n, NULL, NULL, NULL, twin FROM twins_{TILL} "
        f"UNION ALL SELECT NULL, NULL, n, NULL, NULL, twin FROM twins_{ACQUIRER}"
    )
    _find_kin(workspace, others)


def _find_kin(workspace: Workspace, others: Sequence[str]) -> None:
    """What a reversal takes back is of interest where it stands as paid; the reversal of a sale,
    where it is at all."""
    reversal = list(TransactionType).index(TransactionType.REVERSAL)
    kin = (
        f"r JOIN rows_gateway o ON o.transaction_id = r.original_id WHERE r.type = {reversal} "
        f"AND o.n IN (SELECT n FROM odd_{GATEWAY}) AND r.n IN (SELECT n FROM odd_{GATEWAY})"
    )
    joins = " ".join(
        f"LEFT JOIN rows_{label} AS {label} ON {label}.n = c.{label}" for label in others
    )
    there = ", ".join(
        f"coalesce(bool_or({label}.direction = 1 OR {label}.class = {MOVED}), false) AS {label}"
        for label in others
    )
    workspace.run(
        f"CREATE TABLE kin AS SELECT k.n, {there} FROM ("
        f"SELECT r.n, o.n AS kin FROM rows_gateway {kin} UNION ALL "
        f"SELECT o.n, r.n FROM rows_gateway {kin}) k "
        f"LEFT JOIN clusters c ON c.gateway = k.kin {joins} GROUP BY k.n"
    )
