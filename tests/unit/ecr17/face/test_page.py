"""The page for those who connect a till: its example can be used, and its amounts are right."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from tillwire.config import ListenerSettings
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.virtual.script import APPROVED, ENDINGS

PAGE: Final = (
    Path(__file__).parents[4] / "docs" / "how-to" / "connect-an-ecr17-till.md"
).read_text(encoding="utf-8")


def test_the_example_can_be_used() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (given,) = tomllib.loads(example)["listener"]
    (face,) = msgspec.convert(given, ListenerSettings).faces
    assert face.name == "ecr17"
    assert msgspec.convert(face.settings, Settings).terminal == "NEXI-P61B-71050510"


def test_the_amounts_do_what_the_page_says() -> None:
    told = {int(cents) for cents in re.findall(r"\b1[02],(\d\d)\b", PAGE)}
    assert told == {0, 40, 46, 47, 49}
    assert ENDINGS.get(0, APPROVED) is APPROVED
    assert ENDINGS[46].answer_lost
    assert ENDINGS[47].restart
    assert ENDINGS[49].seconds == 20
