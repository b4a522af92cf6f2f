"""`tillwire keys`: API keys of organisations, and polling tokens of terminals.

A secret is printed once, alone on standard output, so that it can be piped to where it belongs;
everything else is said on standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    commit,
    estate_at,
    locate,
    opened,
)
from tillwire.cli.options import (
    JsonOption,
    OwnerOption,
    organisation_of,
    owners_asked,
    terminal_of,
)
from tillwire.cli.output import remark, say, say_json, say_table
from tillwire.cli.times import in_utc, parse_moment, rfc3339
from tillwire.clock import Instant, SystemClock
from tillwire.core.estate_model import ApiKey, Lifecycle, Terminal
from tillwire.core.ports import Unit
from tillwire.errors import Conflict, InvalidRequest, NotFound
from tillwire.estate.keys import new_api_key, new_device_token

app = typer.Typer(
    name="keys",
    help="API keys of organisations, and polling tokens of terminals.",
    no_args_is_help=True,
)

OrganisationOption = Annotated[
    str, typer.Option("--organisation", "-o", help="Its key in the estate.", show_default=False)
]


@app.command()
def create(
    organisation: OrganisationOption,
    label: Annotated[
        str,
        typer.Option("--label", "-l", help="Who or what will use the key.", show_default=False),
    ],
    valid_from: Annotated[
        str,
        typer.Option("--from", help="First moment of validity (RFC 3339, or a date in UTC)."),
    ] = "",
    valid_until: Annotated[
        str, typer.Option("--until", help="First moment after it. Default: for good.")
    ] = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key, and print its secret: this once only."""
    begin = parse_moment(valid_from, "--from") if valid_from else None
    end = parse_moment(valid_until, "--until") if valid_until else None
    clock = SystemClock()
    if end is not None and end <= clock.now():
        raise InvalidRequest(
            "--until", "that is over, and the key would open nothing", "a later time"
        )
    key, secret = new_api_key(organisation, label, clock, begin, end)

    def work(unit: Unit) -> None:
        organisation_of(unit.estate(), organisation)
        unit.put(key)

    with opened(locate(journal, config, data)) as books:
        commit(books, work)
    if as_json:
        say_json({**_key_view(key), "apikey": secret})
        return
    remark(f"API key {key.id} ({label}) of {organisation}; its secret is shown this once only:")
    say(secret)


@app.command("list")
def list_keys(
    organisation: OwnerOption = "",
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List API keys, without their secrets."""
    estate = estate_at(locate(journal, config, data))
    owners = owners_asked(estate, organisation)
    keys = [key for owner in owners for key in estate.keys_of(owner)]
    now = SystemClock().now()
    if as_json:
        say_json([{**_key_view(key), "validity": _validity(key, now, rfc3339)} for key in keys])
        return
    say_table(
        ["ID", "ORGANISATION", "LABEL", "VALIDITY", "CREATED", "LAST USED"],
        [
            [
                str(key.id),
                key.organisation_id,
                key.label,
                _validity(key, now, in_utc),
                in_utc(key.created_at),
                "never" if key.last_used_at is None else in_utc(key.last_used_at),
            ]
            for key in keys
        ],
        empty="No API keys yet: `tillwire keys create` makes one.",
    )


@app.command()
def revoke(
    key_id: Annotated[int, typer.Argument(metavar="ID", help="The key's id.", show_default=False)],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Revoke an API key, at once and for good."""
    now = SystemClock().now()

    def work(unit: Unit) -> bool:
        estate = unit.estate()
        key = estate.api_keys.get(key_id)
        if key is None:
            raise NotFound(f"No API key {key_id}: `tillwire keys list` lists them.")
        if key.revoked_at is not None:
            raise Conflict(f"API key {key_id} was revoked at {in_utc(key.revoked_at)}.")
        unit.put(msgspec.structs.replace(key, revoked_at=now))
        others = [each for each in estate.keys_of(key.organisation_id) if each is not key]
        return any(each.valid_at(now) for each in others)

    with opened(locate(journal, config, data)) as books:
        others = commit(books, work)
    say(f"API key {key_id} is revoked.")
    if not others:
        remark("The organisation has no valid API key now: `tillwire keys create` makes one.")


@app.command()
def device(
    terminal: Annotated[str, typer.Argument(help="The terminal's name or id.", show_default=False)],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the token with which a terminal polls, and print it: this once only.

    The terminal's former token, if it had one, opens nothing any more.
    """
    digest, secret = new_device_token(SystemClock())

    def work(unit: Unit) -> Terminal:
        found = terminal_of(unit.estate(), terminal)
        if found.driver != "device":
            raise Conflict(
                f"Terminal {found.name} does not poll: it has the driver {found.driver!r}."
            )
        if found.lifecycle is Lifecycle.REMOVED:
            raise Conflict(f"Terminal {found.name} is REMOVED.")
        unit.put(msgspec.structs.replace(found, device_digest=digest))
        return found

    with opened(locate(journal, config, data)) as books:
        found = commit(books, work)
    if as_json:
        say_json({"terminal": found.name, "id": found.id, "token": secret})
        return
    if found.device_digest is not None:
        remark("The terminal's former token opens nothing any more.")
    remark(f"Polling token of {found.name} ({found.id}); it is shown this once only:")
    say(secret)


def _key_view(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "organisation": key.organisation_id,
        "label": key.label,
        "created_at": rfc3339(key.created_at),
        "valid_from": rfc3339(key.valid_from),
        "valid_until": rfc3339(key.valid_until),
        "revoked_at": rfc3339(key.revoked_at),
        "last_used_at": rfc3339(key.last_used_at),
    }


def _validity(key: ApiKey, now: Instant, told: Callable[[Instant], str | None]) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.valid_until is not None and key.valid_until <= now:
        return "expired"
    if key.valid_from is not None and key.valid_from > now:
        return f"from {told(key.valid_from)}"
    return "valid" if key.valid_until is None else f"valid until {told(key.valid_until)}"
