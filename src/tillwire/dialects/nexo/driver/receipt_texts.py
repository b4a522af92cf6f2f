"""Plain text of what a terminal writes: receipts and displays.

What is in a receipt is the vendor's business. Lines of text and XHTML become plain text; a line of
fields (`key=...&name=...&value=...`, as Adyen's terminals write) becomes its name and value.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qs

from tillwire.core.model import Receipts
from tillwire.dialects.nexo.wire import cuts
from tillwire.dialects.nexo.wire.outputs import (
    DisplayOutput,
    OutputContent,
    OutputText,
    PaymentReceipt,
)
from tillwire.dialects.nexo.wire.values import Device, DocumentQualifier
from tillwire.dialects.nexo.wire.xhtml import words_of

LONGEST_RECEIPT: Final = 20_000
"""Characters of one receipt at most; the rest is left out."""
LONGEST_DISPLAY: Final = 300


def receipts_of(written: Iterable[PaymentReceipt]) -> Receipts | None:
    """The cardholder's and the merchant's receipt; None when there is neither."""
    texts = {DocumentQualifier.CUSTOMER_RECEIPT: "", DocumentQualifier.CASHIER_RECEIPT: ""}
    for each in written:
        qualifier = each.document_qualifier
        if qualifier in (DocumentQualifier.CUSTOMER_RECEIPT, DocumentQualifier.CASHIER_RECEIPT):
            which = DocumentQualifier(qualifier)
            texts[which] = (texts[which] + content_text(each.output_content))[:LONGEST_RECEIPT]
    if not any(texts.values()):
        return None
    return Receipts(
        texts[DocumentQualifier.CUSTOMER_RECEIPT], texts[DocumentQualifier.CASHIER_RECEIPT]
    )


def display_text(outputs: Iterable[DisplayOutput]) -> str:
    """What a terminal shows, in one line: what is for the cashier, else whatever there is."""
    shown = list(outputs)
    cashiers = [each for each in shown if each.device == Device.CASHIER_DISPLAY]
    texts = (content_text(each.output_content) for each in cashiers or shown)
    return " ".join(" ".join(texts).split())[:LONGEST_DISPLAY]


def content_text(content: OutputContent) -> str:
    """A content as lines of plain text, each with its line end; empty for a bar code."""
    text = ""
    if content.output_text:
        text = _lines(content.output_text)
    elif content.output_xhtml:
        text = _of_xhtml(content.output_xhtml)
    elif content.predefined_content is not None:
        text = _predefined(content.predefined_content.reference_id) + "\n"
    # What came in pieces may be a card number now that it is put together.
    return cuts.written(text)


def _lines(parts: Iterable[OutputText]) -> str:
    text = ""
    for part in parts:
        text += _plain(_fields(part.text or ""))
        if part.end_of_line_flag is not False:
            text += "\n"
    return text


def _fields(line: str) -> str:
    if not line.startswith(("key=", "name=", "value=")):
        return line
    fields = fields_of(line)
    return " ".join(fields[name] for name in ("name", "value") if name in fields)


def _predefined(reference: str) -> str:
    """`event=WAIT_FOR_PIN&...`, as Adyen's terminals name their states, or a name of whoever."""
    event = fields_of(reference).get("event")
    return _plain(event.replace("_", " ").capitalize() if event else reference)


def fields_of(text: str) -> dict[str, str]:
    """What is form-encoded in a text; nothing if it is something else."""
    try:
        return {name: given[0] for name, given in parse_qs(text, max_num_fields=100).items()}
    except ValueError:
        return {}


def _of_xhtml(encoded: str) -> str:
    try:
        words = words_of(b64decode(encoded).decode("utf-8", "replace"))
    except (Error, ValueError):
        return ""
    return "".join(f"{_plain(line)}\n" for line in words.text.split("\n"))


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
