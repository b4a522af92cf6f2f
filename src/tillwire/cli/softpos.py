"""`tillwire softpos`: backends that check transactions over mutual TLS, and the keys that they
encrypt to.

A secret is printed once, alone on standard output; everything else is said on standard error. A
private key is never printed: it is made in a file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tillwire.cli import phones
from tillwire.cli.files import read_key, write_new
from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    commit,
    estate_at,
    key_file,
    locate,
    opened,
)
from tillwire.cli.keys import OrganisationOption
from tillwire.cli.options import JsonOption, OwnerOption, organisation_of, owners_asked
from tillwire.cli.output import remark, say, say_json, say_table
from tillwire.cli.times import in_utc, rfc3339
from tillwire.clock import Instant, SystemClock
from tillwire.core.estate_model import ClientApp, SealedKey
from tillwire.core.ports import Unit
from tillwire.errors import ConfigurationError, InvalidRequest
from tillwire.estate import client_apps
from tillwire.estate.certificates import Issued, issue, new_authority
from tillwire.estate.client_apps import LONGEST_OVERLAP, PROFILES, Wanted
from tillwire.journal.vault import KeyFileVault

app = typer.Typer(
    name="softpos",
    help="Backends that check transactions over mutual TLS (SoftPOS), and payments on phones.",
    no_args_is_help=True,
)
app.command()(phones.link)
app.command()(phones.check)
app.command()(phones.inquire)
app.command("read-return")(phones.read_return)

_SHORT = 16
"""Characters of a fingerprint that people are shown."""
_HOUR = 3_600_000
_AUTHORITY = "client-ca-key.pem"
_PUBLIC_AUTHORITY = "client-ca.pem"

ClientArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The application's client id.", show_default=False)
]
GenerateOption = Annotated[
    Path | None,
    typer.Option(
        "--generate",
        metavar="DIR",
        help="Make its key and certificate: app.key and app.crt in this folder.",
        show_default=False,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        help=f"With --generate: key and certificate of the authority. Default: {_AUTHORITY} "
        "in that folder.",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str, typer.Option("--profile", help=f"The system that it is for: {' or '.join(PROFILES)}.")
]


@app.command()
def add(
    organisation: OrganisationOption,
    name: Annotated[str, typer.Option("--name", "-n", help="For people.", show_default=False)],
    tid: Annotated[
        list[str],
        typer.Option("--tid", help="A TID that it may ask about; several are.", show_default=False),
    ],
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", help="Its certificate (PEM, RSA).", show_default=False),
    ] = None,
    generate: GenerateOption = None,
    ca: CaOption = None,
    make_ca: Annotated[
        bool, typer.Option("--make-ca", help="With --generate: make the authority, too.")
    ] = False,
    profile: ProfileOption = PROFILES[0],
    point_of_sale: Annotated[
        str, typer.Option("--point-of-sale", help="Its code; assertions may name it.")
    ] = "",
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option(
            "--redirect-uri", help="Where people are led back to; several are.", show_default=False
        ),
    ] = None,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register an application, and print its secret: this once only."""
    if (certificate is None) == (generate is None):
        problem = "one of them is needed, and not both"
        raise InvalidRequest("--certificate, --generate", problem, "a file, or a folder")
    if generate is None and (ca is not None or make_ca):
        problem = "they are for certificates that are made here"
        raise InvalidRequest("--ca, --make-ca", problem, "with --generate")
    with _new_files() as made_files, opened(locate(journal, config, data)) as books:
        estate = books.read_now(lambda reader: reader.estate())
        wanted = Wanted(
            organisation_id=organisation_of(estate, organisation).id,
            name=name,
            profile=profile,
            certificate=read_key(certificate) if certificate is not None else b"",
            tids=tid,
            point_of_sale=point_of_sale,
            redirect_uris=redirect_uri or (),
        )
        # Before a key is made, which nobody wants of what is refused.
        client_apps.check_wanted(wanted)
        client_apps.check_tids(estate, wanted.organisation_id, tid)
        if generate is not None:
            pem = _generated(generate, ca, name, profile, made_files, make_ca=make_ca)
            wanted = msgspec.structs.replace(wanted, certificate=pem)
        made, secret = client_apps.new_client_app(wanted, SystemClock())

        def work(unit: Unit) -> None:
            client_apps.check_new(unit.estate(), made)
            unit.put(made)

        commit(books, work)
    _tell_made(made_files)
    if as_json:
        say_json({**_view(made), "client_secret": secret})
        return
    remark(f"Application {name} of {made.organisation_id}, {profile}; its client id: {made.id}")
    remark("Its secret is shown this once only:")
    say(secret)


@app.command("list")
def list_apps(
    organisation: OwnerOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List applications, with their certificates and TIDs."""
    estate = estate_at(locate(journal, config, data))
    owners = owners_asked(estate, organisation)
    found = sorted(
        (each for each in estate.client_apps.values() if each.organisation_id in owners),
        key=lambda each: (each.organisation_id, each.created_at, each.id),
    )
    if as_json:
        say_json([_view(each) for each in found])
        return
    now = SystemClock().now()
    say_table(
        [
            "CLIENT ID",
            "ORGANISATION",
            "NAME",
            "PROFILE",
            "TIDS",
            "CERTIFICATE",
            "UNTIL",
            "CREATED",
            "STATE",
        ],
        [
            [
                each.id,
                each.organisation_id,
                each.name,
                each.profile,
                ", ".join(each.tids),
                each.certificate_digest.hex()[:_SHORT],
                in_utc(client_apps.ends(each)),
                in_utc(each.created_at),
                _state(each, now),
            ]
            for each in found
        ],
        empty="No applications yet: `tillwire softpos add` makes one.",
    )


def _state(known: ClientApp, now: Instant) -> str:
    if known.revoked_at is not None:
        return "revoked"
    return "; ".join(filter(None, ("valid", _former(known, now))))


def _former(known: ClientApp, now: Instant) -> str:
    """Until when a former secret is good, too; empty if none is."""
    ends = [each.until for each in client_apps.former_secrets(known, now)]
    if not ends:
        return ""
    which = "a former secret" if len(ends) == 1 else f"{len(ends)} former secrets"
    return f"{which} until {in_utc(max(ends))}"


@app.command()
def change(
    client_id: ClientArgument,
    tid: Annotated[
        list[str] | None,
        typer.Option("--tid", help="The TIDs, in place of those it has.", show_default=False),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", help="Its new certificate (PEM, RSA).", show_default=False),
    ] = None,
    generate: GenerateOption = None,
    ca: CaOption = None,
    point_of_sale: Annotated[
        str | None, typer.Option("--point-of-sale", help="Its code.", show_default=False)
    ] = None,
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option(
            "--redirect-uri", help="The addresses, in place of those it has.", show_default=False
        ),
    ] = None,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Give it another secret, and print it: this once.")
    ] = False,
    old_secrets_for: Annotated[
        int | None,
        typer.Option(
            "--old-secrets-for",
            metavar="HOURS",
            min=0,
            max=LONGEST_OVERLAP // _HOUR,
            help="For how long former secrets stay good at most. With --new-secret they end at "
            "once if it is not said.",
            show_default=False,
        ),
    ] = None,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what an application is registered with; its id stays."""
    given = (tid, certificate, generate, ca, point_of_sale, redirect_uri, old_secrets_for)
    if not new_secret and all(each is None for each in given):
        allowed = (
            "--tid, --certificate, --generate, --point-of-sale, --redirect-uri, --new-secret or "
            "--old-secrets-for"
        )
        raise InvalidRequest("options", "nothing is to be changed", allowed)
    if certificate is not None and generate is not None:
        problem = "one of them is enough"
        raise InvalidRequest("--certificate, --generate", problem, "a file, or a folder")
    if generate is None and ca is not None:
        problem = "it is for certificates that are made here"
        raise InvalidRequest("--ca", problem, "with --generate")
    pem = read_key(certificate) if certificate is not None else None
    overlap = (old_secrets_for or 0) * _HOUR
    now, secret = SystemClock().now(), client_apps.new_secret(SystemClock())

    def work(unit: Unit) -> ClientApp:
        estate = unit.estate()
        after = client_apps.changed(
            client_apps.named(estate, client_id),
            now,
            tids=tid,
            certificate=pem,
            point_of_sale=point_of_sale,
            redirect_uris=redirect_uri,
        )
        if new_secret:
            after = client_apps.with_secret(after, secret, now, overlap)
        elif old_secrets_for is not None:
            after = client_apps.with_former_secrets_ending(after, now, overlap)
        client_apps.check_new(estate, after)
        unit.put(after)
        return after

    with _new_files() as made_files, opened(locate(journal, config, data)) as books:
        if generate is not None:
            estate = books.read_now(lambda reader: reader.estate())
            known = client_apps.named(estate, client_id)
            pem = _generated(generate, ca, known.name, known.profile, made_files, make_ca=False)
        after = commit(books, work)
    _tell_made(made_files)
    if as_json:
        say_json({**_view(after), **({"client_secret": secret} if new_secret else {})})
        return
    changed = f"Application {after.id} ({after.name}) is changed."
    if not new_secret:
        say(changed)
        return
    remark(changed)
    former = _former(after, now)
    remark(f"Good beside it: {former}." if former else "No former secret is good any more.")
    remark("Its new secret is shown this once only:")
    say(secret)


@app.command()
def revoke(
    client_id: ClientArgument,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Revoke an application, at once and for good: its secret, its tokens and its certificate."""
    now = SystemClock().now()

    def work(unit: Unit) -> ClientApp:
        found = client_apps.revoked(unit.estate(), client_id, now)
        unit.put(found)
        return found

    with opened(locate(journal, config, data)) as books:
        found = commit(books, work)
    say(f"Application {found.id} ({found.name}) is revoked.")


@app.command("rotate-keys")
def rotate_keys(
    profile: ProfileOption = PROFILES[0],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new key that assertions are encrypted to, and retire the oldest one.

    What was encrypted to the retired key is refused, and its sender fetches the keys anew.
    """
    client_apps.check_profile(profile)
    path = locate(journal, config, data)
    with opened(path) as books:
        file = key_file(path, config)
        known = books.read_now(lambda reader: reader.estate()).sealed_keys
        if known and not file.exists():
            raise ConfigurationError(
                f"The key file {file} is missing, and a new one would open none of the keys that "
                "are sealed: name the configuration that says where it is with --config, or put it "
                "back from the backup. If it is lost, start the gateway, which makes a new one."
            )
        made = client_apps.new_sealed_key(profile, KeyFileVault(file), SystemClock())
        live = commit(books, lambda unit: client_apps.add_key(unit, made))
    if as_json:
        say_json([_key_view(each) for each in live])
        return
    say(f"The keys of {profile} are now: {', '.join(each.id for each in live)}")


@contextlib.contextmanager
def _new_files() -> Iterator[list[Path]]:
    """Files that are made, which are removed again if what they are for comes to nothing."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in made:
            path.unlink()
        raise


def _tell_made(made: list[Path]) -> None:
    for path in made:
        remark(f"Made: {path}")
        if path.name == _PUBLIC_AUTHORITY:
            remark("That one is for the listener of the face: its tls.client_ca.")


def _generated(
    folder: Path,
    ca: Path | None,
    name: str,
    profile: str,
    made: list[Path],
    *,
    make_ca: bool,
) -> bytes:
    """A new certificate (PEM) of the authority's, in the folder with its key. `made` gets what was
    written. Raises `ConfigurationError`, `InvalidRequest`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: it cannot be made: {error.strerror}.") from None
    now = datetime.now(UTC)
    file = ca or folder / _AUTHORITY
    authority = _made_authority(file, now, made) if make_ca else _read_authority(file)
    issued = issue(authority, name, profile, now)
    _write(folder / "app.key", issued.key, made)
    _write(folder / "app.crt", issued.certificate, made)
    return issued.certificate


def _made_authority(file: Path, now: datetime, made: list[Path]) -> Issued:
    """A new authority, in the file and, without its key, beside it."""
    if file.exists():
        problem = f"{file} is an authority already"
        allowed = "without --make-ca, to use it; or --ca FILE, to make another one there"
        raise InvalidRequest("--make-ca", problem, allowed)
    authority = new_authority("tillwire authority for clients", now)
    _write(file, authority.key + authority.certificate, made)
    _write(file.with_name(_PUBLIC_AUTHORITY), authority.certificate, made)
    return authority


def _read_authority(file: Path) -> Issued:
    """The authority in the file."""
    if not file.exists():
        raise ConfigurationError(
            f"{file}: there is no authority; name another with --ca, or make one: "
            "`tillwire softpos add --make-ca`."
        )
    pem = read_key(file)
    return Issued(pem, pem)


def _write(path: Path, content: bytes, made: list[Path]) -> None:
    write_new(path, content)
    made.append(path)


def _view(known: ClientApp) -> dict[str, object]:
    return {
        "client_id": known.id,
        "organisation": known.organisation_id,
        "name": known.name,
        "profile": known.profile,
        "terminal_ids": known.tids,
        "point_of_sale": known.point_of_sale,
        "redirect_uris": known.redirect_uris,
        "certificate": known.certificate,
        "fingerprint": known.certificate_digest.hex(),
        "certificate_ends_at": rfc3339(client_apps.ends(known)),
        "created_at": rfc3339(known.created_at),
        "revoked_at": rfc3339(known.revoked_at),
        "former_secrets_until": [
            rfc3339(each.until) for each in client_apps.former_secrets(known, SystemClock().now())
        ],
    }


def _key_view(key: SealedKey) -> dict[str, object]:
    return {"kid": key.id, "created_at": rfc3339(key.created_at)}
