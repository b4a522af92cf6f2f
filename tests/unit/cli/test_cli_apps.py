"""`tillwire apps`: the id is printed alone, and a private key is made once, in its owner's file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from tests.unit.cli.conftest import Run
from tests.unit.cli.test_cli_keys import estate_in
from tests.unit.estate.test_applications import ID, UUID, private, public

ADD = ("apps", "add", "-o", "shop", "--name", "Till software")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A public key, as its application hands it over."""
    path = tmp_path / "till.pub"
    path.write_bytes(public(private(2048)))
    return path


def test_the_id_stands_alone_on_standard_output(run: Run, journal: Path, key_file: Path) -> None:
    ran = run(*ADD, "--public-key", key_file, "--journal", journal)
    assert ran.status == 0
    assert re.fullmatch(r"urn:aid:[0-9a-f-]{36}\n", ran.out)
    application = estate_in(journal).applications[ran.out.strip()]
    assert (application.organisation_id, application.name) == ("shop", "Till software")
    assert application.permissions == ("cloud-messages:write",)
    assert application.public_key.encode() == key_file.read_bytes()


def test_an_id_from_a_portal_is_kept(run: Run, journal: Path, key_file: Path) -> None:
    add = (*ADD, "--public-key", key_file, "--id", f"{UUID}={ID}", "--journal", journal)
    assert run(*add).out == f"{ID}\n"
    again = run(*add)
    assert (again.status, again.out) == (1, "")
    assert f"There is an application {ID} already" in again.err


def test_a_key_that_is_made_is_its_owners_alone(run: Run, journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "till.pem"
    ran = run(*ADD, "--generate", path, "--permission", "none", "--journal", journal)
    assert ran.status == 0
    assert path.stat().st_mode & 0o777 == 0o600
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    application = estate_in(journal).applications[ran.out.strip()]
    told = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert application.public_key.encode() == told
    assert application.permissions == ()
    assert "PRIVATE" not in ran.out + ran.err
    assert b"PRIVATE" not in journal.read_bytes()


def test_a_file_that_is_there_is_never_overwritten(
    run: Run, journal: Path, tmp_path: Path, key_file: Path
) -> None:
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "elsewhere.pem")
    for path in (key_file, link):
        ran = run(*ADD, "--generate", path, "--journal", journal)
        assert (ran.status, ran.out) == (2, "")
        assert "it is there already, and a key is never overwritten" in ran.err
    assert key_file.read_bytes() == public(private(2048))
    assert not (tmp_path / "elsewhere.pem").exists()
    assert not estate_in(journal).applications


def test_no_key_is_left_of_an_application_that_was_not_added(
    run: Run, journal: Path, tmp_path: Path, key_file: Path
) -> None:
    run(*ADD, "--public-key", key_file, "--id", ID, "--journal", journal)
    made = tmp_path / "made.pem"
    assert run(*ADD, "--generate", made, "--id", ID, "--journal", journal).status == 1
    assert run("apps", "add", "-o", "shp", "-n", "x", "--generate", made, "--journal", journal).err
    assert not made.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--public-key, --generate: one of them is needed, and not both"),
        (("--public-key", "KEY", "--generate", "x.pem"), "one of them is needed, and not both"),
        (("--public-key", "nowhere.pub"), "nowhere.pub: it cannot be read"),
        (("--generate", "nowhere/key.pem"), "nowhere/key.pem: it cannot be written"),
        (("--public-key", "WEAK"), "public_key: it has 1024 bits"),
        (("--public-key", "LARGE"), "too large to be a key"),
        (("--public-key", "KEY", "--id", "till"), "id: 'till' is no application id"),
        (("--public-key", "KEY", "--permission", "all"), "there is no permission 'all'"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    run: Run, journal: Path, tmp_path: Path, key_file: Path, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / "weak.pub").write_bytes(public(private(1024)))
    (tmp_path / "large.pub").write_bytes(b"x" * (1 << 17))
    files = {"KEY": key_file, "WEAK": tmp_path / "weak.pub", "LARGE": tmp_path / "large.pub"}
    ran = run(*ADD, *(files.get(each, each) for each in options), "--journal", journal)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not estate_in(journal).applications


def test_applications_are_listed_with_what_they_may_do(
    run: Run, journal: Path, key_file: Path
) -> None:
    assert "No applications yet" in run("apps", "list", "--journal", journal).err
    run(*ADD, "--public-key", key_file, "--id", ID, "--journal", journal)
    (document,) = run("apps", "list", "-o", "shop", "--json", "--journal", journal).document
    assert (document["id"], document["revoked_at"]) == (ID, None)
    assert document["public_key"] == key_file.read_text()
    line = run("apps", "list", "--journal", journal).out.splitlines()[1]
    assert line.startswith(f"{ID}  shop          Till software  cloud-messages:write")
    assert f"  {document['fingerprint'][:16]}  " in line
    assert line.endswith("  valid")


def test_a_revoked_application_stays_so(run: Run, journal: Path, key_file: Path) -> None:
    add = (*ADD, "--public-key", key_file, "--id", ID, "--journal", journal)
    run(*add)
    ran = run("apps", "revoke", f"{UUID}={ID}", "--journal", journal)
    assert ran.out == f"Application {ID} (Till software) is revoked.\n"
    assert estate_in(journal).applications[ID].revoked_at is not None
    assert "is revoked already" in run("apps", "revoke", ID, "--journal", journal).err
    assert "already: take another id" in run(*add).err
    assert run("apps", "list", "--journal", journal).out.splitlines()[1].endswith("  revoked")
    assert "No application urn" in run("apps", "revoke", ID[:-1] + "0", "--journal", journal).err
