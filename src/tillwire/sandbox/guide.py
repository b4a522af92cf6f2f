"""Tells a person how to make the first payment, on the terminal and on the start page."""

from __future__ import annotations

from pathlib import Path

from tillwire.sandbox.card import Card
from tillwire.server.pages import Guide


def guide(card: Card, path: Path, *, with_key: bool) -> Guide:
    """The commands of a first payment. Without the key they say where it stands: on the card at
    `path`."""
    key = card.merchantapi.api_key if with_key else "KEY"
    where = "" if with_key else f" Put merchantapi.api_key of the sandbox card, {path}, for KEY."
    url = f"{card.merchantapi.url}/terminals/{card.merchantapi.terminals[0]}/transactions"
    sale = (
        '{"type":"PURCHASE","merchant_order_reference":"till1-0001",'
        '"amount":{"value":12.34,"currency":"EUR"}}'
    )
    header = f"-H 'API-Key: {key}'"
    return Guide(
        intro=(
            "Start a purchase of EUR 12.34 on a virtual terminal, then read what became of it. "
            "The last two digits of the amount decide what the terminal does." + where
        ),
        commands=[
            (
                "Start a purchase, and keep its id:",
                f"ID=$(curl -s {url} \\\n  {header} -H 'Content-Type: application/json' \\\n"
                f"  -d '{sale}' \\\n"
                """  | tee /dev/stderr | sed -n 's/.*"id":"\\([0-9]*\\)".*/\\1/p'); echo""",
            ),
            ("Read what became of it:", f"curl -s {url}/$ID {header}; echo"),
            ("Read them all, newest first:", f"curl -s {url} {header}; echo"),
            ("See what the acquirer really charged:", f"curl -s {card.virtual.ledger}; echo"),
        ],
    )
