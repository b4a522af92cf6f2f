"""`tillwire pay`: a purchase through the MerchantAPI face, with live progress."""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from tillwire.cli.options import JsonOption
from tillwire.cli.output import OutputError, clean, complain, remark, say, say_json, say_lines
from tillwire.cli.payment import (
    End,
    Ending,
    Order,
    Patience,
    Purchase,
    not_reached,
    refused,
)
from tillwire.cli.till import RefusedError, Till
from tillwire.clock import SystemClock, utc
from tillwire.errors import (
    ConfigurationError,
    InvalidRequest,
    NotDelivered,
    PeerError,
    TillwireError,
)
from tillwire.money import Money, currency, from_text, positive
from tillwire.net.http_client import AiohttpClient

EXIT_STATUS: Final = {
    End.APPROVED: 0,
    End.NOT_PAID: 1,
    End.REFUSED: 2,
    End.OPEN: 3,
    End.NOT_REACHED: 4,
}


_ADDRESS: Final = "where a MerchantAPI stands, such as https://pay.example.com/merchantapi"


class _CardDialect(msgspec.Struct, frozen=True):
    url: str
    api_key: str
    terminals: list[str]


class _Card(msgspec.Struct, frozen=True):
    merchantapi: _CardDialect


class Face(msgspec.Struct, frozen=True):
    """Where to pay, and with which key."""

    url: str
    api_key: str
    terminal: str
    """Empty when the gateway must be asked which there are."""


def pay(
    amount: Annotated[str, typer.Argument(help="Such as 12.50.", show_default=False)],
    currency_code: Annotated[
        str, typer.Argument(metavar="CURRENCY", help="Three letters of ISO 4217.")
    ] = "EUR",
    terminal: Annotated[
        str,
        typer.Option(
            "--terminal", "-t", help="Its name. Default: the sandbox's first, or the only one."
        ),
    ] = "",
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "-r",
            help="The till's name for it. Default: a new one.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str, typer.Option(envvar="TILLWIRE_URL", help="Where the gateway's MerchantAPI stands.")
    ] = "",
    api_key: Annotated[
        str,
        typer.Option(
            envvar="TILLWIRE_API_KEY",
            help="Better given by the environment, where other users do not see it.",
        ),
    ] = "",
    ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority that vouches for the gateway."),
    ] = None,
    card: Annotated[Path, typer.Option(help="The sandbox card, which names all of that.")] = Path(
        "sandbox/card.json"
    ),
    wait: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds until it is left open.")
    ] = 300.0,
    as_json: JsonOption = False,
) -> None:
    """Pay AMOUNT at a terminal, and print the receipt.

    Ctrl-C cancels the payment while that is possible; pressed again, it leaves the payment as it
    is. Exit status: 0 approved, 1 not paid, 2 wrong use, 3 still open or unknown, 4 the gateway
    could not be reached and nothing was started.
    """
    currency(currency_code, "currency")
    money = positive(from_text(amount, currency_code))
    face = _face(url, api_key, card, terminal)
    if reference is None:
        reference = _new_reference()
    elif not reference.strip():
        raise InvalidRequest("--reference", "it is empty", "the till's name, or no such option")
    elif not _is_text(reference):
        raise InvalidRequest("--reference", "it is no text", "what the terminal's encoding can say")
    if not as_json:
        remark(f"Paying {money} under the reference {reference}.")
    try:
        ending = asyncio.run(_paid(face, money, reference, wait, ca))
    except TillwireError:
        raise  # before anything was started
    except Exception:  # noqa: BLE001 - a defect of ours is no end of the payment
        with suppress(OSError):  # nobody may listen
            traceback.print_exc()
        words = f"Unknown: the purchase may have been started. Look for the reference {reference}"
        ending = Ending(End.OPEN, f"{words} before paying again.")
    try:
        if as_json:
            say_json(_view(ending, money, reference))
        else:
            _say(ending)
    except OutputError as error:
        # What became of the payment is so, whoever hears of it.
        named = "" if ending.sale is None else f" Transaction {ending.sale.id}."
        complain(f"{ending.words}{named} {error}")
    raise typer.Exit(EXIT_STATUS[ending.end])


def _face(url: str, api_key: str, card: Path, terminal: str) -> Face:
    if url or api_key:
        if not (url and api_key):
            missing = "--api-key" if url else "--url"
            raise ConfigurationError(f"--url and --api-key go together; {missing} is missing.")
        if not re.match(r"https?://[^/]", url):
            raise InvalidRequest("--url", f"{url!r} is no such address", _ADDRESS)
        return Face(url, api_key, terminal)
    try:
        found = msgspec.json.decode(card.read_bytes(), type=_Card).merchantapi
    except OSError as error:
        raise ConfigurationError(
            f"There is no sandbox card {card} ({error.strerror}): start `tillwire sandbox`, "
            "or name a gateway with --url and --api-key."
        ) from None
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{card} is not a sandbox card: {error}.") from None
    return Face(found.url, found.api_key, terminal or found.terminals[0])


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:  # it came as octets that the locale's encoding does not know
        return False
    return True


def _new_reference() -> str:
    clock = SystemClock()
    # Short enough for one line of the narrowest receipt.
    return f"pay-{utc(clock.now()):%y%m%d%H%M%S}-{clock.random_digits(6)}"


async def _paid(face: Face, money: Money, reference: str, wait: float, ca: Path | None) -> Ending:
    http = AiohttpClient(_tls(ca))
    try:
        till = Till(http, face.url, face.api_key)
        with _progress() as progress:
            try:
                terminal = face.terminal or await _only_terminal(till)
            except NotDelivered as error:
                return not_reached(error)
            except RefusedError as error:
                return refused(error)
            except PeerError as error:
                return Ending(End.NOT_REACHED, f"Nothing was started. {error}")
            order = Order(terminal, money, reference)
            purchase = Purchase(till, order, Patience(limit=wait), progress)
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, purchase.stop)
            return await purchase.run()
    finally:
        await http.close()


def _tls(ca: Path | None) -> ssl.SSLContext | None:
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{ca} is not a PEM file of an authority: {error}.") from None


async def _only_terminal(till: Till) -> str:
    names = await till.terminals()
    if len(names) != 1:
        known = ", ".join(names) or "there is none"
        raise ConfigurationError(f"Say with --terminal which terminal is meant: {known}.")
    return names[0]


class _Seconds(ProgressColumn):
    """How long it has been waited for."""

    def render(self, task: Task) -> Text:
        return Text(f"{int(task.elapsed or 0)} s")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Tells on standard error what is being waited for: live on a terminal, else line by line."""
    if not sys.stderr.isatty():
        yield lambda words: remark(f"{words[:1].upper()}{words[1:]}.")
        return
    console = Console(stderr=True, highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), _Seconds())
    with Progress(*columns, console=console, transient=True) as live:
        task = live.add_task("")
        yield lambda words: live.update(task, description=f"{clean(words)} …")


def _say(ending: Ending) -> None:
    sale = ending.sale
    if sale is not None and sale.receipt:
        say_lines(sale.receipt)
        say()
    if ending.end is End.APPROVED:
        assert sale is not None, "what is approved is a sale"
        say(f"{ending.words} Transaction {sale.id}.", style="green")
    elif ending.end in (End.NOT_PAID, End.OPEN):
        remark(ending.words, style="bold yellow" if ending.end is End.OPEN else "red")
    else:
        complain(ending.words)


def _view(ending: Ending, money: Money, reference: str) -> dict[str, Any]:  # Any: JSON
    return {
        "outcome": ending.end,
        "exit_status": EXIT_STATUS[ending.end],
        "message": ending.words,
        "reference": reference,
        "amount": {"minor": money.minor, "decimal": money.decimal(), "currency": money.currency},
        "transaction": ending.sale,
    }
