"""The settings file: what is right is read, and every mistake is told so that it can be mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tillwire import config
from tillwire.config import Configuration, Format, Level, Page
from tillwire.errors import ConfigurationError


class TillSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    page_size: int = 10


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    passphrase_file: str


class LaneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[Key, ...] = ()
    ca_file: str = ""
    names: dict[str, str] = {}


def _only_small_pages(given: Any) -> str:
    return "page_size" if given.page_size > 10 else ""


class Kind(msgspec.Struct, frozen=True):
    settings: type[msgspec.Struct] = TillSettings
    stream: bool = False
    reverse: bool = False
    only_on_loopback: Callable[[Any], str] = lambda given: ""
    mutual: bool = False
    alone: Callable[[Any], str] = lambda given: ""


FACES = {
    "tills": Kind(),
    "virtual": Kind(),
    "testing": Kind(only_on_loopback=_only_small_pages),
    "lanes": Kind(LaneSettings, stream=True),
    "mutual": Kind(mutual=True),
    "dialling": Kind(stream=True, reverse=True, alone=lambda given: f"the Page {given.page_size}"),
}

SMALLEST = """
[journal]
path = "journal.db"

[[listener]]
name = "front"
port = 8080
pages = ["start"]
"""


def load(folder: Path, text: str) -> Configuration:
    file = folder / "tillwire.toml"
    file.write_text(text)
    return config.load(file, FACES)


def test_the_smallest_file_has_defaults_for_the_rest(tmp_path: Path) -> None:
    found = load(tmp_path, SMALLEST)
    (listener,) = found.listeners
    assert listener.address == "127.0.0.1"
    assert listener.limits.header_bytes == 32_768
    assert (found.log.level, found.log.format) == (Level.INFO, Format.AUTO)
    assert not found.serves(Page.METRICS)


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    found = load(tmp_path, SMALLEST.replace("journal.db", "data/journal.db"))
    assert found.journal.path == str(tmp_path / "data/journal.db")
    assert found.journal.key_file == str(tmp_path / "data/journal.db.key")
    named = SMALLEST.replace('journal.db"', 'journal.db"\nkey_file = "data/key"')
    assert load(tmp_path, named).journal.key_file == str(tmp_path / "data/key")


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (tmp_path / name).touch()
    found = load(
        tmp_path,
        SMALLEST
        + """
public_url = "https://pay.example.com/tills"
trusted_proxies = ["10.0.0.1"]
limits = { connections = 5, header_bytes = 2048 }
tls = { certificate = "cert.pem", key = "key.pem", client_ca = "ca.pem" }

[[listener.face]]
name = "tills"
prefix = "/merchantapi"
settings = { page_size = 7 }

[log]
level = "debug"
format = "json"
""",
    )
    (listener,) = found.listeners
    assert listener.public_url == "https://pay.example.com/tills"
    assert listener.limits.connections == 5
    assert listener.tls is not None
    assert listener.tls.client_ca == str(tmp_path / "ca.pem")
    assert listener.faces[0].settings == {"page_size": 7}
    assert found.log.format is Format.JSON


def test_a_lane_may_dial_its_till(tmp_path: Path) -> None:
    (listener,) = load(tmp_path, DIALLING.replace("8080", '1470\naddress = "till-4"')).listeners
    assert (listener.reverse, listener.address, listener.port) == (True, "till-4", 1470)
    assert not load(tmp_path, LANES + LANE).listeners[0].reverse


def test_files_that_a_face_names_count_from_the_folder_of_the_file_too(tmp_path: Path) -> None:
    for name in ("nexo.key", "ca.pem"):
        (tmp_path / name).touch()
    settings = '{ keys = [{ passphrase_file = "nexo.key" }], ca_file = "ca.pem", names = NAMES }'
    named = settings.replace("NAMES", '{ a_file = "no path" }')
    found = load(tmp_path, LANES + LANE + f"settings = {named}")
    assert found.listeners[0].faces[0].settings == {
        "keys": [{"passphrase_file": str(tmp_path / "nexo.key")}],
        "ca_file": str(tmp_path / "ca.pem"),
        "names": {"a_file": "no path"},
    }


FACE = '\n[[listener.face]]\nname = "tills"\n'

LANE = '\n[[listener.face]]\nname = "lanes"\n'
LANES = SMALLEST.replace('pages = ["start"]', "")
DIALLING = LANES + "reverse = true" + LANE.replace("lanes", "dialling")

MISTAKES = {
    "a misspelt setting": (
        SMALLEST + 'adress = "::1"',
        "listener[0].adress: there is no such setting; did you mean 'address'?",
    ),
    "a misspelt table": (
        SMALLEST + "[logs]",
        "logs: there is no such setting; did you mean 'log'?",
    ),
    "a setting of a face that it does not have": (
        SMALLEST + FACE + "settings = { page_sise = 3 }",
        "listener[0].face[0].settings.page_sise: there is no such setting; "
        "did you mean 'page_size'?",
    ),
    "a missing setting": (
        SMALLEST.replace("port = 8080", ""),
        "listener[0].port: this setting is missing. Allowed: a whole number from 0 to 65535.",
    ),
    "a wrong type": (
        SMALLEST.replace("8080", '"8080"'),
        "listener[0].port: expected a whole number, got text. "
        "Allowed: a whole number from 0 to 65535.",
    ),
    "a number out of range": (
        SMALLEST.replace("8080", "80800"),
        "listener[0].port: expected a whole number <= 65535.",
    ),
    "a word that is none of its values": (
        SMALLEST.replace("start", "home"),
        "listener[0].pages[0]: 'home' is not one of its values. Allowed: start, health, metrics.",
    ),
    "no such face": (
        SMALLEST + FACE.replace("tills", "till"),
        "listener[0].face[0].name: there is no face 'till'. "
        "Allowed: dialling, lanes, mutual, testing, tills, virtual.",
    ),
    "a prefix that ends with a slash": (
        SMALLEST + FACE + 'prefix = "/tills/"',
        "listener[0].face[0].prefix: '/tills/' cannot be a prefix.",
    ),
    "two faces in one place": (
        SMALLEST + 2 * (FACE + 'prefix = "/tills"'),
        "listener[0].face[1].prefix: '/tills' is used twice.",
    ),
    "a face on the start page's place": (
        SMALLEST + FACE,
        "listener[0].pages: the start page and a face both want the root.",
    ),
    "a listener that serves nothing": (
        SMALLEST.replace('["start"]', "[]"),
        "listener[0]: it serves nothing.",
    ),
    "two listeners of one name": (
        SMALLEST + '[[listener]]\nname = "front"\nport = 8081\npages = ["start"]',
        "listener[1].name: 'front' is the name of listener[0], too.",
    ),
    "two listeners in one place": (
        SMALLEST + '[[listener]]\nname = "back"\nport = 8080\npages = ["start"]',
        "listener[1].port: 127.0.0.1:8080 is taken by listener[0].",
    ),
    "a public address that is none": (
        SMALLEST + 'public_url = "pay.example.com"',
        "listener[0].public_url: 'pay.example.com' is not an address.",
    ),
    "a public address with a slash at its end": (
        SMALLEST + 'public_url = "https://pay.example.com/"',
        "listener[0].public_url: 'https://pay.example.com/' has more than that.",
    ),
    "a certificate that is not there": (
        SMALLEST + 'tls = { certificate = "cert.pem", key = "key.pem" }',
        "listener[0].tls.certificate: there is no file",
    ),
    "the open virtual world in public": (
        SMALLEST.replace("8080", '8080\naddress = "0.0.0.0"')
        + FACE.replace("tills", "virtual")
        + 'prefix = "/virtual"',
        "listener[0].face[0]: the face 'virtual' has no authentication, and 0.0.0.0 is public.",
    ),
    "what is for testing in public": (
        SMALLEST.replace("8080", '8080\naddress = "0.0.0.0"')
        + FACE.replace("tills", "testing")
        + 'prefix = "/t"\nsettings = { page_size = 11 }',
        "listener[0].face[0].settings.page_size: it is for testing, and 0.0.0.0 is public.",
    ),
    "what is for testing behind a proxy": (
        SMALLEST
        + 'public_url = "https://pay.example.com"\n'
        + FACE.replace("tills", "testing")
        + 'prefix = "/t"\nsettings = { page_size = 11 }',
        "settings.page_size: it is for testing, and https://pay.example.com is public.",
    ),
    "callers without certificates where their certificates tell who they are": (
        SMALLEST
        + 'tls = { certificate = "cert.pem", key = "key.pem" }'
        + FACE.replace("tills", "mutual")
        + 'prefix = "/mutual"',
        "listener[0].tls.client_ca: the face 'mutual' knows its callers by their certificates. "
        "Allowed: the PEM file of their authority.",
    ),
    "a virtual world that is not there": (
        SMALLEST + FACE.replace("tills", "virtual") + 'prefix = "/virtual"',
        "listener[0].face: there are no virtual terminals here.",
    ),
    "a byte stream that shares its port": (
        LANES + LANE + FACE + 'prefix = "/tills"',
        "listener[0].face: 'lanes' and 'tills' cannot share a port. "
        "Allowed: a listener of its own for a byte stream.",
    ),
    "pages on a byte stream": (
        SMALLEST + LANE,
        "listener[0].pages: the face 'lanes' is not HTTP. Allowed: leave it out.",
    ),
    "a prefix on a byte stream": (
        LANES + LANE + 'prefix = "/nexo"',
        "listener[0].face[0].prefix: the face 'lanes' is not HTTP.",
    ),
    "a public address of a byte stream": (
        LANES + 'public_url = "https://pay.example.com"' + LANE,
        "listener[0].public_url: the face 'lanes' is not HTTP.",
    ),
    "proxies before a byte stream": (
        LANES + 'trusted_proxies = ["10.0.0.1"]' + LANE,
        "listener[0].trusted_proxies: the face 'lanes' is not HTTP.",
    ),
    "a byte stream that cannot dial": (
        LANES + "reverse = true" + LANE,
        "listener[0].reverse: 'lanes' can only listen. Allowed: with dialling only.",
    ),
    "HTTP that is to dial": (
        SMALLEST + "reverse = true" + FACE + 'prefix = "/tills"',
        "listener[0].reverse: 'tills' can only listen.",
    ),
    "pages that are to dial": (
        SMALLEST + "reverse = true",
        "listener[0].reverse: a page can only listen.",
    ),
    "a till at no port": (
        DIALLING.replace("8080", "0"),
        "listener[0].port: nobody can be dialled at 0. Allowed: the till's port.",
    ),
    "a till at every address": (
        DIALLING.replace("8080", '8080\naddress = "0.0.0.0"'),
        "listener[0].address: 0.0.0.0 is nobody's address.",
    ),
    "TLS with a till that is dialled": (
        DIALLING + '[listener.tls]\ncertificate = "a.pem"\nkey = "b.pem"\n',
        "listener[0].tls: a till that is dialled speaks no TLS. Allowed: leave it out.",
    ),
    "a till that two lanes dial": (
        DIALLING + DIALLING[DIALLING.index("[[listener]]") :].replace("front", "back"),
        "listener[1].port: 127.0.0.1:8080 is taken by listener[0].",
    ),
    "two lanes of what has room for one": (
        DIALLING
        + DIALLING[DIALLING.index("[[listener]]") :]
        .replace("front", "back")
        .replace("8080", "8081"),
        "listener[1].face[0].settings: the Page 10 is served by listener[0].face[0], too.",
    ),
    "a file of a face that is not there": (
        LANES + LANE + 'settings = { keys = [{ passphrase_file = "nexo.key" }] }',
        "listener[0].face[0].settings.keys[0].passphrase_file: there is no file",
    ),
    "no listener": ('[journal]\npath = "j.db"\n', "listener: this setting is missing."),
    "a journal in a folder that is not there": (
        SMALLEST.replace("journal.db", "nowhere/journal.db"),
        "journal.path: the folder",
    ),
    "a key in a folder that is not there": (
        SMALLEST.replace('journal.db"', 'journal.db"\nkey_file = "nowhere/key"'),
        "journal.key_file: the folder",
    ),
    "no room for any letter": (
        SMALLEST + "[callbacks]\nparallel = 0\n",
        "callbacks.parallel",
    ),
    "not TOML": ("journal", "it is not valid TOML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_setting_and_what_is_allowed(
    mistake: str, tmp_path: Path
) -> None:
    text, told = MISTAKES[mistake]
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "tillwire.toml") in str(caught.value)
    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: it cannot be read"):
        config.load(tmp_path / "nowhere.toml", FACES)
