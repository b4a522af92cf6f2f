"""What is shown, printed and chosen from: contents, receipts, displays and menus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta

from tillwire.dialects.nexo.wire import cuts
from tillwire.dialects.nexo.wire.fields import Base64, Id, Part, Short, Text, Whole, replace
from tillwire.dialects.nexo.wire.values import DocumentQualifier

_LINES: Final = Meta(max_length=2_000)
_ENTRIES: Final = Meta(max_length=500)

Seconds = Annotated[int, Meta(ge=0, le=999, description="a whole number from 0 to 999")]


class PredefinedContent(Part, frozen=True, kw_only=True):
    """A text or sound that the receiver has, by its name. Adyen's terminals write
    `event=...&TransactionID=...&TimeStamp=...` as the name of a state."""

    reference_id: Id
    language: Short | None = None


class OutputText(Part, frozen=True, kw_only=True):
    """A line of text, or a part of one."""

    text: Text | None = None
    """Absent where paper is only fed."""
    character_set: Whole | None = None
    font: Short | None = None
    start_row: Whole | None = None
    start_column: Whole | None = None
    color: Short | None = None
    character_width: Short | None = None
    character_height: Short | None = None
    character_style: Short | None = None
    alignment: Short | None = None
    end_of_line_flag: bool | None = None
    """Absent is true."""


class OutputBarcode(Part, frozen=True, kw_only=True):
    """A bar code."""

    barcode_type: Short | None = None
    barcode_value: Text


class OutputContent(Part, frozen=True, kw_only=True):
    """A content in one of four forms: `output_format` says which member there is."""

    output_format: Id
    predefined_content: PredefinedContent | None = None
    output_text: Annotated[tuple[OutputText, ...], _LINES] = ()
    output_xhtml: Base64 | None = None
    """XHTML in Base64."""
    output_barcode: OutputBarcode | None = None


class PaymentReceipt(Part, frozen=True, kw_only=True):
    """A receipt of a payment, to be printed by the till. Its text is the vendor's."""

    document_qualifier: Id
    integrated_print_flag: bool | None = None
    required_signature_flag: bool | None = None
    """Absent is false."""
    output_content: OutputContent

    def __post_init__(self) -> None:
        cut_content(self.output_content, cuts.written)


class MenuEntry(Part, frozen=True, kw_only=True):
    """One line of a menu."""

    menu_entry_tag: Short | None = None
    default_selected_flag: bool | None = None
    output_format: Id
    predefined_content: PredefinedContent | None = None
    output_text: Annotated[tuple[OutputText, ...], _LINES] = ()
    output_xhtml: Base64 | None = None
    output_barcode: OutputBarcode | None = None

    def __post_init__(self) -> None:
        cut_content(self, cuts.written)


MenuEntries = Annotated[tuple[MenuEntry, ...], _ENTRIES]


class DisplayOutput(Part, frozen=True, kw_only=True):
    """What one device is to show."""

    device: Id
    info_qualify: Id
    response_required_flag: bool | None = None
    """Absent is true."""
    minimum_display_time: Seconds | None = None
    """Seconds; absent is 0."""
    output_content: OutputContent
    menu_entry: MenuEntries = ()

    def __post_init__(self) -> None:
        cut_content(self.output_content, cuts.written)


class PrintOutput(Part, frozen=True, kw_only=True):
    """What is to be printed."""

    document_qualifier: Id
    response_mode: Short | None = None
    """DataMesh omits it."""
    integrated_print_flag: bool | None = None
    required_signature_flag: bool | None = None
    output_content: OutputContent

    def __post_init__(self) -> None:
        own = self.document_qualifier in TILLS_OWN
        cut_content(self.output_content, cuts.asked if own else cuts.written)


TILLS_OWN: Final = frozenset(
    {DocumentQualifier.SALE_RECEIPT, DocumentQualifier.DOCUMENT, DocumentQualifier.VOUCHER}
)
"""Documents that a till writes, full of its own numbers."""


def cut_content(content: OutputContent | MenuEntry, cut: Callable[[str], str]) -> None:
    """Take the card numbers out of a content that is being made."""
    line: list[OutputText] = []
    for piece in content.output_text:
        line.append(piece)
        if piece.end_of_line_flag is not False:
            _cut_line(line, cut)
            line.clear()
    _cut_line(line, cut)
    if content.output_xhtml is not None:
        replace(content, "output_xhtml", cuts.encoded(content.output_xhtml))
    if content.output_barcode is not None:
        value = content.output_barcode.barcode_value
        replace(content.output_barcode, "barcode_value", cuts.asked(value))


def _cut_line(pieces: list[OutputText], cut: Callable[[str], str]) -> None:
    # As a whole, since a number may be spread over its pieces; what is cut keeps its length.
    whole = "".join(piece.text or "" for piece in pieces)
    left = cut(whole)
    if left == whole:
        return
    start = 0
    for piece in pieces:
        if piece.text is not None:
            end = start + len(piece.text)
            replace(piece, "text", left[start:end])
            start = end
