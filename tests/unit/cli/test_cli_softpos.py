"""`tillwire softpos`: the secret is printed alone and once, keys are made in their owner's files,
and nothing is left of what was not registered."""

from __future__ import annotations

import re
import sqlite3
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.unit.cli.conftest import Run
from tests.unit.cli.test_cli_keys import estate_in
from tests.unit.estate.test_applications import private, public
from tillwire.cli.times import rfc3339
from tillwire.clock import SystemClock
from tillwire.estate.certificates import APP_LIVES, Issued, begun, issue, named, usage
from tillwire.estate.client_apps import MOST_FORMER_SECRETS
from tillwire.estate.keys import digest_of
from tillwire.journal.vault import KeyFileVault

EVERYTHING = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
TID = "30350002"
ADD = ("softpos", "add", "-o", "shop", "--name", "Backend", "--tid", TID)


@pytest.fixture
def made(run: Run, journal: Path, tmp_path: Path) -> Path:
    """A folder with an application's files, which is registered."""
    folder = tmp_path / "backend"
    ran = run(*ADD, "--generate", folder, "--make-ca", "--journal", journal)
    assert ran.status == 0, ran.err
    return folder


def test_the_secret_stands_alone_on_standard_output(
    run: Run, journal: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backend"
    ran = run(*ADD, "--generate", folder, "--make-ca", "--journal", journal)
    assert re.fullmatch(r"tws_[\w-]{43}\n", ran.out)
    (app,) = estate_in(journal).client_apps.values()
    assert app.id in ran.err
    assert app.secret_digest == digest_of(ran.out.strip())
    assert (app.organisation_id, app.profile, app.tids) == ("shop", "staging", (TID,))
    assert app.certificate.encode() == (folder / "app.crt").read_bytes()
    assert "PRIVATE" not in ran.out + ran.err
    assert ran.out.strip().encode() not in journal.read_bytes()


def test_what_is_made_is_its_owners_alone_and_belongs_together(made: Path) -> None:
    names = {each.name for each in made.iterdir()}
    assert names == {"client-ca-key.pem", "client-ca.pem", "app.key", "app.crt"}
    assert {each.stat().st_mode & 0o777 for each in made.iterdir()} == {0o600}
    assert b"PRIVATE" not in (made / "client-ca.pem").read_bytes()
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(made / "app.crt", made / "app.key")


def test_one_authority_serves_several_applications(
    run: Run, journal: Path, made: Path, tmp_path: Path
) -> None:
    second = (*ADD, "--generate", tmp_path / "second", "--ca", made / "client-ca-key.pem")
    assert run(*second, "--profile", "production", "--journal", journal).status == 0
    listed = run("softpos", "list", "--json", "--journal", journal).document
    assert [each["profile"] for each in listed] == ["staging", "production"]
    assert len({each["fingerprint"] for each in listed}) == 2
    assert "client_secret" not in listed[0]


def test_a_certificate_from_a_portal_is_taken_once(run: Run, journal: Path, made: Path) -> None:
    (first,) = estate_in(journal).client_apps.values()
    again = (*ADD, "--certificate", made / "app.crt", "--journal", journal)
    refused = run(*again)
    assert (refused.status, refused.out) == (1, "")
    assert f"The certificate is that of application {first.id}" in refused.err
    assert run("softpos", "revoke", first.id, "--journal", journal).status == 0
    taken = run(*again, "--json").document
    assert taken["client_secret"].startswith("tws_")
    assert run("softpos", "revoke", first.id, "--journal", journal).status == 1


def test_what_it_is_registered_with_can_be_changed(
    run: Run, journal: Path, made: Path, tmp_path: Path
) -> None:
    (app,) = estate_in(journal).client_apps.values()
    second = (*ADD, "--generate", tmp_path / "second", "--ca", made / "client-ca-key.pem")
    assert run(*second, "--journal", journal).status == 0
    taken = run("softpos", "change", app.id, "--certificate", tmp_path / "second" / "app.crt",
                "--journal", journal)  # fmt: skip
    assert (taken.status, taken.out) == (1, "")
    changes = ("--point-of-sale", "17", "--redirect-uri", "app://back")
    assert run("softpos", "change", app.id, *changes, "--journal", journal).status == 0
    after = estate_in(journal).client_apps[app.id]
    assert (after.point_of_sale, after.redirect_uris) == ("17", ("app://back",))
    assert (after.tids, after.secret_digest) == (app.tids, app.secret_digest)
    assert after.certificate_digest == app.certificate_digest
    for wrong, status in (((), 2), (("--tid", "99999999"), 1), (("--tid", "1"), 2)):
        ran = run("softpos", "change", app.id, *wrong, "--journal", journal)
        assert (ran.status, ran.out) == (status, "")
    assert run("softpos", "revoke", app.id, "--journal", journal).status == 0
    assert run("softpos", "change", app.id, *changes, "--journal", journal).status == 1


def test_nothing_is_left_of_what_was_not_registered(
    run: Run, journal: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backend"
    wrong = ("softpos", "add", "-o", "shop", "-n", "x", "--tid", "99999999")
    ran = run(*wrong, "--generate", folder, "--make-ca", "--journal", journal)
    assert (ran.status, ran.out) == (1, "")
    assert "has the TID 99999999" in ran.err
    assert not folder.exists()
    assert not estate_in(journal).client_apps


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "app.key: it is there already, and a key is never overwritten"),
        (("--make-ca",), "client-ca-key.pem is an authority already. Allowed: without --make-ca"),
    ],
)
def test_a_file_that_is_there_is_never_overwritten(
    run: Run, journal: Path, made: Path, options: tuple[str, ...], says: str
) -> None:
    before = {each.name: each.read_bytes() for each in made.iterdir()}
    ran = run(*ADD, "--generate", made, *options, "--journal", journal)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err
    assert {each.name: each.read_bytes() for each in made.iterdir()} == before


def test_it_is_said_what_the_listener_needs(run: Run, journal: Path, tmp_path: Path) -> None:
    ran = run(*ADD, "--generate", tmp_path / "backend", "--make-ca", "--journal", journal)
    assert "client-ca.pem\nThat one is for the listener of the face: its tls.client_ca." in ran.err


def test_a_long_name_of_people_fits_into_its_certificate(
    run: Run, journal: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backend"
    name = ("--name", "\u00e8" * 64)
    ran = run(*ADD, *name, "--generate", folder, "--make-ca", "--journal", journal)
    assert ran.status == 0, ran.err
    issued = x509.load_pem_x509_certificate((folder / "app.crt").read_bytes())
    (common,) = issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common.value == "\u00e8" * 32


def test_a_certificate_that_has_expired_is_refused(
    run: Run, journal: Path, made: Path, tmp_path: Path
) -> None:
    (app,) = estate_in(journal).client_apps.values()
    pem = (made / "client-ca-key.pem").read_bytes()
    long_ago = datetime.now(UTC) - 2 * APP_LIVES
    expired = tmp_path / "expired.crt"
    expired.write_bytes(issue(Issued(pem, pem), "old", "staging", long_ago).certificate)
    for command in (ADD, ("softpos", "change", app.id)):
        ran = run(*command, "--certificate", expired, "--journal", journal)
        assert (ran.status, ran.out) == (2, "")
        assert "certificate: it has expired on 20" in ran.err


def test_a_certificate_is_renewed_by_its_authority(
    run: Run, journal: Path, made: Path, tmp_path: Path
) -> None:
    (before,) = estate_in(journal).client_apps.values()
    folder, ca = tmp_path / "renewed", made / "client-ca-key.pem"
    change = ("softpos", "change", before.id, "--generate", folder, "--ca", ca)
    ran = run(*change, "--journal", journal)
    assert ran.status == 0, ran.err
    assert "tws_" not in ran.out + ran.err, "its secret stays"
    (after,) = estate_in(journal).client_apps.values()
    assert (after.id, after.secret_digest) == (before.id, before.secret_digest)
    assert after.certificate.encode() == (folder / "app.crt").read_bytes()
    assert after.certificate_digest != before.certificate_digest
    assert {each.name for each in folder.iterdir()} == {"app.key", "app.crt"}
    issuer = x509.load_pem_x509_certificate((made / "client-ca.pem").read_bytes())
    x509.load_pem_x509_certificate(after.certificate.encode()).verify_directly_issued_by(issuer)


def test_a_secret_is_renewed_alone_and_shown_once(run: Run, journal: Path, made: Path) -> None:
    (before,) = estate_in(journal).client_apps.values()
    renew = ("softpos", "change", before.id, "--new-secret", "--journal", journal)
    ran = run(*renew)
    assert re.fullmatch(r"tws_[\w-]{43}\n", ran.out), ran.err
    assert f"Application {before.id} (Backend) is changed." in ran.err
    assert "No former secret is good any more." in ran.err
    (after,) = estate_in(journal).client_apps.values()
    assert after.secret_digest == digest_of(ran.out.strip()) != before.secret_digest
    assert (after.id, after.former_secrets) == (before.id, ())
    assert after.certificate_digest == before.certificate_digest
    assert ran.out.strip().encode() not in journal.read_bytes()
    told = run(*renew, "--old-secrets-for", "24", "--json").document
    (kept,) = estate_in(journal).client_apps[before.id].former_secrets
    assert kept.digest == after.secret_digest
    assert re.fullmatch(r"tws_[\w-]{43}", told["client_secret"])
    assert told["former_secrets_until"] == [rfc3339(kept.until)]
    assert 23 * 3_600_000 < kept.until - SystemClock().now() <= 24 * 3_600_000


def test_former_secrets_are_listed_and_can_be_ended(run: Run, journal: Path, made: Path) -> None:
    (app,) = estate_in(journal).client_apps.values()
    change = ("softpos", "change", app.id, "--journal", journal)
    assert run(*change, "--old-secrets-for", "0").status == 1, "there is none"
    assert run(*change, "--new-secret", "--old-secrets-for", "12").status == 0
    assert run(*change, "--old-secrets-for", "24").status == 0
    (listed,) = run("softpos", "list", "--json", "--journal", journal).document
    (until,) = listed["former_secrets_until"]
    ends = datetime.fromisoformat(until)
    assert ends - datetime.now(UTC) < timedelta(hours=12), "no former one is good for longer"
    shown = run("softpos", "list", "--journal", journal).out
    assert f"valid; a former secret until {ends:%Y-%m-%d %H:%M:%S}" in shown
    ended = run(*change, "--old-secrets-for", "0")
    assert (ended.status, "tws_" in ended.out + ended.err) == (0, False)
    (listed,) = run("softpos", "list", "--json", "--journal", journal).document
    assert listed["former_secrets_until"] == []


def test_an_application_of_an_earlier_version_has_no_former_secret(
    run: Run, journal: Path, made: Path
) -> None:
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("UPDATE client_apps SET former_secrets = NULL")
        connection.commit()
    (listed,) = run("softpos", "list", "--json", "--journal", journal).document
    assert listed["former_secrets_until"] == []


def test_only_so_many_former_secrets_are_good_at_once(run: Run, journal: Path, made: Path) -> None:
    (app,) = estate_in(journal).client_apps.values()
    renew = ("softpos", "change", app.id, "--new-secret", "--journal", journal)
    for _ in range(MOST_FORMER_SECRETS):
        assert run(*renew, "--old-secrets-for", "1").status == 0
    refused = run(*renew, "--old-secrets-for", "1")
    assert (refused.status, refused.out) == (1, "")
    assert "end them with --old-secrets-for 0" in refused.err
    assert run(*renew).status == 0
    for wrong in ("-1", "721", "nan", "x"):
        assert run(*renew, "--old-secrets-for", wrong).status == 2
    assert run("softpos", "revoke", app.id, "--journal", journal).status == 0
    revoked = run(*renew)
    assert (revoked.status, revoked.out) == (1, "")


def test_a_renewal_that_comes_to_nothing_leaves_nothing(
    run: Run, journal: Path, made: Path, tmp_path: Path
) -> None:
    (app,) = estate_in(journal).client_apps.values()
    folder, ca = tmp_path / "renewed", made / "client-ca-key.pem"
    generate = ("--generate", folder, "--ca", ca, "--journal", journal)
    for more, says in (
        (("--certificate", made / "app.crt"), "--certificate, --generate: one of them is enough"),
        (("--tid", "99999999"), "No terminal of shop has the TID 99999999"),
    ):
        refused = run("softpos", "change", app.id, *more, *generate)
        assert refused.status != 0
        assert says in refused.err
        assert not folder.exists() or not list(folder.iterdir())
    alone = run("softpos", "change", app.id, "--tid", TID, "--ca", ca, "--journal", journal)
    assert "--ca: it is for certificates that are made here" in alone.err
    assert run("softpos", "change", "nobody", *generate).status == 1
    assert run("softpos", "revoke", app.id, "--journal", journal).status == 0
    assert run("softpos", "change", app.id, *generate).status == 1
    assert not folder.exists() or not list(folder.iterdir())


def test_an_authority_is_no_application_and_an_application_no_authority(
    run: Run, journal: Path, made: Path, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes((made / "client-ca.pem").read_bytes() + (made / "app.crt").read_bytes())
    ran = run(*ADD, "--certificate", chain, "--journal", journal)
    assert (ran.status, ran.out) == (2, "")
    assert "certificate: it begins with an authority's" in ran.err
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(leaf_of_elliptic_curve())
    ran = run(*ADD, "--generate", tmp_path / "new", "--ca", leaf, "--journal", journal)
    assert (ran.status, ran.out) == (2, "")
    assert "ca: key and certificate are no authority" in ran.err


def certificate_for(*more: x509.ExtensionType) -> bytes:
    """An RSA key's, with these extensions."""
    key, now = rsa.generate_private_key(65537, 2048), datetime.now(UTC)
    subject = named("app")
    made = begun(subject, subject, key.public_key(), now, now + APP_LIVES)
    for each in more:
        made = made.add_extension(each, critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("extension", "says"),
    [
        (ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), " is none for clients (clientAuth)"),
        (ExtendedKeyUsage([EVERYTHING]), " is none for clients (clientAuth)"),
        (usage(of_authority=True), "s key is not for handshakes (digitalSignature)"),
    ],
)
def test_a_certificate_that_no_handshake_would_take_is_refused(
    run: Run, journal: Path, tmp_path: Path, extension: x509.ExtensionType, says: str
) -> None:
    unfit = tmp_path / "unfit.crt"
    unfit.write_bytes(certificate_for(extension))
    ran = run(*ADD, "--certificate", unfit, "--journal", journal)
    assert (ran.status, ran.out) == (2, "")
    assert f"certificate: it{says}" in ran.err


def test_a_certificate_that_says_nothing_of_its_use_is_taken(
    run: Run, journal: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.crt"
    plain.write_bytes(certificate_for())
    assert run(*ADD, "--certificate", plain, "--journal", journal).status == 0


def leaf_of_elliptic_curve() -> bytes:
    """A key like an authority's, with a certificate that says nothing of authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = named("leaf")
    issued = begun(subject, subject, key.public_key(), now, now + APP_LIVES)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + issued.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_it_is_listed_until_when_a_certificate_is_good(run: Run, journal: Path, made: Path) -> None:
    (listed,) = run("softpos", "list", "--json", "--journal", journal).document
    issued = x509.load_pem_x509_certificate((made / "app.crt").read_bytes())
    assert datetime.fromisoformat(listed["certificate_ends_at"]) == issued.not_valid_after_utc
    assert (
        f"{issued.not_valid_after_utc:%Y-%m-%d %H:%M:%S}"
        in run("softpos", "list", "--journal", journal).out
    )


def test_a_terminal_that_was_removed_stays_the_application_s(
    run: Run, journal: Path, made: Path
) -> None:
    (app,) = estate_in(journal).client_apps.values()
    (terminal,) = (each for each in estate_in(journal).terminals.values() if each.tid == TID)
    assert run("terminals", "retire", terminal.name, "--journal", journal).status == 0
    changed = run("softpos", "change", app.id, "--point-of-sale", "17", "--journal", journal)
    assert changed.status == 0, changed.err
    assert run(*ADD, "--certificate", made / "app.crt", "--journal", journal).status == 1


def test_no_key_is_sealed_with_another_key_file(run: Run, journal: Path) -> None:
    assert run("softpos", "rotate-keys", "--journal", journal).status == 0
    file = journal.with_name("journal.db.key")
    file.rename(journal.with_name("elsewhere"))  # where the configuration, which is not named, says
    refused = run("softpos", "rotate-keys", "--journal", journal)
    assert (refused.status, refused.out) == (2, "")
    assert f"The key file {file} is missing" in refused.err
    assert "--config" in refused.err
    assert not file.exists()
    assert len(estate_in(journal).sealed_keys) == 1


def test_keys_are_rotated(run: Run, journal: Path) -> None:
    def rotated() -> list[str]:
        told = run("softpos", "rotate-keys", "--json", "--journal", journal).document
        return [each["kid"] for each in told]

    (first,) = rotated()
    second, same = rotated()
    assert same == first
    third, kept = rotated()
    assert (kept, third not in (first, second)) == (second, True)
    estate = estate_in(journal)
    assert [each.id for each in estate.live_keys("softpos staging")] == [third, second]
    assert estate.sealed_keys[first].retired_at is not None
    vault = KeyFileVault(journal.with_name("journal.db.key"))
    assert "PRIVATE KEY" in vault.open(estate.sealed_keys[third].sealed)
    assert b"PRIVATE KEY" not in journal.read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--certificate, --generate: one of them is needed, and not both"),
        (("--certificate", "nowhere.crt"), "nowhere.crt: it cannot be read"),
        (("--certificate", "WEAK"), "certificate: it cannot be read"),
        (("--certificate", "KEY"), "certificate: there is a private key in it"),
        (("--generate", "DIR"), "there is no authority; name another with --ca, or make one: "),
        (("--generate", "DIR", "--ca", "KEY"), "ca: it cannot be read"),
        (("--generate", "DIR", "--make-ca", "--profile", "test"), "there is no profile 'test'"),
        (("--generate", "DIR", "--make-ca", "--tid", "1"), "tid: '1' is no TID"),
        (("--generate", "DIR", "--make-ca", "--name", ""), "name: it is empty"),
        (("--certificate", "KEY", "--make-ca"), "--ca, --make-ca: they are for certificates"),
        (("--certificate", "KEY", "--ca", "KEY"), "--ca, --make-ca: they are for certificates"),
        (
            ("--generate", "DIR", "--make-ca", "--redirect-uri", "https://[x"),
            "redirect_uri: 'https://[x' is no address",
        ),
        (
            ("--generate", "DIR", "--make-ca", "--redirect-uri", "here"),
            "redirect_uri: 'here' is no address",
        ),
        (
            ("--generate", "DIR", "--make-ca", "--point-of-sale", "a b"),
            "point_of_sale: 'a b' is no code",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(
    run: Run, journal: Path, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / "weak.pub").write_bytes(public(private(1024)))
    (tmp_path / "key.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    files = {
        "WEAK": tmp_path / "weak.pub",
        "KEY": tmp_path / "key.pem",
        "DIR": tmp_path / "backend",
    }
    ran = run(*ADD, *(files.get(each, each) for each in options), "--journal", journal)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not any((tmp_path / "backend").glob("*"))
