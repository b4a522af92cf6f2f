"""What is sealed is read with its key alone, and a key that is not there says what to do."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest

from tillwire.errors import ConfigurationError, JournalError
from tillwire.journal.vault import KeyFileVault, key_path

SECRET = "https://till.example/told?token=s3cret-ü"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return key_path(tmp_path / "journal.db")


def test_what_was_sealed_is_read_in_another_life(key: Path) -> None:
    sealed = KeyFileVault(key).seal(SECRET)
    assert "s3cret" not in sealed
    assert KeyFileVault(key).open(sealed) == SECRET


def test_it_is_sealed_differently_each_time(key: Path) -> None:
    vault = KeyFileVault(key)
    assert vault.seal(SECRET) != vault.seal(SECRET)
    assert vault.open(vault.seal("")) == ""


def test_the_key_is_made_at_first_use_for_its_owner_alone(key: Path) -> None:
    vault = KeyFileVault(key)
    assert not key.exists()
    vault.seal(SECRET)
    assert key.name == "journal.db.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in key.parent.iterdir()] == [key.name]


def test_what_is_derived_is_the_same_in_another_life_and_different_by_purpose(key: Path) -> None:
    first = KeyFileVault(key).derive("callbacks")
    assert len(first) == 32
    assert KeyFileVault(key).derive("callbacks") == first
    assert KeyFileVault(key).derive("tokens") != first
    assert first not in key.read_bytes()


def test_two_who_make_it_at_once_have_the_same(key: Path) -> None:
    vaults = [KeyFileVault(key) for _ in range(8)]
    sealed: list[str] = []
    threads = [
        threading.Thread(target=lambda each=each: sealed.append(each.seal(SECRET)))
        for each in vaults
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [vaults[0].open(each) for each in sealed] == [SECRET] * 8


def test_a_missing_key_says_what_to_do(key: Path) -> None:
    sealed = KeyFileVault(key).seal(SECRET)
    key.unlink()
    with pytest.raises(JournalError, match=f"{key.name} is missing: put it back from the backup"):
        KeyFileVault(key).open(sealed)


def test_another_key_says_what_to_do(key: Path) -> None:
    sealed = KeyFileVault(key).seal(SECRET)
    key.unlink()
    other = KeyFileVault(key)
    other.seal("something")
    with pytest.raises(JournalError, match="put the right key file there from the backup"):
        other.open(sealed)


@pytest.mark.parametrize("place", [0, 1, 3, 20, -1])
def test_what_was_changed_is_not_read(key: Path, place: int) -> None:
    vault = KeyFileVault(key)
    sealed = list(vault.seal(SECRET))
    sealed[place] = "A" if sealed[place] != "A" else "B"
    with pytest.raises(JournalError):
        vault.open("".join(sealed))


@pytest.mark.parametrize("nonsense", ["", ".", "..", "1", "1..", "2.aa.bb", "1.00000000.é", SECRET])
def test_nonsense_is_not_read(key: Path, nonsense: str) -> None:
    vault = KeyFileVault(key)
    vault.seal(SECRET)
    with pytest.raises(JournalError):
        vault.open(nonsense)


@pytest.mark.parametrize(
    "octets", [b"", b"short", b"\xff\xfe", base64.b64encode(b"x" * 31), b"not base64!"]
)
def test_a_file_that_is_no_key_is_told_at_once(key: Path, octets: bytes) -> None:
    key.write_bytes(octets)
    key.chmod(0o600)
    with pytest.raises(ConfigurationError, match="key"):
        KeyFileVault(key)


def test_a_key_that_everybody_reads_is_refused(key: Path) -> None:
    KeyFileVault(key).seal(SECRET)
    key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        KeyFileVault(key)


def test_a_key_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    vault = KeyFileVault(tmp_path / "nowhere" / "key")
    with pytest.raises(JournalError, match=r"cannot be made.*journal\.key_file"):
        vault.seal(SECRET)
