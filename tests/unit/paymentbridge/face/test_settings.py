"""What the settings of the face allow where."""

from __future__ import annotations

from pathlib import Path

import pytest

from tillwire import config
from tillwire.errors import ConfigurationError
from tillwire.server.faces import FACES

_FILE = """
[journal]
path = "journal.db"

[[listener]]
name = "front"
address = "{address}"
port = 8080

[[listener.face]]
name = "paymentbridge"
prefix = "/poynt"
settings = {{ mischief = {mischief} }}
"""


def _load(folder: Path, address: str, mischief: str) -> config.Configuration:
    path = folder / "tillwire.toml"
    path.write_text(_FILE.format(address=address, mischief=mischief))
    return config.load(path, FACES)


@pytest.mark.parametrize(
    "mischief",
    [
        '{ drop = ["final"] }',
        "{ final_twice = true }",
        "{ reversed_order = true }",
        "{ delay = 0.5 }",
    ],
)
def test_mischief_stays_on_this_machine(tmp_path: Path, mischief: str) -> None:
    with pytest.raises(ConfigurationError, match="mischief: it is for testing"):
        _load(tmp_path, "0.0.0.0", mischief)
    found = _load(tmp_path, "127.0.0.1", mischief)
    assert found.listeners[0].faces[0].settings["mischief"]


def test_no_mischief_is_welcome_everywhere(tmp_path: Path) -> None:
    assert _load(tmp_path, "0.0.0.0", "{}").listeners


def test_a_callback_that_is_none_cannot_be_dropped(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="drop"):
        _load(tmp_path, "127.0.0.1", '{ drop = ["everything"] }')


def test_a_word_that_is_none_of_a_settings_says_which_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        _load(tmp_path, "127.0.0.1", '{ drop = ["fnal"] }')
    assert "drop[0]: 'fnal' is not one of its values. Allowed: " in str(refusal.value)
    for word in ("received", "started", "final"):
        assert word in str(refusal.value)
