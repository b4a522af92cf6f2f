"""A side of several files: three acquirers, a till's export for each register. All of their rows
are compared as one, and each keeps its file and its number."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.reconcile.books import WINDOW, all_of, found, kinds, profile, row, write
from tests.unit.reconcile.test_partition import shop
from tillwire.errors import InvalidRequest
from tillwire.reconcile import profiles, reports
from tillwire.reconcile.findings import findings
from tillwire.reconcile.match import ACQUIRER, GATEWAY, LABELS, TILL
from tillwire.reconcile.results import Kind
from tillwire.reconcile.run import Report, Resolution, gateway_rows, reconcile
from tillwire.reconcile.sources import File, Row, Rows, Source, cut

OWN = profiles.load("tillwire")
OTHER = """
currency = "EUR"
[file]
delimiter = ";"
[columns]
acquirer_reference = "RRN"
terminal = "Place"
reference = "Receipt"
amount = "Sum"
at = "When"
[amount]
decimal = ","
"""
"""Another acquirer's: its own mark, its own columns, and no TID."""
AT = "2026-03-14T10:00:01Z"


def compared(gateway: Sequence[Row], *acquirer: Source) -> Report:
    return reconcile({GATEWAY: gateway_rows(gateway), ACQUIRER: acquirer}, WINDOW)


def own(path: Path, *rows: Row) -> File:
    """A file as our own export has it, without our ids."""
    columns = [name for name in Row.__struct_fields__ if name != "transaction_id"]
    return File(
        write(path, [{name: getattr(each, name) for name in columns} for each in rows]),
        profile(
            path.with_suffix(".toml"),
            "[columns]\n" + "\n".join(f'{name} = "{name}"' for name in columns),
        ),
    )


def other(folder: Path, *lines: str) -> File:
    path = folder / "other.csv"
    path.write_text("\n".join(["RRN;Place;Receipt;Sum;When", *lines, ""]), encoding="utf-8")
    return File(path, profile(folder / "other.toml", OTHER))


def keys(report: Report) -> set[str]:
    return {each.key for each in findings(report.differences, report.sources)}


def test_acquirers_of_one_shop_are_compared_as_one(tmp_path: Path) -> None:
    listed = tmp_path / "third.json"
    listed.write_text(
        json.dumps(
            [
                {
                    "transactionId": "rrn-3",
                    "amount": 1250,
                    "createdAt": AT,
                    "status": "APPROVED",
                    "operationType": "PAYMENT",
                }
            ]
        )
    )
    theirs = [
        own(tmp_path / "first.csv", row(1)),
        other(tmp_path, f"rrn-2;ACME-P2-PL1;sale-2;12,50;{AT}", f"rrn-9;X;;8,00;{AT}"),
        File(listed, profiles.load("nexi-ios-list")),
    ]
    report = compared([row(1), row(2), row(3), row(4)], *theirs)
    assert kinds(report) == {"matched": 3, "missing_at_gateway": 1, "missing_at_acquirer": 1}
    strange = next(each for each in report.differences if GATEWAY not in each.seen)
    assert (strange.seen[ACQUIRER].source, strange.seen[ACQUIRER].row) == ("other.csv", 2)
    (told,) = (
        each for each in findings(report.differences, report.sources) if "8.00" in each.heard
    )
    assert "(other.csv, row 2)" in told.heard
    assert told.source == "first.csv, other.csv, third.json"
    shown = next(each for each in reports.view(report)["differences"] if each["acquirer"])
    assert (shown["acquirer"]["file"], shown["acquirer"]["row"]) == ("other.csv", 2)
    assert "other.csv, row 2" in reports.html(report)
    assert report.files[ACQUIRER] == ["first.csv", "other.csv", "third.json"]
    assert keys(compared([row(1), row(2), row(3), row(4)], *reversed(theirs))) == keys(report)


def test_it_does_not_matter_in_which_files_the_rows_of_a_side_are() -> None:
    dice = random.Random(1)
    books: dict[str, list[Row]] = {label: [] for label in LABELS}
    for number in range(40):
        for label in LABELS:
            books[label] += shop(dice, number, label, blanks=number % 2 == 0)
    whole = {label: Rows(label, rows, OWN) for label, rows in books.items()}
    report = reconcile(whole, WINDOW)
    assert len(report.differences) > 40
    split: dict[str, Sequence[Source]] = {GATEWAY: [whole[GATEWAY]]}
    for label in (TILL, ACQUIRER):
        some: list[list[Row]] = [[], [], []]
        for each in books[label]:
            dice.choice(some).append(each)
        split[label] = [Rows(f"{label}-{n}", rows, OWN) for n, rows in enumerate(some)]
    several = reconcile(split, WINDOW)
    assert (several.kinds, several.groups) == (report.kinds, report.groups)
    assert keys(several) == keys(report)
    for each in several.differences:
        for label, seen in each.seen.items():
            if label != GATEWAY:
                there = next(source for source in split[label] if source.name == seen.source)
                assert isinstance(there, Rows)
                reference = seen.texts.get("reference", "")
                assert cut(list(there.rows)[seen.row - 1].reference) == reference


def test_rows_that_differ_in_their_terminal_alone_open_the_same_in_any_order(
    tmp_path: Path,
) -> None:
    """Which of two stands for the sale is not for the order of the files to say."""
    first = own(tmp_path / "a.csv", row(1, terminal="A", tid=""))
    second = own(tmp_path / "b.csv", row(1, terminal="B", tid=""))
    lost = row(1, reference="", amount="1.00")
    one, two = compared([lost], first, second), compared([lost], second, first)
    assert len(one.differences) == 2
    assert keys(one) == keys(two)


def test_a_payment_that_two_files_have_is_a_duplicate(tmp_path: Path) -> None:
    again = row(1, authorisation_code="", card_last4="")
    report = compared([row(1)], own(tmp_path / "a.csv", row(1)), own(tmp_path / "b.csv", again))
    assert found(report) == [(Kind.DUPLICATE,)]
    assert reports.words(report.differences[0]) == "duplicate of row 1 of a.csv"
    assert reports.difference_view(report.differences[0])["repeats_file"] == "a.csv"


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    first, copy = own(tmp_path / "a.csv", row(1)), own(tmp_path / "b.csv", row(1))
    for twice in (copy, first):
        with pytest.raises(
            InvalidRequest, match=r"has the same content as .*a\.csv.*each file once"
        ):
            compared([row(1)], first, twice)


def test_registers_without_a_sale_are_alike(tmp_path: Path) -> None:
    idle = []
    for name in ("b", "c"):
        idle.append(own(tmp_path / f"{name}.csv", row(1)))
        lines = idle[-1].path.read_text().splitlines(keepends=True)
        idle[-1].path.write_text(lines[0])
    assert compared([row(1)], own(tmp_path / "a.csv", row(1)), *idle).agrees


def test_registers_whose_profiles_name_their_terminals_may_sell_the_same(tmp_path: Path) -> None:
    """A receipt 1 of 5.00 on the same day, at each of two terminals."""
    text = 'currency = "EUR"\n[columns]\nreference = "Ref"\namount = "Amount"\nat = "Day"\n'
    exports = []
    for number in (1, 2):
        path = tmp_path / f"{number}.csv"
        path.write_text("Ref,Amount,Day\n1,5.00,2026-03-14\n")
        here = f'tid = "3035000{number}"\n{text}[time]\nformat = "%Y-%m-%d"\nzone = "UTC"\n'
        exports.append(File(path, profile(tmp_path / f"{number}.toml", here)))
    sold = [row(n, tid=f"3035000{n}", reference="1", amount="5.00") for n in (1, 2)]
    report = reconcile({GATEWAY: gateway_rows(sold), TILL: exports}, WINDOW)
    assert report.agrees


def test_a_bad_file_names_itself(tmp_path: Path) -> None:
    good, bad = own(tmp_path / "a.csv", row(1)), own(tmp_path / "b.csv", row(2), row(3, amount="x"))
    for some in ([good, bad], [bad, good]):
        with pytest.raises(InvalidRequest, match=r"b\.csv: row 2 \(line 3\), amount: 'x'"):
            compared([row(1)], *some)
    nobodys = File(write(tmp_path / "c.csv", [{"Amount": "1.00", "At": AT}]), profile(
        tmp_path / "c.toml", 'currency = "EUR"\n[columns]\namount = "Amount"\nat = "At"\n'
    ))  # fmt: skip
    with pytest.raises(InvalidRequest, match=r"c\.csv: nothing in it says which"):
        compared([row(1)], good, nobodys)


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    exports = []
    for number in (1, 2):
        (tmp_path / f"register-{number}").mkdir()
        exports.append(own(tmp_path / f"register-{number}" / "day.csv", row(number)))
    report = compared([row(1)], *exports)
    assert report.files[ACQUIRER] == [str(each.path) for each in exports]
    (strange,) = report.differences
    assert strange.seen[ACQUIRER].source.endswith("register-2/day.csv")


def test_of_many_files_a_sentence_names_the_first(tmp_path: Path) -> None:
    exports = [own(tmp_path / f"{number}.csv", row(number)) for number in range(1, 6)]
    report = compared([row(number) for number in range(1, 6)], *exports)
    assert report.agrees
    assert report.sources[ACQUIRER] == "1.csv, 2.csv and 3 more files"


def test_a_side_has_so_many_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="it has too many files"):
        compared([row(1)], *[own(tmp_path / "a.csv", row(1))] * 1001)


# --- evidence -------------------------------------------------------------------------------

LOST = row(1, status="UNKNOWN", acquirer_reference="", authorisation_code="", stan="")


def resolved(*acquirer: Source) -> list[Resolution]:
    told: list[Resolution] = []

    def resolve(known: list[Resolution]) -> set[str]:
        told.extend(known)
        return all_of(known)

    reconcile({GATEWAY: gateway_rows([LOST]), ACQUIRER: acquirer}, WINDOW, resolve=resolve)
    return told


def test_what_is_resolved_names_the_file_that_proves_it(tmp_path: Path) -> None:
    (known,) = resolved(own(tmp_path / "a.csv", row(2)), own(tmp_path / "b.csv", row(1)))
    assert (known.transaction_id, known.source) == (LOST.transaction_id, "b.csv")


@pytest.mark.parametrize(
    "line",
    [
        "rrn-8;ACME-P2-PL1;sale-1;12,50;2026-03-14T10:00:01Z",
        "rrn-8;;sale-1;9,00;2026-03-14T10:00:01Z",
    ],
    ids=["at its terminal", "nobody says where"],
)
def test_another_acquirers_row_of_the_same_reference_is_a_doubt(tmp_path: Path, line: str) -> None:
    """It was paid twice, or one of them is another sale: each file for itself would prove it."""
    mine = own(tmp_path / "a.csv", row(1, terminal=""))
    assert len(resolved(mine)) == 1
    for some in ([mine, other(tmp_path, line)], [other(tmp_path, line), mine]):
        assert resolved(*some) == []


def test_a_row_at_another_terminal_is_no_doubt(tmp_path: Path) -> None:
    elsewhere = other(tmp_path, "rrn-8;ACME-P9-PL1;sale-1;12,50;2026-03-14T10:00:01Z")
    assert len(resolved(own(tmp_path / "a.csv", row(1)), elsewhere)) == 1
