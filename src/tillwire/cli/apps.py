"""`tillwire apps`: applications, which prove themselves with keys of their own.

The id is printed alone on standard output, so that it can be piped to where it belongs; everything
else is said on standard error. A private key is never printed: it is made in a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tillwire.cli.files import read_key, write_new
from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    commit,
    estate_at,
    locate,
    opened,
)
from tillwire.cli.keys import OrganisationOption
from tillwire.cli.options import JsonOption, OwnerOption, organisation_of, owners_asked
from tillwire.cli.output import remark, say, say_json, say_table
from tillwire.cli.times import in_utc, rfc3339
from tillwire.clock import SystemClock
from tillwire.core.estate_model import Application
from tillwire.core.ports import Unit
from tillwire.errors import InvalidRequest, TillwireError
from tillwire.estate.applications import (
    CLOUD_MESSAGES,
    PERMISSIONS,
    check_new,
    fingerprint,
    new_application,
    new_key_pair,
    revoked,
)

app = typer.Typer(
    name="apps",
    help="Applications, which sign in with keys of their own (Payment Bridge).",
    no_args_is_help=True,
)

NO_PERMISSION = "none"
_SHORT = 16
"""Characters of a fingerprint that people are shown."""


@app.command()
def add(
    organisation: OrganisationOption,
    name: Annotated[str, typer.Option("--name", "-n", help="For people.", show_default=False)],
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key",
            help="Its public key or certificate (PEM, RSA).",
            show_default=False,
        ),
    ] = None,
    generate: Annotated[
        Path | None,
        typer.Option(
            "--generate",
            help="Make a key for it: the private one, in this file, which must not exist.",
            show_default=False,
        ),
    ] = None,
    application_id: Annotated[
        str, typer.Option("--id", help="Its id, urn:aid:<uuid>. Default: a new one.")
    ] = "",
    permission: Annotated[
        list[str] | None,
        typer.Option(
            "--permission",
            help=f"{', '.join(PERMISSIONS)}, or {NO_PERMISSION}. Default: {CLOUD_MESSAGES}.",
            show_default=False,
        ),
    ] = None,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an application, and print its id."""
    if (public_key is None) == (generate is None):
        problem = "one of them is needed, and not both"
        raise InvalidRequest("--public-key, --generate", problem, "a file")
    with opened(locate(journal, config, data)) as books:
        # Before a key is made: nobody wants one for an organisation that is not there.
        estate = books.read_now(lambda reader: reader.estate())
        owner = organisation_of(estate, organisation).id
        private, public = (b"", read_key(public_key)) if public_key else new_key_pair()
        made = new_application(
            owner,
            name,
            public,
            SystemClock(),
            application_id=application_id,
            permissions=_permissions(permission),
        )

        def work(unit: Unit) -> None:
            check_new(unit.estate(), made)
            unit.put(made)

        if generate is not None:
            write_new(generate, private)
        try:
            commit(books, work)
        except TillwireError:
            if generate is not None:
                generate.unlink()  # the key of nothing
            raise
    if generate is not None:
        remark(f"Its private key is in {generate}; only you can read it, and it is nowhere else.")
    if as_json:
        say_json(_view(made))
        return
    remark(f"Application {name} of {owner}, {_rights(made)}; its id:")
    say(made.id)


@app.command("list")
def list_applications(
    organisation: OwnerOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List applications, with what they may do and which key they have."""
    estate = estate_at(locate(journal, config, data))
    owners = owners_asked(estate, organisation)
    found = [each for owner in owners for each in estate.applications_of(owner)]
    if as_json:
        say_json([_view(each) for each in found])
        return
    say_table(
        ["ID", "ORGANISATION", "NAME", "PERMISSIONS", "KEY", "CREATED", "STATE"],
        [
            [
                each.id,
                each.organisation_id,
                each.name,
                _rights(each),
                fingerprint(each)[:_SHORT],
                in_utc(each.created_at),
                "valid" if each.revoked_at is None else "revoked",
            ]
            for each in found
        ],
        empty="No applications yet: `tillwire apps add` makes one.",
    )


@app.command()
def revoke(
    application_id: Annotated[
        str, typer.Argument(metavar="ID", help="The application's id.", show_default=False)
    ],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Revoke an application, at once and for good: its key, its tokens and its hooks."""
    now = SystemClock().now()

    def work(unit: Unit) -> tuple[Application, int]:
        application, hooks = revoked(unit.estate(), application_id, now)
        unit.put(application)
        for hook in hooks:
            unit.put(hook)
        return application, len(hooks)

    with opened(locate(journal, config, data)) as books:
        application, hooks = commit(books, work)
    say(f"Application {application.id} ({application.name}) is revoked.")
    if hooks:
        remark(f"Its {hooks} {'hook is' if hooks == 1 else 'hooks are'} removed.")


def _permissions(asked: list[str] | None) -> tuple[str, ...]:
    if asked is None:
        return (CLOUD_MESSAGES,)
    return () if asked == [NO_PERMISSION] else tuple(asked)


def _rights(application: Application) -> str:
    return ", ".join(application.permissions) or "no permissions"


def _view(application: Application) -> dict[str, object]:
    return {
        "id": application.id,
        "organisation": application.organisation_id,
        "name": application.name,
        "permissions": application.permissions,
        "public_key": application.public_key,
        "fingerprint": fingerprint(application),
        "created_at": rfc3339(application.created_at),
        "revoked_at": rfc3339(application.revoked_at),
    }
