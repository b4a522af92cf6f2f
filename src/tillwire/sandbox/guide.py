"""Tells a person how to make the first payment, on the terminal and on the start page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tillwire.sandbox.card import Card
from tillwire.server.pages import Guide


def _program() -> str:
    """How this program was called: it may not be where the shell looks for programs."""
    called = sys.argv[0]
    return shlex.quote(called) if Path(called).name == "tillwire" else "tillwire"


def guide(card: Card, path: Path, *, with_key: bool) -> Guide:
    """The commands of a first payment. Without the key they read it from the card at `path`."""
    url = f"{card.merchantapi.url}/terminals/{card.merchantapi.terminals[0]}/transactions"
    sale = (
        '{"type":"PURCHASE","merchant_order_reference":"till1-0001",'
        '"amount":{"value":12.34,"currency":"EUR"}}'
    )
    read = (
        "python3 -c 'import json, sys; "
        """print(json.load(open(sys.argv[1]))["merchantapi"]["api_key"])'"""
    )
    key = card.merchantapi.api_key if with_key else f"$({read} {shlex.quote(str(path))})"
    return Guide(
        intro=(
            "Start a purchase of EUR 12.34 on a virtual terminal, then read what became of it. "
            "The last two digits of the amount decide what the terminal does."
        ),
        commands=[
            ("Once: which terminal, and with which key.", f"URL={url}\nKEY={key}"),
            (
                "Start a purchase:",
                f"""curl -s $URL -H "API-Key: $KEY" -H 'Content-Type: application/json' """
                f"-d '{sale}'; echo",
            ),
            (
                "Read what became of it (the newest is the first of the list):",
                """curl -s "$URL?size=1" -H "API-Key: $KEY"; echo""",
            ),
            ("See what the acquirer really charged:", f"curl -s {card.virtual.ledger}; echo"),
            (
                "Or all of it at once, with the receipt:",
                f"{_program()} pay 12.34 --card {shlex.quote(str(path))}",
            ),
        ],
    )
