"""Records picked out of a file by their numbers, and the files in which that cannot be done."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.unit.reconcile.books import compared, found, row, small, with_file
from tillwire.errors import InvalidRequest
from tillwire.reconcile import picking, sides
from tillwire.reconcile.picking import count_lines, pick
from tillwire.reconcile.results import Kind


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("header", [True, False])
def test_lines_are_picked_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, last: bool, header: bool
) -> None:
    monkeypatch.setattr(picking, "_BLOCK", 7)
    dice = random.Random(3)
    lines = [b"x" * dice.randint(1, 20) for _ in range(60)]
    file, into = tmp_path / "file", tmp_path / "into"
    file.write_bytes(end.join(lines) + (end if last else b""))
    records = len(lines) - header
    counted = count_lines(file)
    assert counted is not None
    for count in (0, 1, 9, records):
        numbers = sorted(dice.sample(range(records), count))
        assert pick(file, into, numbers, counted, records=records, header=header)
        wanted = [b"%d,%s" % (number, lines[number + header]) for number in numbers]
        assert into.read_bytes().split() == ([b"n," + lines[0]] if header else []) + wanted


@pytest.mark.parametrize("octets", [b'a\n"b\nc"\nd\n', b"a\nb\n\nd\n", b"a\nb\n", b""])
def test_what_is_no_line_each_is_not_picked(tmp_path: Path, octets: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(octets)
    counted = count_lines(file)
    assert counted is not None
    assert not pick(file, tmp_path / "into", [1], counted, records=3, header=False)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("octets", [b"a\rb\rd\r", b"a\nb\rd\n", b"a\n\r\r\nb\n", b"a\r\nb\r"])
def test_lines_that_end_in_other_ways_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, octets: bytes, size: int
) -> None:
    monkeypatch.setattr(picking, "_BLOCK", size)
    file = tmp_path / "file"
    file.write_bytes(octets)
    counted = count_lines(file)
    assert counted is not None
    assert counted.total is None
    assert not pick(file, tmp_path / "into", [1], counted, records=3, header=False)
    file.write_bytes(b"a\r\nb\r\n")
    counted = count_lines(file)
    assert counted is not None
    assert counted.total == 2
    assert count_lines(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("end", "told"), [(b"\n", "line 3 is too long"), (b"\r", "a line is too long")]
)
def test_a_last_line_that_the_database_does_not_see_is_told(
    tmp_path: Path, end: bytes, told: str
) -> None:
    octets = b"Ref,Amount,Date" + end + b"sale-1,12.50,2026-03-14T10:00:01Z" + end
    file = small(tmp_path, octets)
    with (tmp_path / "till.csv").open("r+b") as out:
        out.truncate(40 << 20)  # as a machine may leave it that went down
    with pytest.raises(InvalidRequest, match=rf"till\.csv: {told}"):
        with_file([row(1)], file)


def test_a_file_that_is_shorter_now_is_not_picked_from(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a\nb\nc\n")
    counted = count_lines(file)
    assert counted is not None
    file.write_bytes(b"a\n")
    assert not pick(file, tmp_path / "into", [2], counted, records=3, header=False)


@pytest.mark.parametrize("few", [0, 100])
def test_a_break_within_quotes_is_read_whichever_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(sides, "FEW", few)
    octets = (
        b'Ref,Amount,Date\n"sale\n1",12.50,2026-03-14T10:00:01Z\nsale-2,1.00,2026-03-14T10:00:02Z\n'
    )
    report = with_file([row(1, reference="sale\n1"), row(2)], small(tmp_path, octets))
    assert found(report) == [(Kind.AMOUNT_DIFFERS,)]
    assert report.differences[0].seen["till"].row == 2


def test_rows_keep_their_numbers_among_very_many(tmp_path: Path) -> None:
    many = [row(number % 90_000, transaction_id=f"{number:031d}") for number in range(30_000)]
    told = [*many]
    for number in (0, 4_999, 29_999):
        told[number] = row(number, transaction_id=f"{number:031d}", amount="1.00")
    report = compared(many, None, told)
    assert [each.seen["acquirer"].row for each in report.differences] == [1, 5_000, 30_000]


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small(tmp_path, b"Ref,Amount,Date\nsale-1,1.00,2026-03-14T10:00:01Z\n")

    def later(*asked: object, **told: object) -> bool:
        (tmp_path / "till.csv").write_bytes(b"Ref,Amount,Date\nsale-9,9.00,2026-03-14T10:00:01Z\n")
        return pick(*asked, **told)  # type: ignore[arg-type]

    monkeypatch.setattr(sides, "pick", later)
    with pytest.raises(Exception, match=r"till\.csv: it has changed while it was read"):
        with_file([row(1)], file)
