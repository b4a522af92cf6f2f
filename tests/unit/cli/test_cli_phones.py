"""`tillwire softpos link`, `inquire`, `read-return`: what is shown, and what is not."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.cli.conftest import ESTATE, Run
from tillwire.dialects.softpos.driver.inquiries import PURPOSE
from tillwire.journal.vault import KeyFileVault, key_path
from tillwire.net.secret_paths import SecretPaths

PHONE = """
[[organisations.merchants.stores.terminals]]
key = "till-7"
manufacturer = "NEXI"
model = "SOFTPOS"
serial = "phone7"
tid = "30351234"
driver = "softpos"

[organisations.merchants.stores.terminals.settings]
profile = "staging"
client_id = "app"
client_secret_file = "/nowhere/secret"
certificate_file = "/nowhere/crt"
private_key_file = "/nowhere/key"
return_url = "https://pay.shop.example/softpos"
"""
BACK = "https://pay.shop.example/softpos/x?callerTrxId=a1&operationType=PAYMENT&result=21&amount=5"


@pytest.fixture
def journal(run: Run, tmp_path: Path) -> Path:
    """A journal with a phone."""
    estate, path = tmp_path / "estate.toml", tmp_path / "journal.db"
    estate.write_text(ESTATE + PHONE)
    assert run("estate", "apply", estate, "--journal", path, "--yes").status == 0
    # A gateway makes the key when it starts.
    KeyFileVault(key_path(path)).seal("")
    return path


@pytest.mark.parametrize(
    ("what", "operation"),
    [("last-transaction", "last_transaction"), ("accounting-closure", "accounting_closure")],
)
def test_an_inquiry_leads_back_to_an_address_of_its_own(
    run: Run, journal: Path, what: str, operation: str
) -> None:
    ran = run("softpos", "inquire", "30351234", what, "--journal", journal, "--json")
    assert ran.status == 0
    parts = urlsplit(ran.document["link"])
    assert (parts.scheme, parts.netloc) == ("neximpos", operation)
    asked = {key: value for key, (value,) in parse_qs(parts.query).items()}
    base, _, token = asked["uri"].rpartition("/")
    assert base == "https://pay.shop.example/softpos/inquiries"
    paths = SecretPaths(KeyFileVault(key_path(journal)), PURPOSE)
    assert paths.transaction_id(token) == asked["callerTrxId"]


def test_the_code_is_drawn_beside_the_link(run: Run, journal: Path, tmp_path: Path) -> None:
    svg = tmp_path / "code.svg"
    ran = run(
        "softpos", "inquire", "30351234", "last-transaction", "--svg", svg, "--journal", journal
    )
    assert ran.out.startswith("neximpos://last_transaction?")
    lines = [line for line in ran.err.splitlines() if "\u2588" in line]
    assert len(lines) > 20
    assert len({len(line) for line in lines}) == 1, "square"
    assert "<svg" in svg.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inquire", "30351234", "refund"], "last-transaction"),
        (["inquire", "30350002", "last-transaction"], "not by links"),
        (["link", "1" * 31], "No transaction"),
        (["check", "1" * 31], "No transaction"),
    ],
)
def test_what_cannot_be_shown(run: Run, journal: Path, arguments: list[str], words: str) -> None:
    ran = run("softpos", *arguments, "--journal", journal)
    assert ran.status
    assert words in ran.err


def test_a_return_is_read_and_not_believed(run: Run) -> None:
    ran = run("softpos", "read-return", BACK)
    assert ran.status == 0
    assert ran.out.startswith("PAYMENT a1: declined (21)\n")
    assert "forged" in ran.err
    assert run("softpos", "read-return", BACK, "--json").document["amount"] == 5


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (BACK + "&amount=6", "URL: A parameter is there twice.\n"),
        ("nonsense", "URL: It has no parameters, too many, or some that are not ASCII.\n"),
        ("https://[x", "URL: it is no address. Allowed: all that the app led back to.\n"),
        ("https://x/?amount=%FF", "URL: Its parameters cannot be read.\n"),
    ],
)
def test_a_return_that_cannot_be_read_is_refused_in_one_sentence(
    run: Run, url: str, says: str
) -> None:
    ran = run("softpos", "read-return", url)
    assert (ran.status, ran.out, ran.err) == (2, "", f"Error: {says}")
