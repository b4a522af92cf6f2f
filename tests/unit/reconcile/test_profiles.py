"""Profiles: what is wrong with one is said by the setting's name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.reconcile.books import SMALL, profile
from tillwire.errors import ConfigurationError
from tillwire.reconcile import profiles

NUMBERED = """
currency = "EUR"
[file]
header = false
[columns]
amount = 1
at = 2
"""


@pytest.mark.parametrize("name", profiles.shipped())
def test_each_shipped_profile_is_sound_and_says_what_it_is_for(name: str) -> None:
    assert profiles.load(name).description


def test_those_of_the_sources_and_our_own_are_shipped() -> None:
    assert {"tillwire", "nexi-check-transaction", "nexi-ios-list"} <= set(profiles.shipped())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SMALL.replace('"EUR"', '"EURO"'), "currency: no amount has a currency"),
        (SMALL.replace("amount =", "amuont ="), "columns.amuont: there is no such column"),
        (SMALL.replace('at = "Date"', ""), "columns.at: this setting is missing"),
        (SMALL.replace('"Ref"', "[]"), "columns.reference: it has no name, or too many"),
        (SMALL.replace('"Ref"', "1"), "columns.reference: it is not named as the file has it"),
        (SMALL + "[file]\nheader = false\n", "it is not named as the file has it"),
        (SMALL + '[amount]\ndecimal = ","\nthousands = ","\n', "amount.thousands"),
        (SMALL + '[time]\nzone = "Europe/Rom"\n', "time.zone: there is no such zone"),
        (SMALL + '[time]\nformat = "%d"\n', "time.zone: times without an offset need a zone"),
        (SMALL + '[file]\nencoding = "klingon"\n', "file.encoding: there is no such encoding"),
        (SMALL + '[file]\ndelimiter = ";;"\n', "file.delimiter"),
        (SMALL + '[file]\ndelimiter = "x"\n', "file.delimiter: it separates nothing"),
        (SMALL + '[file]\nquote = "\\n"\n', "file.quote: it separates nothing"),
        (SMALL + '[file]\ndelimiter = "\\""\n', "file.quote: it is the delimiter, too"),
        (SMALL + '[file]\nencoding = "base64"\n', "file.encoding: there is no such encoding"),
        (SMALL + '[time]\nzone = "right/UTC"\n', "time.zone: there is no such zone"),
        (SMALL + '[time]\nzone = "../../etc/passwd"\n', "time.zone: there is no such zone"),
        (SMALL + '[time]\nformat = "%d %s"\n', "time.format: there is no '%s'"),
        (SMALL + '[time]\nformat = "today"\n', "time.format: there is no time in it"),
        (SMALL + '[time]\nformat = "%d %%z"\n', "time.zone: times without an offset need a zone"),
        (SMALL + '[statuses]\nok = "APPROVED"\nOK = "DECLINED"\n', "it is there twice"),
        (SMALL + '[statuses]\nok = "PAID"\n', "statuses"),
        (SMALL + "[file]\nabove = 1\nheader = false\n", "file"),
        (SMALL + '[file]\nabove = 1\nformat = "json"\n', "file.above: there are no headings"),
        (SMALL + "[ignore]\nKind = []\n", "ignore.Kind: it has no word"),
        (SMALL + '[ignore]\nKind = ["*"]\n', "ignore"),
        (SMALL + '[ignore]\nKind = "FEE"\n', "ignore"),
        (NUMBERED + '[ignore]\nKind = ["FEE"]\n', "ignore.Kind: there are no headings"),
        (SMALL + 'refund = "Back"\n', "columns.refund: nothing is given back here"),
        ('tid = "1"\n' + SMALL + 'tid = "Tid"\n', "tid: there is a column for it, too"),
        (SMALL + "[colums]\n", "did you mean 'columns'?"),
        ("keys = 1", "keys"),
        ("= 1", "it is not valid TOML"),
    ],
)
def test_a_mistake_is_told_by_the_setting(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        profile(tmp_path / "p.toml", text)
    assert told in str(error.value)


def test_a_profile_that_there_is_not_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is: nexi-check-transaction"):
        profiles.load("nexo")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        profiles.load(str(tmp_path / "none.toml"))


def test_a_profile_is_a_regular_file(tmp_path: Path) -> None:
    """A pipe that nobody writes into would be waited for without end."""
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("pipe.toml", "zero.toml"):
        with pytest.raises(ConfigurationError, match=f"{name}: it is no regular file"):
            profiles.load(str(tmp_path / name))
