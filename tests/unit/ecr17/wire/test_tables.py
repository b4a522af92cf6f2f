"""A table with a mistake in it is found when it is made."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from tillwire.dialects.ecr17.wire.fields import Field, Table, check_places, check_unknowns
from tillwire.dialects.ecr17.wire.kinds import DIGITS, NUMBER, RESULT, ZEROS
from tillwire.errors import LocalProtocolError

STAN: Final = Field(11, 6, DIGITS, "stan")


class Numbered(msgspec.Struct):
    tid: str
    stan: str = ""


def test_a_table_without_mistake() -> None:
    table = Table(STAN, Field(17, 4, ZEROS), total=20)
    check_places(Numbered, [table])
    check_unknowns(Numbered, [table])
    assert table.write(Numbered(tid="12345678", stan="000124")) == "0001240000"


@pytest.mark.parametrize(
    ("fields", "total", "problem"),
    [
        ([STAN, Field(18, 3, ZEROS)], 20, "at 18 should be at 17"),
        ([STAN, Field(16, 5, ZEROS)], 20, "at 16 should be at 17"),
        ([Field(12, 6, DIGITS, "stan")], 17, "at 12 should be at 11"),
        ([STAN, Field(17, 0, ZEROS)], 16, "at 17 should be at 17"),
        ([STAN, Field(17, 4, ZEROS)], 21, "end at 20 and not at 21"),
        ([STAN, Field(17, 6, DIGITS, "stan")], 22, "Two fields have one name"),
        ([STAN, Field(17, 4, NUMBER)], 20, "at 17 has a name, and is reserved, or not"),
        ([STAN, Field(17, 4, ZEROS, "amount")], 20, "at 17 has a name, and is reserved, or not"),
    ],
)
def test_gaps_overlaps_and_lengths(fields: list[Field], total: int, problem: str) -> None:
    with pytest.raises(LocalProtocolError, match=problem):
        Table(*fields, total=total)


def test_a_short_form_ends_where_a_field_does() -> None:
    with pytest.raises(LocalProtocolError, match="No field ends at 15"):
        Table(STAN, Field(17, 4, ZEROS), total=20, short=15)


def test_a_message_and_its_tables_have_the_same_fields() -> None:
    with pytest.raises(LocalProtocolError, match=r"\['amount', 'stan'\]"):
        check_places(Numbered, [Table(Field(11, 8, NUMBER, "amount"), total=18)])


def test_what_a_result_does_not_tell_is_unknown_in_it() -> None:
    class Wrong(msgspec.Struct):
        tid: str
        stan: str = "000000"

    with pytest.raises(LocalProtocolError, match=r"Wrong\.stan has another default"):
        check_unknowns(Wrong, [Table(STAN, total=16)])


def test_what_a_message_cannot_be_without_needs_no_default() -> None:
    class Ended(msgspec.Struct):
        tid: str
        result: str

    check_unknowns(Ended, [Table(Field(11, 2, RESULT, "result"), total=12)])
