"""`tillwire pairings pair`: link one of our terminals with the code that it shows, at the cloud
through which it is reached."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import typer

from tillwire.cli.journals import ConfigOption, DataOption, JournalOption, estate_at, locate
from tillwire.cli.options import JsonOption, terminal_of
from tillwire.cli.output import say, say_json
from tillwire.cli.terminals import TerminalArgument
from tillwire.dialects.smartconnect.driver import pairing
from tillwire.dialects.smartconnect.driver.settings import DriverSettings
from tillwire.errors import Unsupported
from tillwire.estate.driver_settings import settings_of

DRIVER: Final = "smartconnect"


def pair(
    terminal: TerminalArgument,
    code: Annotated[
        str, typer.Argument(help="The code that the terminal shows.", show_default=False)
    ],
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pair a terminal behind a SmartConnect cloud with this gateway, by the code that it shows."""
    estate = estate_at(locate(journal, config, data))
    found = terminal_of(estate, terminal)
    if found.driver != DRIVER:
        raise Unsupported(f"{found.name} is reached by {found.driver}, and is not paired.")
    settings = settings_of(found, DriverSettings)
    pairing.check_alone(found, estate.terminals.values())
    asyncio.run(_pair(code, settings, found.name))
    if as_json:
        say_json({"terminal_id": found.id, "register_id": settings.register_id})
        return
    say(f"{found.name} is paired with register {settings.register_id}.")


async def _pair(code: str, settings: DriverSettings, name: str) -> None:
    from tillwire.net.http_client import AiohttpClient

    client = AiohttpClient()
    try:
        await pairing.pair(client, code, settings, name)
    finally:
        await client.close()
