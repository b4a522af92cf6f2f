"""CardAcquisition and BalanceInquiry: a card before its payment, and what is on it.

A card that was read is named by the terminal's own word for it (`CardRead.card`), which is the
TransactionID of the response's POITransactionID: a Payment or BalanceInquiry that refers to it
gives it back to the terminal.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from tillwire.core.errands import AskBalance, Balance, CardRead, ReadCard
from tillwire.dialects.nexo.face.answers import SUCCESS, instrument, major, moment
from tillwire.dialects.nexo.face.context import Malformed, Refused, Visit
from tillwire.dialects.nexo.face.enabling import card_for
from tillwire.dialects.nexo.face.events import tell_status
from tillwire.dialects.nexo.face.refusals import echo
from tillwire.dialects.nexo.face.wanted import reference_of, text_of
from tillwire.dialects.nexo.wire.instruments import PaymentInstrumentData
from tillwire.dialects.nexo.wire.services import (
    BalanceInquiryRequest,
    BalanceInquiryResponse,
    CardAcquisitionRequest,
    CardAcquisitionResponse,
    CardAcquisitionTransaction,
    PaymentAccountReq,
    PaymentAccountStatus,
)
from tillwire.dialects.nexo.wire.shared import POIData, TransactionIdentification
from tillwire.dialects.nexo.wire.values import (
    AccountType,
    ErrorCondition,
    LoyaltyHandling,
    ServicesEnabled,
)
from tillwire.errors import InvalidRequest
from tillwire.money import Money, from_decimal

TRAINING_CARD: Final = CardRead("TRAINING", brand="TRAINING", card_last4="0000")
"""What is read in training, where no card is."""

_ACQUISITION: Final = "CardAcquisitionRequest"
_ACCOUNT: Final = "BalanceInquiryRequest.PaymentAccountReq"


async def card_acquisition(visit: Visit) -> CardAcquisitionResponse:
    """Read a card, or take the one that was read ahead. Raises `Refused`, `ErrandFailed`, and what
    else `Engine.perform` does."""
    body = visit.body
    assert isinstance(body, CardAcquisitionRequest)
    reference_of(body.sale_data, _ACQUISITION, visit.context.settings)
    wanted = body.card_acquisition_transaction
    _check(wanted)
    errand = ReadCard(_amount(visit, wanted))
    card = await card_for(visit, ServicesEnabled.CARD_ACQUISITION)
    if visit.login.training:
        card = TRAINING_CARD
    if card is None:
        read = await visit.context.engine.perform(
            visit.terminal.id, errand, tell=partial(tell_status, visit)
        )
        assert isinstance(read, CardRead), "a card that is read is a card"
        card = read
    return CardAcquisitionResponse(
        response=SUCCESS,
        sale_data=echo(body.sale_data),
        poi_data=POIData(
            poi_transaction_id=TransactionIdentification(
                transaction_id=card.card, time_stamp=moment(visit.context.clock.now())
            )
        ),
        payment_brand=(card.brand,) if card.brand else (),
        payment_instrument_data=_instrument(card),
    )


def _check(wanted: CardAcquisitionTransaction) -> None:
    """Raise `Refused` for what cannot be honoured. Allowed brands are advice that the terminal
    does not get: whether the card is welcome, the till sees in the response."""
    if wanted.force_entry_mode:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            "ForceEntryMode: the terminal chooses how it reads the card: leave it out.",
        )
    if wanted.loyalty_handling == LoyaltyHandling.REQUIRED:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            "LoyaltyHandling: loyalty is not served here, so it cannot be required.",
        )


def _amount(visit: Visit, wanted: CardAcquisitionTransaction) -> Money | None:
    """TotalAmount, in the currency of the terminal's store. Raises `Refused`."""
    if not wanted.total_amount:
        return None
    store = visit.context.engine.estate.stores[visit.terminal.store_id]
    try:
        return from_decimal(wanted.total_amount, store.currency)
    except InvalidRequest as error:
        path = f"{_ACQUISITION}.CardAcquisitionTransaction"
        raise Malformed(path, "TotalAmount", error.problem, error.allowed) from None


def _instrument(card: CardRead) -> PaymentInstrumentData | None:
    return instrument(card.brand, card.card_bin, card.card_last4, card.entry_mode)


# --- balance ----------------------------------------------------------------------------------


async def balance_inquiry(visit: Visit) -> BalanceInquiryResponse:
    """Ask what is on a card: on the one that was read before, or on one that is read now. Raises
    `Refused`, `ErrandFailed`, and what else `Engine.perform` does.

    Less than nothing cannot be written: 0 is, and words say how much it is.
    """
    body = visit.body
    assert isinstance(body, BalanceInquiryRequest)
    if body.loyalty_account_req is not None:
        raise Refused(ErrorCondition.UNAVAILABLE_SERVICE, "Loyalty is not served here.")
    if visit.login.training:
        raise Refused(
            ErrorCondition.NOT_ALLOWED, "In training no card is read, and no acquirer is asked."
        )
    found = await visit.context.engine.perform(
        visit.terminal.id,
        AskBalance(_card(body.payment_account_req)),
        tell=partial(tell_status, visit),
    )
    assert isinstance(found, Balance), "who asks for a balance gets one"
    amount = found.amount
    return BalanceInquiryResponse(
        response=SUCCESS
        if amount.minor >= 0
        else msgspec.structs.replace(SUCCESS, additional_response=f"The balance is {amount}."),
        payment_account_status=PaymentAccountStatus(
            payment_instrument_data=_instrument(found.card),
            current_balance=major(Money(max(amount.minor, 0), amount.currency)),
            currency=amount.currency,
        ),
    )


def _card(account: PaymentAccountReq | None) -> str:
    """The card that was read before; empty to read one now. Raises `Refused`."""
    if account is None:
        return ""
    if account.account_type not in (None, AccountType.DEFAULT):
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"AccountType {account.account_type[:40]}: a card's accounts are not told apart here.",
        )
    if account.payment_instrument_data is not None:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            "PaymentInstrumentData: a card that the till has read, or a token, cannot be used "
            "here: leave it out, and the terminal asks for the card.",
        )
    reference = account.card_acquisition_reference
    path = f"{_ACCOUNT}.CardAcquisitionReference"
    return text_of(path, "TransactionID", reference.transaction_id if reference else None)
