"""What may not be read in a log line is not in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.pan import luhn
from tillwire.watch import masking
from tillwire.watch.masking import masked, text

PAN = "4111111111111111"


AMEX = "378282246310005"
LONGEST = "6304000000000000018"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (PAN, PAN),
        ("4111 1111 1111 1111", PAN),
        ("4111-1111-1111-1111", PAN),
        ("4111.1111.1111.1111", PAN),
        ("pan=4111+1111+1111+1111&page=1", PAN),
        ("4111_1111_1111_1111", PAN),
        ("10.0.0.1 4111.1111.1111.1111", PAN),
        ("PAN4111111111111111F", PAN),
        ("card 4111 1111 1111 1111 2027-01 presented", PAN),
        ("2026-11-21 4111 1111 1111 1111", PAN),
        ("%B4111111111111111^DOE/J^2712101?", PAN),
        (";4111111111111111=27121010000000000000?", PAN),
        (AMEX, AMEX),
        ("3782 822463 10005", AMEX),
        (LONGEST, LONGEST),
    ],
)
def test_a_card_number_keeps_its_last_four_digits_at_most(written: str, number: str) -> None:
    assert luhn(number), "the example must be a card number"
    left = "".join(filter(str.isdigit, text(written)))
    assert number[:6] not in left
    assert number[-4:] in left


@given(st.text("0123456789", min_size=11, max_size=18), st.text(" ab:/\"'", max_size=3))
def test_every_number_that_passes_the_check_digit_is_masked(digits: str, around: str) -> None:
    number = next(digits + last for last in "0123456789" if luhn(digits + last))
    assert number not in text(around + number + around)


@pytest.mark.parametrize(
    "harmless",
    [
        "1763692811000123456789012345678",
        "4111111111111112",
        "1763692811000123456789012345678_1763692811000123456789012345679",
        "192.168.101.108:54321",
        "2026-11-21T02:48:55.118204Z",
        "till-000481 on TILLWIRE-V1-0001",
        "2026-11-21T02:48:55Z",
        "0b5c2d1e-7f1a-4c7e-9c55-3a0a0d6e2f10",
        "/merchantapi/terminals/TILLWIRE-V1-0001/transactions",
    ],
)
def test_ids_and_times_stay_readable(harmless: str) -> None:
    assert text(harmless) == harmless


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer abcdefSECRET",
        "authorization=abcdefSECRET",
        "sent bearer abcdefSECRET to it",
        '{"api_key": "abcdefSECRET"}',
        "API-Key: abcdefSECRET",
        "https://host/?access_token=abcdefSECRET&page=1",
        "password = 'abcdef SECRET'",
        "client_secret: abcdefSECRET",
        "AUTHORIZATION: abcdefSECRET",
        "author\u0131zat\u0131on: abcdefSECRET",
        "api_\u212aey=abcdefSECRET",
        "tw_0123456789abcdefghijSECRET",
        "twd_0123456789abcdefghijSECRET",
        "tws_0123456789abcdefghijSECRET",
    ],
)
def test_secrets_in_running_text_are_masked(line: str) -> None:
    assert "SECRET" not in text(line)


@pytest.mark.parametrize(
    "key", ["key", "API-Key", "apiKey", "secret", "client_secret", "token", "password", "cookie"]
)
def test_a_value_under_a_secret_name_is_masked_at_any_depth(key: str) -> None:
    line = {"headers": [{key: "SECRET"}], key: ["SECRET"]}
    assert "SECRET" not in str(masked(line))


def test_ids_of_keys_and_authorisation_codes_are_no_secrets() -> None:
    line = {"key_id": 767854635839, "authorisation_code": "A12345"}
    assert masked(line) == line


def test_whatever_is_logged_becomes_plain_and_masked() -> None:
    class Card:
        def __repr__(self) -> str:
            return f"Card({PAN})"

    assert masked({"n": int(PAN), "o": Card(), "b": PAN.encode(), "none": None, "yes": True}) == {
        "n": "***1111",
        "o": "Card(***1111)",
        "b": "<16 bytes>",
        "none": None,
        "yes": True,
    }


def test_a_card_number_that_begins_with_a_shorter_one_is_masked_whole() -> None:
    number = "4000 0000 0002 1008"
    assert luhn("400000000002")
    assert luhn(number.replace(" ", ""))
    assert text(number) == "***1008"


def test_a_line_of_nothing_but_digits_takes_no_time() -> None:
    assert masking.MASK in text("0 " * 10_000)


def test_nesting_without_end_is_cut() -> None:
    endless: dict[str, object] = {}
    endless["again"] = endless
    assert masking.MASK in str(masked(endless))


def test_a_huge_text_is_cut() -> None:
    assert len(text("x" * 10_000_000)) <= masking.LONGEST_TEXT + 3


def test_no_secret_is_kept_to_know_it_again() -> None:
    number, secret = "4111 1111 1111 1111", "correct horse"
    for _ in range(2):
        masking.processor(None, "info", {"a": number, "password": secret, "b": f"token={secret}"})
        assert not any(number in known or secret in known for known in masking._harmless)


def test_what_is_known_to_be_harmless_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_MOST_KNOWN", 10)
    for number in range(100):
        assert masking.processor(None, "info", {"a": f"sale {number}"}) == {"a": f"sale {number}"}
        assert len(masking._harmless) <= 10
