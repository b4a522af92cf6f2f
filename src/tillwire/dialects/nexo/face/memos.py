"""What the answers to a Payment or a Reversal must repeat of its request.

Kept as text with the exchange (`Exchange.request`), so that an answer is made of the transaction
and this alone, and is the same whenever it is made.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tillwire.core.model import Exchange
from tillwire.dialects.nexo.face.wanted import Wanted
from tillwire.dialects.nexo.wire.header import MessageHeader
from tillwire.dialects.nexo.wire.services import PaymentRequest, ReversalRequest
from tillwire.dialects.nexo.wire.shared import (
    OriginalPOITransaction,
    SaleData,
    TransactionIdentification,
)


class Memo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request, as far as its answers repeat it."""

    header: MessageHeader
    payment_type: str = ""
    """Empty: a Reversal."""
    sale: TransactionIdentification | None = None
    chain: str = ""
    original: TransactionIdentification | None = None
    total: int | None = None
    """Minor units that an UpdateReservation or Completion leads to, where the transaction's own
    amount is another one: it moves only the difference, or releases what is reserved."""
    language: str = ""
    merchant: str = ""
    """Whom the money goes to, as the estate was when it was asked for."""

    def sale_data(self) -> SaleData | None:
        """The echo."""
        if self.sale is None:
            return None
        return SaleData(sale_transaction_id=self.sale, sale_reference_id=self.chain or None)


_decoder: Final = msgspec.json.Decoder(Memo)
_encoder: Final = msgspec.json.Encoder()


def memo_of(
    header: MessageHeader,
    body: PaymentRequest | ReversalRequest,
    wanted: Wanted,
    *,
    merchant: str,
    total: int | None = None,
) -> Memo:
    """The memo of a request."""
    original: OriginalPOITransaction | None
    if isinstance(body, PaymentRequest):
        original = body.payment_transaction.original_poi_transaction
    else:
        original = body.original_poi_transaction
    return Memo(
        header=header,
        payment_type=wanted.payment_type,
        sale=body.sale_data.sale_transaction_id if body.sale_data else None,
        chain=wanted.terms.chain,
        original=original.poi_transaction_id if original else None,
        total=total,
        language=wanted.terms.language,
        merchant=merchant,
    )


def text_of(memo: Memo) -> str:
    """As an exchange keeps it."""
    return _encoder.encode(memo).decode()


def memo_in(exchange: Exchange) -> Memo:
    """What an exchange keeps."""
    return _decoder.decode(exchange.request)
