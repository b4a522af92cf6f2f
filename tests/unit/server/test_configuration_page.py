"""The page of settings has every setting, with its default, and its example can be used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tillwire import config
from tillwire.server.faces import FACES

PAGE: Final = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
NOT_THERE: Final = {"must be there", "none", "all of the organisation"}
"""Words for a default that is no value."""


def told(after: str) -> dict[str, str]:
    """The settings of the first table behind the words, with their defaults."""
    table = PAGE.partition(after)[2].partition("| setting |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", table, re.MULTILINE))


@pytest.mark.parametrize(
    ("after", "kind", "elsewhere"),
    [
        ("## `[journal]`", config.JournalSettings, set()),
        ("## `[log]`", config.LogSettings, set()),
        ("## `[virtual]`", config.VirtualSettings, set()),
        ("## `[callbacks]`", config.CallbackSettings, set()),
        ("## `[[listener]]`", config.ListenerSettings, {"tls", "limits", "faces"}),
        ("### `[listener.tls]`", config.TlsSettings, set()),
        ("### `[listener.limits]`", config.Limits, set()),
        ("### `[[listener.face]]`", config.FaceSettings, set()),
        ("Settings of `merchantapi`", FACES["merchantapi"].settings, set()),
        ("Settings of `nexo-http`", FACES["nexo-http"].settings, set()),
        ("Settings of `ecr17`", FACES["ecr17"].settings, set()),
        ("Settings of `paymentbridge`", FACES["paymentbridge"].settings, set()),
        ("Settings of `smartconnect`", FACES["smartconnect"].settings, set()),
        ("Settings of `softpos`", FACES["softpos"].settings, set()),
    ],
)
def test_every_setting_is_told_with_its_default(
    after: str, kind: type[msgspec.Struct], elsewhere: set[str]
) -> None:
    found = told(after)
    assert set(found) == set(kind.__struct_fields__) - elsewhere
    for field in msgspec.structs.fields(kind):
        said = found.get(field.name)
        if said is None or said in NOT_THERE:
            continue
        default = msgspec.json.encode(default_of(field))
        assert msgspec.json.decode(said) == msgspec.json.decode(default), field.name


def default_of(field: msgspec.structs.FieldInfo) -> object:
    """What the setting is when it is left out."""
    has_none_of_its_own = field.default is msgspec.NODEFAULT
    return field.default_factory() if has_none_of_its_own else field.default


def test_every_face_is_told() -> None:
    names = re.findall(
        r"^\| `([\w-]+)` \|", PAGE.partition("who connects")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert set(names) == set(FACES)


DOCS: Final = Path(__file__).parents[3] / "docs"
EXAMPLES: Final = [
    pytest.param(example, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.rglob("*.md"))
    for number, example in enumerate(
        re.findall(
            r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    )
    # Neither estates, nor what the columns of other people's files are.
    if "organisations" not in example and "[columns]" not in example
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_a_listener_can_be_used(tmp_path: Path, example: str) -> None:
    journal = "" if "[journal]" in example else '[journal]\npath = "journal.db"\n'
    here = re.sub(r'"/(?:etc|var/lib)/tillwire/', '"', journal + example)
    for name in re.findall(r'"([\w.-]+\.(?:pem|key|crt|passphrase))"', here):
        (tmp_path / name).touch()
    file = tmp_path / "tillwire.toml"
    file.write_text(here)
    assert config.load(file, FACES).listeners


def test_the_whole_file_can_be_used(tmp_path: Path) -> None:
    (example,) = re.findall(r"A whole file:\n\n```toml\n(.*?)```", PAGE, re.DOTALL)
    for name in ("pay.pem", "pay.key"):
        (tmp_path / name).touch()
    file = tmp_path / "tillwire.toml"
    file.write_text(re.sub(r'"/(?:etc|var/lib)/tillwire/', '"', example))
    found = config.load(file, FACES)
    assert [each.name for each in found.listeners] == [
        "tills",
        "nexo",
        "nexo sockets",
        "operations",
    ]
