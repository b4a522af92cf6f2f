"""With what is paid: cards, cheques, mobiles, gift and loyalty cards, tokens, orders.

None of it is whole: card numbers are masked, and what is on a stripe, or in a PIN block, is gone.
Members under cryptography (`ProtectedCardData` ...) are for those who have their keys, and are not
read at all.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta

from tillwire.dialects.nexo.wire import cuts
from tillwire.dialects.nexo.wire.fields import (
    LONGEST_LIST,
    Id,
    Line,
    Moment,
    Part,
    Short,
    Shorts,
    Whole,
    amounts,
    replace,
)
from tillwire.dialects.nexo.wire.values import IdentificationType

_CARD_NUMBERS: Final = frozenset({IdentificationType.PAN, IdentificationType.ISO_TRACK2})


class TrackData(Part, frozen=True, kw_only=True):
    """A track of a magnetic stripe. What is on it is dropped."""

    track_numb: Whole | None = None
    """1 to 3; absent is 2."""
    track_format: Short | None = None
    track_value: Line | None = None
    """Never there."""

    def __post_init__(self) -> None:
        replace(self, "track_value", None)


class SensitiveCardData(Part, frozen=True, kw_only=True):
    """What is on a card."""

    pan: Short | None = None
    """Masked but for its last four digits."""
    card_seq_numb: Short | None = None
    expiry_date: Short | None = None
    """MMYY."""
    track_data: Annotated[tuple[TrackData, ...], Meta(max_length=10)] = ()

    def __post_init__(self) -> None:
        if self.pan is not None:
            replace(self, "pan", cuts.number(self.pan))


class AllowedProduct(Part, frozen=True, kw_only=True):
    """What a card may pay for."""

    product_code: Short | None = None
    ean_upc: Short | None = None
    product_label: Line | None = None
    additional_product_info: Line | None = None


class PaymentToken(Part, frozen=True, kw_only=True):
    """Stands for a card."""

    token_requested_type: Short
    token_value: Id
    expiry_date_time: Moment | None = None


class CustomerOrder(Part, frozen=True, kw_only=True):
    """An order of a customer that is paid in parts."""

    customer_order_id: Short | None = None
    open_order_state: bool | None = None
    start_date: Short | None = None
    end_date: Short | None = None
    forecasted_amount: Decimal | None = None
    current_amount: Decimal | None = None
    currency: Short | None = None
    accessed_by: Short | None = None
    additional_information: Line | None = None

    def __post_init__(self) -> None:
        amounts(self, "forecasted_amount", "current_amount")


CustomerOrders = Annotated[tuple[CustomerOrder, ...], Meta(max_length=LONGEST_LIST)]


class CardData(Part, frozen=True, kw_only=True):
    """A card. `payment_brand_id`, `payment_brand_label` and `account` are DataMesh's."""

    payment_brand: Short | None = None
    payment_brand_id: Short | None = None
    payment_brand_label: Short | None = None
    account: Short | None = None
    masked_pan: Short | None = None
    payment_account_ref: Short | None = None
    entry_mode: Shorts = ()
    card_country_code: Short | None = None
    """Three digits of ISO 3166."""
    sensitive_card_data: SensitiveCardData | None = None
    allowed_product_code: Shorts = ()
    allowed_product: Annotated[tuple[AllowedProduct, ...], Meta(max_length=LONGEST_LIST)] = ()
    payment_token: PaymentToken | None = None
    customer_order: CustomerOrders = ()

    def __post_init__(self) -> None:
        if self.masked_pan is not None:
            replace(self, "masked_pan", cuts.shown(self.masked_pan))


class CheckData(Part, frozen=True, kw_only=True):
    """A cheque."""

    bank_id: Short | None = None
    account_number: Short | None = None
    check_number: Short | None = None
    track_data: TrackData | None = None
    check_card_number: Short | None = None
    """Masked but for its last four digits."""
    type_code: Short | None = None
    country: Short | None = None
    """Three letters of ISO 3166."""

    def __post_init__(self) -> None:
        if self.check_card_number is not None:
            replace(self, "check_card_number", cuts.number(self.check_card_number))


class MobileData(Part, frozen=True, kw_only=True):
    """A mobile telephone. Its number is not read."""

    mobile_country_code: Short | None = None
    mobile_network_code: Short | None = None
    masked_msisdn: Short | None = None


class StoredValueAccountID(Part, frozen=True, kw_only=True):
    """A gift card or prepaid account."""

    stored_value_account_type: Short | None = None
    stored_value_provider: Short | None = None
    owner_name: Short | None = None
    expiry_date: Short | None = None
    entry_mode: Shorts = ()
    identification_type: Short | None = None
    stored_value_id: Short | None = None

    def __post_init__(self) -> None:
        if self.stored_value_id is not None:
            cut = account(self.identification_type, self.stored_value_id)
            replace(self, "stored_value_id", cut)


class LoyaltyAccountID(Part, frozen=True, kw_only=True):
    """A loyalty account."""

    entry_mode: Shorts = ()
    identification_type: Short | None = None
    identification_support: Short | None = None
    loyalty_id: Short | None = None

    def __post_init__(self) -> None:
        if self.loyalty_id is not None:
            replace(self, "loyalty_id", account(self.identification_type, self.loyalty_id))


class PaymentInstrumentData(Part, frozen=True, kw_only=True):
    """With what was paid, or is to be."""

    payment_instrument_type: Short
    card_data: CardData | None = None
    check_data: CheckData | None = None
    mobile_data: MobileData | None = None
    stored_value_account_id: StoredValueAccountID | None = None


def account(identification: str | None, text: str) -> str:
    """The name of an account without the card number that it may be."""
    return cuts.number(text) if identification in _CARD_NUMBERS else cuts.asked(text)
