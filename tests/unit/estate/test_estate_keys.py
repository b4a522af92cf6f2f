"""Secrets are strong, shown once, and kept as digests."""

from __future__ import annotations

import hashlib

import pytest

from tillwire.clock import Instant, SystemClock
from tillwire.core.estate_model import ApiKey
from tillwire.errors import InvalidRequest
from tillwire.estate.keys import digest_of, new_api_key, new_device_token


def key_of(label: str = "till 1", **validity: Instant | None) -> tuple[ApiKey, str]:
    return new_api_key("shop", label, SystemClock(), **validity)


def test_the_estate_holds_the_digest_and_never_the_secret() -> None:
    key, secret = key_of()
    assert secret.startswith("tw_")
    assert key.digest == hashlib.sha256(secret.encode()).digest() == digest_of(secret)
    assert secret.encode() not in bytes(repr(key), "utf-8")


def test_two_keys_share_neither_id_nor_secret() -> None:
    made = [key_of() for _ in range(50)]
    assert len({key.id for key, _ in made}) == len({secret for _, secret in made}) == 50


def test_ids_are_positive_and_survive_every_json_parser() -> None:
    assert all(0 < key_of()[0].id < 2**53 for _ in range(50))


def test_validity_is_kept() -> None:
    key, _ = key_of(valid_from=Instant(10), valid_until=Instant(20))
    assert [key.valid_at(Instant(now)) for now in (9, 10, 19, 20)] == [False, True, True, False]


@pytest.mark.parametrize("until", [10, 9])
def test_a_validity_that_ends_before_it_begins_is_refused(until: int) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        key_of(valid_from=Instant(10), valid_until=Instant(until))
    assert refusal.value.field == "validity.until"


@pytest.mark.parametrize("label", ["", "   ", "x" * 101, "a\nb", "a\x1b[31m", "\ud800"])
def test_a_label_is_something_that_people_can_read(label: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        key_of(label)
    assert refusal.value.field == "label"


def test_a_device_token_is_known_by_its_digest_and_looks_different_from_a_key() -> None:
    digest, secret = new_device_token(SystemClock())
    assert secret.startswith("twd_")
    assert digest == digest_of(secret)


def test_garbage_from_the_wire_has_a_digest_too() -> None:
    assert len(digest_of("\ud800 anything")) == 32
