"""What a terminal tells of the card and of the currency, in our own words."""

from __future__ import annotations

import re
from typing import Any, Final

from tillwire import pan
from tillwire.core.model import Conversion, EntryMode, Verification
from tillwire.dialects.nexo.wire import values
from tillwire.dialects.nexo.wire.instruments import CardData, PaymentInstrumentData
from tillwire.dialects.nexo.wire.services import CurrencyConversion, PaymentResult
from tillwire.errors import InvalidRequest
from tillwire.money import from_decimal

_ENTRY_MODES: Final = {
    values.EntryMode.CONTACTLESS: EntryMode.CONTACTLESS,
    values.EntryMode.TAPPED: EntryMode.CONTACTLESS,
    values.EntryMode.RFID: EntryMode.CONTACTLESS,
    values.EntryMode.MOBILE: EntryMode.CONTACTLESS,
    values.EntryMode.ICC: EntryMode.CHIP,
    values.EntryMode.SYNCHRONOUS_ICC: EntryMode.CHIP,
    values.EntryMode.MAG_STRIPE: EntryMode.SWIPE,
    values.EntryMode.KEYED: EntryMode.MANUAL,
    values.EntryMode.MANUAL: EntryMode.MANUAL,
}
_VERIFICATIONS: Final = {
    values.AuthenticationMethod.ONLINE_PIN: Verification.PIN,
    values.AuthenticationMethod.OFFLINE_PIN: Verification.PIN,
    values.AuthenticationMethod.PAPER_SIGNATURE: Verification.SIGNATURE,
    values.AuthenticationMethod.SIGNATURE_CAPTURE: Verification.SIGNATURE,
    values.AuthenticationMethod.BYPASS: Verification.NONE,
}
_BIN: Final = re.compile(r"[0-9]{6,8}(?=[^0-9])")


def card_facts(result: PaymentResult) -> dict[str, Any]:  # Any: fields of `Outcome`, as they are
    """What `Outcome` has of the card and how its holder was verified."""
    methods = [each for each in result.authentication_method if each in _VERIFICATIONS]
    verified = values.AuthenticationMethod(methods[0]) if methods else None
    return {
        **card_named(result.payment_instrument_data),
        "verification": _VERIFICATIONS[verified] if verified else None,
    }


def card_named(instrument: PaymentInstrumentData | None) -> dict[str, Any]:  # Any: as above
    """Brand, what is shown of the number, and how it was read: fields of `Outcome` and of
    `CardRead`."""
    card = None if instrument is None else instrument.card_data
    if instrument is None or card is None:
        return {}
    shown = _shown(card)
    begin = _BIN.match(shown)
    return {
        "brand": card.payment_brand or card.payment_brand_label or "",
        "card_last4": pan.last_four(shown) if shown[-1:].isdigit() else "",
        "card_bin": begin[0] if begin else "",
        "entry_mode": entry_mode(card.entry_mode),
    }


def _shown(card: CardData) -> str:
    if card.masked_pan:
        return card.masked_pan
    sensitive = card.sensitive_card_data
    return (sensitive.pan or "") if sensitive is not None else ""


def entry_mode(modes: tuple[str, ...]) -> EntryMode | None:
    """How a card was read; None for what we have no word for."""
    known = [each for each in modes if each in _ENTRY_MODES]
    return _ENTRY_MODES[values.EntryMode(known[0])] if known else None


def conversion_of(conversions: tuple[CurrencyConversion, ...]) -> Conversion | None:
    """The conversion that the cardholder agreed to, if it is told whole."""
    for each in conversions:
        if each.customer_approved_flag is False or each.rate is None:
            continue
        converted = each.converted_amount
        if converted.currency is None:
            continue
        try:
            amount = from_decimal(converted.amount_value, converted.currency)
        except InvalidRequest:
            continue
        markup = "" if each.markup is None else f"{each.markup:f}"
        return Conversion(amount, f"{each.rate:f}", markup)
    return None
