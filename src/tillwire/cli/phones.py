"""`tillwire softpos link`, `check`, `inquire` and `read-return`: payments on phones with SoftPOS.

A link is shown as text and as a QR code (segno), which the phone's camera opens in the vendor's
app. None is shown of what is over, lost, or waiting for too long: it could be paid all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
import typer

from tillwire.cli.codes import code_of, remark_code
from tillwire.cli.journals import (
    ConfigOption,
    DataOption,
    JournalOption,
    estate_at,
    key_file,
    locate,
    opened,
)
from tillwire.cli.options import JsonOption, terminal_of
from tillwire.cli.output import remark, say, say_json
from tillwire.cli.terminals import TerminalArgument
from tillwire.clock import SystemClock
from tillwire.core.estate_model import Terminal
from tillwire.core.model import Transaction, TransactionType
from tillwire.dialects.softpos.driver import phone
from tillwire.dialects.softpos.driver.backend import Backends, NoSuchTransaction
from tillwire.dialects.softpos.driver.inquiries import PURPOSE
from tillwire.dialects.softpos.driver.returns import DRIVER
from tillwire.dialects.softpos.driver.settings import DriverSettings
from tillwire.dialects.softpos.wire import links
from tillwire.dialects.softpos.wire.aliases import CheckAnswer
from tillwire.dialects.softpos.wire.links import Operation
from tillwire.errors import (
    ConfigurationError,
    Conflict,
    InvalidRequest,
    NotFound,
    PeerError,
    RemoteProtocolError,
    Unsupported,
)
from tillwire.estate.driver_settings import settings_of
from tillwire.journal.vault import KeyFileVault
from tillwire.net.http_client import AiohttpClient
from tillwire.net.secret_paths import SecretPaths

NOT_BELIEVED: Final = "This can be forged: `tillwire softpos check` asks the backend."
INQUIRIES: Final = {
    "last-transaction": Operation.LAST_TRANSACTION,
    "accounting-closure": Operation.ACCOUNTING_CLOSURE,
}

Answers = dict[str, CheckAnswer | None]
"""TID -> what the backend says; None: it does not know it."""

TransactionArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The transaction's id.", show_default=False)
]
QrOption = Annotated[
    Path | None,
    typer.Option("--svg", help="Write the QR code into this file, too.", show_default=False),
]


def link(
    transaction_id: TransactionArgument,
    svg: QrOption = None,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the link, and its QR code, with which a phone pays a transaction that waits for it."""
    path = locate(journal, config, data)
    transaction, terminal = _found(path, transaction_id)
    settings = _settings(terminal)
    sealed = transaction.peer.get(phone.LINK)
    if not sealed and not transaction.is_settled:
        raise Conflict(
            f"It is {transaction.state.value}, and has no link yet: the backend must answer first. "
            "Ask again in a moment."
        )
    if not sealed or not phone.is_shown(transaction, settings, SystemClock()):
        state = transaction.state.value
        raise Conflict(
            f"It is {state}, and its link is not shown: it could be paid all the same. Links are "
            f"shown for {settings.link_seconds:g} seconds, until the phone comes back."
        )
    _show(KeyFileVault(key_file(path, config)).open(sealed), svg, as_json=as_json)


def inquire(
    terminal: TerminalArgument,
    what: Annotated[str, typer.Argument(help=" or ".join(INQUIRIES), show_default=False)],
    svg: QrOption = None,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the link that asks a phone for its last transaction, or closes its accounts.

    What the phone brings back is logged by the gateway, as evidence that can be forged.
    """
    if what not in INQUIRIES:
        raise InvalidRequest("WHAT", f"there is no {what[:60]!r}", " or ".join(INQUIRIES))
    path = locate(journal, config, data)
    estate = estate_at(path)
    found = terminal_of(estate, terminal)
    paths = SecretPaths(KeyFileVault(key_file(path, config)), PURPOSE)
    name = SystemClock().transaction_id()
    text = phone.inquiry(INQUIRIES[what], found.tid, _settings(found), paths, name)
    _show(text, svg, as_json=as_json)


def check(
    transaction_id: TransactionArgument,
    journal: JournalOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the backend what it says of a transaction. Changes nothing: the gateway asks by itself,
    and decides."""
    path = locate(journal, config, data)
    transaction, terminal = _found(path, transaction_id)
    settings = _settings(terminal)
    vault = KeyFileVault(key_file(path, config))
    ids = [transaction.id]
    if transaction.type is TransactionType.REVERSAL and transaction.original_id:
        ids.append(transaction.original_id)
    if not as_json:
        _say_returned(transaction)
    try:
        own, *original = asyncio.run(_asked(ids, terminal, settings, vault))
    except PeerError:
        if not as_json and (kept := transaction.peer.get(phone.ANSWER)):
            say("It does not tell now. What it said last:")
            say(kept)
        raise
    if as_json:
        returned = transaction.peer.get(phone.RETURNED)
        say_json(
            {
                "answers": _views(own),
                "original": _views(original[0]) if original else None,
                "returned": returned and msgspec.json.decode(returned),
            }
        )
        return
    _say_answers(own, "given back" if original else "paid")
    if original:
        say(f"Its original {transaction.original_id}, which decides:")
        _say_answers(original[0], "paid")


def _say_returned(transaction: Transaction) -> None:
    """What the phone brought back last, if anything."""
    if phone.UNREAD in transaction.peer:
        say("The phone came back with something that nobody can read.")
    if (told := transaction.peer.get(phone.RETURNED)) is None:
        return
    returned = msgspec.json.decode(told)
    say(
        f"The phone came back with: {returned['words']} ({returned['result']}), "
        f"{returned['amount']} minor units"
    )
    for key, value in returned.get("fields", {}).items():
        say(f"  {key} = {value}")
    remark("What a phone brings back can be forged. The backend, asked now:")


def _say_answers(answers: Answers, done: str) -> None:
    for tid, answer in answers.items():
        if answer is None:
            say(f"On {tid} the backend does not know it, which is no proof that it was not {done}.")
            continue
        amount = "no amount" if answer.amount is None else f"{answer.amount} minor units"
        say(f"On {tid}: {answer.status} ({answer.status_word or 'no status'}), {amount}")
        if answer.unclear:
            say(f"Unclear: {', '.join(answer.unclear)}")
        say(answer.raw.decode())


def read_return(
    url: Annotated[
        str, typer.Argument(help="The address to which the app led back.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Say what a return link says, read strictly. It proves nothing."""
    try:
        found = links.read_return(urlsplit(url).query)
    except RemoteProtocolError as error:
        raise InvalidRequest("URL", error.detail.rstrip(".")) from None
    except ValueError:
        raise InvalidRequest("URL", "it is no address", "all that the app led back to") from None
    if as_json:
        say_json(msgspec.to_builtins(found))
        return
    say(f"{found.operation.value} {found.caller_trx_id}: {found.words} ({found.result})")
    for key, value in found.fields.items():
        say(f"  {key} = {value}")
    remark(NOT_BELIEVED)


def _found(path: Path, transaction_id: str) -> tuple[Transaction, Terminal]:
    with opened(path) as books:
        transaction, estate = books.read_now(
            lambda reader: (reader.transaction(transaction_id), reader.estate())
        )
    if transaction is None:
        raise NotFound(f"No transaction {transaction_id!r} in this journal.")
    return transaction, estate.terminals[transaction.terminal_id]


def _settings(terminal: Terminal) -> DriverSettings:
    if terminal.driver != DRIVER:
        raise Unsupported(f"{terminal.name} is reached by {terminal.driver}, not by links.")
    return settings_of(terminal, DriverSettings)


async def _asked(
    ids: Sequence[str], terminal: Terminal, settings: DriverSettings, vault: KeyFileVault
) -> list[Answers]:
    """What the backend says of each, by the TID."""
    backends = Backends(AiohttpClient, SystemClock(), vault)
    backend = backends.of(settings)
    tids = phone.tids(terminal.tid, settings)
    found: list[Answers] = []
    try:
        for name in ids:
            answers: Answers = {}
            for tid in tids:
                try:
                    answers[tid] = await backend.check(tid, name, tids, settings)
                except NoSuchTransaction:
                    answers[tid] = None
            found.append(answers)
        return found
    finally:
        await backends.close()


def _views(answers: Answers) -> dict[str, object]:
    return {tid: _view(answer) for tid, answer in answers.items()}


def _view(answer: CheckAnswer | None) -> dict[str, object] | None:
    if answer is None:
        return None
    members = msgspec.structs.asdict(answer)
    return {**members, "raw": msgspec.json.decode(answer.raw)}


def _show(text: str, svg: Path | None, *, as_json: bool) -> None:
    code = code_of(text)
    if svg is not None:
        try:
            code.save(str(svg), kind="svg", scale=4)
        except OSError as error:
            raise ConfigurationError(f"{svg}: it cannot be written: {error.strerror}.") from None
    if as_json:
        say_json({"link": text})
        return
    remark_code(code)
    say(text)
