"""The comparison itself: what differs by chance is alike, what differs in meaning is not."""

from __future__ import annotations

import pytest

from tests.docs.likeness import alike

ONE = "1795231450439037838480989244834"
OTHER = "1795231451196107560204901672383"


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (f"Transaction {ONE}", f"Transaction {OTHER}\n"),
        ("2  04:24:11.533  +0 ms  dispatch", "2  09:01:59.001  +1.2 s  dispatch"),
        ("TOTAL  EUR 12.34\n...\nSTAN 1", "TOTAL     EUR 12.34\nBrand VISA\n\nSTAN 1"),
        ("card ... ****", "card VISA ****"),
        ("first\n...", "first"),
    ],
)
def test_what_chance_decides_is_alike(shown: str, printed: str) -> None:
    assert alike("text", shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("TOTAL EUR 12.34", "TOTAL EUR 12.35"),
        ("APPROVED", "DECLINED"),
        ("one line", "one line\nand another"),
        ("one line\nand another", "one line"),
        ("Error: Declined.", ""),
    ],
)
def test_what_means_something_else_is_not_alike(shown: str, printed: str) -> None:
    assert not alike("text", shown, printed)


def test_json_is_compared_by_members() -> None:
    shown = f'{{"id": "{ONE}", "receipt": "...", "amount": {{"value": 1.50}}}}'
    assert alike("json", shown, f'{{"amount":{{"value":1.5}},"receipt":"x","id":"{OTHER}"}}')
    assert not alike("json", shown, f'{{"amount":{{"value":1.5}},"id":"{OTHER}"}}')
    assert not alike("json", shown, f'{{"amount":{{"value":1.51}},"receipt":"","id":"{OTHER}"}}')
    assert not alike("json", shown, "<html>")
