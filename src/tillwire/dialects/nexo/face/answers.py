"""The answer to a Payment or a Reversal, made of its transaction and its memo.

Pure and deterministic: a TransactionStatus that asks later gets the very same body. What the
protocol wants and nobody here knows is left out; README.md lists it.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from tillwire.clock import Instant, utc
from tillwire.core import receipts
from tillwire.core.model import (
    Cause,
    Conversion,
    EntryMode,
    Outcome,
    State,
    Transaction,
    Verdict,
    Verification,
)
from tillwire.dialects.nexo.face.memos import Memo
from tillwire.dialects.nexo.face.settings import Settings
from tillwire.dialects.nexo.wire import values
from tillwire.dialects.nexo.wire.fields import replace
from tillwire.dialects.nexo.wire.instruments import CardData, PaymentInstrumentData
from tillwire.dialects.nexo.wire.outputs import OutputContent, OutputText, PaymentReceipt
from tillwire.dialects.nexo.wire.services import (
    ConvertedAmount,
    CurrencyConversion,
    PaymentResponse,
    PaymentResult,
    ReversalResponse,
)
from tillwire.dialects.nexo.wire.shared import (
    AmountsResp,
    OriginalPOITransaction,
    PaymentAcquirerData,
    POIData,
    Response,
    TransactionIdentification,
)
from tillwire.dialects.nexo.wire.values import ErrorCondition, Result
from tillwire.errors import Proof
from tillwire.money import Money

_ENTRY_MODES: Final = {
    EntryMode.CONTACTLESS: values.EntryMode.CONTACTLESS,
    EntryMode.CHIP: values.EntryMode.ICC,
    EntryMode.SWIPE: values.EntryMode.MAG_STRIPE,
    EntryMode.MANUAL: values.EntryMode.KEYED,
}
_METHODS: Final = {
    Verification.NONE: (),
    Verification.PIN: (values.AuthenticationMethod.ONLINE_PIN.value,),
    Verification.SIGNATURE: (values.AuthenticationMethod.PAPER_SIGNATURE.value,),
    Verification.DEVICE: (values.AuthenticationMethod.UNKNOWN_METHOD.value,),
}
_WRONG_PIN: Final = frozenset({"55", "75"})
_NO_HOST: Final = frozenset({"91", "92", "96"})
"""ISO 8583 field 39: the issuer or its network did not answer."""
_PROOFS: Final = {
    Proof.NEVER_SENT: "it was never sent to the terminal",
    Proof.CONNECT_REFUSED: "the terminal refused the connection",
    Proof.REFUSED_BY_PEER: "the terminal refused it",
    Proof.ABSENT_AT_PEER: "the terminal has never heard of it",
}
_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_MASKED: Final = 6
"""Characters between a card's BIN and its last four digits."""


def moment(instant: Instant) -> str:
    """UTC as the protocol writes it, in milliseconds."""
    return utc(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def identification(transaction: Transaction) -> TransactionIdentification:
    """The POITransactionID: our own id of the transaction, and when it was accepted."""
    return TransactionIdentification(
        transaction_id=transaction.id, time_stamp=moment(transaction.created_at)
    )


def payment_response(
    transaction: Transaction, memo: Memo, settings: Settings, period: int | None, title: str = ""
) -> PaymentResponse:
    """The response to a Payment that has ended. `period` is the number of the terminal's period
    in which it counts, `title` stands above its receipts."""
    return PaymentResponse(
        response=response(transaction, memo),
        sale_data=memo.sale_data(),
        poi_data=_poi_data(transaction, period),
        payment_result=_result(transaction, memo),
        payment_receipt=payment_receipts(transaction, settings, title),
    )


def reversal_response(
    transaction: Transaction, memo: Memo, settings: Settings, period: int | None, title: str = ""
) -> ReversalResponse:
    """The response to a Reversal that has ended."""
    approved = transaction.state is State.APPROVED
    return ReversalResponse(
        response=response(transaction, memo),
        poi_data=_poi_data(transaction, period),
        original_poi_transaction=OriginalPOITransaction(poi_transaction_id=memo.original),
        reversed_amount=major(_approved(transaction)) if approved else None,
        payment_receipt=payment_receipts(transaction, settings, title),
    )


# --- how it ended -----------------------------------------------------------------------------


def response(transaction: Transaction, memo: Memo) -> Response:
    """Result, ErrorCondition and words of a final transaction."""
    assert transaction.is_final, "what has not ended has no answer"
    outcome = transaction.outcome
    if outcome is None:
        return _response_without_outcome(transaction)
    if outcome.verdict is Verdict.APPROVED:
        return _approval(transaction, memo, outcome)
    reason = outcome.reason or f"The payment was {outcome.verdict.lower()}."
    if outcome.verdict is Verdict.DECLINED:
        code = outcome.response_code
        words = f"{reason.rstrip('.')} ({code})." if code else reason
        return failure(_refusal(code), words)
    if outcome.cause is Cause.TILL:
        return failure(ErrorCondition.ABORTED, reason)
    return failure(ErrorCondition.CANCEL, reason)


def failure(condition: ErrorCondition, words: str) -> Response:
    """A failure, and why."""
    return Response(
        result=Result.FAILURE.value, error_condition=condition.value, additional_response=words
    )


SUCCESS: Final = Response(result=Result.SUCCESS.value)


def _approval(transaction: Transaction, memo: Memo, outcome: Outcome) -> Response:
    asked, granted = transaction.amount, outcome.approved_amount - outcome.tip
    if memo.total is not None or granted >= asked.minor:
        return SUCCESS
    return Response(
        result=Result.PARTIAL.value,
        additional_response=f"Approved for {Money(granted, asked.currency)} of {asked}.",
    )


def _refusal(code: str) -> ErrorCondition:
    if code in _WRONG_PIN:
        return ErrorCondition.WRONG_PIN
    return ErrorCondition.UNREACHABLE_HOST if code in _NO_HOST else ErrorCondition.REFUSAL


def _response_without_outcome(transaction: Transaction) -> Response:
    assert transaction.proof is not None, "what failed, or was not sent, has a proof (law 4)"
    proof = _PROOFS[transaction.proof]
    if transaction.state is State.CANCELLED:
        return failure(ErrorCondition.ABORTED, f"It was called off; {proof}. No money moved.")
    return failure(ErrorCondition.UNAVAILABLE_DEVICE, f"No money moved: {proof}.")


# --- what was paid ----------------------------------------------------------------------------


def _poi_data(transaction: Transaction, period: int | None) -> POIData:
    counts = transaction.state is State.APPROVED and period is not None
    return POIData(
        poi_transaction_id=identification(transaction),
        poi_reconciliation_id=str(period) if counts else None,
    )


def _result(transaction: Transaction, memo: Memo) -> PaymentResult | None:
    """None where no terminal processed it."""
    outcome = transaction.outcome
    if outcome is None:
        return None
    approved = outcome.verdict is Verdict.APPROVED
    return PaymentResult(
        payment_type=memo.payment_type,
        payment_instrument_data=instrument(
            outcome.brand, outcome.card_bin, outcome.card_last4, outcome.entry_mode
        ),
        amounts_resp=_amounts(transaction, memo, outcome) if approved else None,
        currency_conversion=_conversion(outcome.conversion),
        customer_language=memo.language or None,
        authentication_method=_METHODS[outcome.verification] if outcome.verification else (),
        validity_date=transaction.terms.valid_until or None,
        payment_acquirer_data=_acquirer(transaction, memo, outcome),
    )


def instrument(
    brand: str, card_bin: str, last4: str, entry_mode: EntryMode | None
) -> PaymentInstrumentData | None:
    """The card, as far as it may be shown; None where nothing is known of one."""
    if not (brand or last4):
        return None
    masked = last4 and card_bin + "*" * _MASKED + last4
    return PaymentInstrumentData(
        payment_instrument_type=values.PaymentInstrumentType.CARD.value,
        card_data=CardData(
            payment_brand=brand or None,
            masked_pan=masked or None,
            entry_mode=(_ENTRY_MODES[entry_mode].value,) if entry_mode else (),
        ),
    )


def _amounts(transaction: Transaction, memo: Memo, outcome: Outcome) -> AmountsResp:
    currency, terms = transaction.amount.currency, transaction.terms
    approved = outcome.approved_amount if memo.total is None else memo.total
    # Of what was approved in part nobody knows how much of it is cash or tip.
    whole = outcome.approved_amount - outcome.tip >= transaction.amount.minor
    tip = outcome.tip + (terms.tip if whole else 0)
    cash = terms.cash_back if whole else 0
    return _amounts_resp(
        Money(approved, currency),
        cash_back_amount=major(Money(cash, currency)) if cash else None,
        tip_amount=major(Money(tip, currency)) if tip else None,
    )


def _amounts_resp(authorized: Money, **parts: Decimal | None) -> AmountsResp:
    """An amount that a tip has made larger than the format allows is told all the same: the till
    must know what was charged."""
    amounts = AmountsResp(currency=authorized.currency, authorized_amount=Decimal(0), **parts)
    replace(amounts, "authorized_amount", major(authorized))
    return amounts


def major(money: Money) -> Decimal:
    """The amount in major units, as the protocol writes amounts."""
    return Decimal(money.decimal())


def _approved(transaction: Transaction) -> Money:
    return Money(transaction.approved_amount, transaction.amount.currency)


def _conversion(conversion: Conversion | None) -> tuple[CurrencyConversion, ...]:
    if conversion is None:
        return ()
    return (
        CurrencyConversion(
            customer_approved_flag=True,
            converted_amount=ConvertedAmount(
                amount_value=major(conversion.amount), currency=conversion.amount.currency
            ),
            rate=_number(conversion.rate),
            markup=_number(conversion.markup),
        ),
    )


def _number(text: str) -> Decimal | None:
    """A number as a driver has written it; None if it is none of ordinary size: an answer must not
    fail of it."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _acquirer(transaction: Transaction, memo: Memo, outcome: Outcome) -> PaymentAcquirerData | None:
    if not (outcome.stan or outcome.response_code or outcome.acquirer_reference):
        return None  # the acquirer was not asked
    at = outcome.at or transaction.ended_at or transaction.created_at
    reference = outcome.acquirer_reference or outcome.stan
    return PaymentAcquirerData(
        merchant_id=memo.merchant or None,
        acquirer_poi_id=transaction.heading.tid or None,
        acquirer_transaction_id=TransactionIdentification(
            transaction_id=reference, time_stamp=moment(at)
        )
        if reference
        else None,
        approval_code=outcome.authorisation_code or None,
    )


# --- receipts ---------------------------------------------------------------------------------


def payment_receipts(
    transaction: Transaction, settings: Settings, title: str = ""
) -> tuple[PaymentReceipt, ...]:
    """The merchant's and the cardholder's receipt, a line of text each; none where no terminal
    processed it. `title` stands above each."""
    outcome = transaction.outcome
    signs = (
        outcome is not None
        and outcome.verdict is Verdict.APPROVED
        and outcome.verification is Verification.SIGNATURE
    )
    both = receipts.both_receipts(transaction, settings.receipt_columns)
    qualifier = values.DocumentQualifier
    slips = (
        (qualifier.CASHIER_RECEIPT, both.merchant, signs),
        (qualifier.CUSTOMER_RECEIPT, both.cardholder, False),
    )
    return tuple(
        with_content(
            PaymentReceipt(
                document_qualifier=which.value,
                integrated_print_flag=False,
                required_signature_flag=wants_signature,
                output_content=_NOTHING,
            ),
            lines(f"{title}\n\n{text}" if title else text),
        )
        for which, text, wants_signature in slips
        if text
    )


def with_content(receipt: PaymentReceipt, content: OutputContent) -> PaymentReceipt:
    """The receipt with a content of our own, as it is: card numbers were cut out of it before
    anything was journaled, and a sale's own numbers that look like one must stay readable."""
    made = msgspec.structs.replace(receipt, output_content=_NOTHING)
    replace(made, "output_content", content)
    return made


_NOTHING: Final = OutputContent(output_format=values.OutputFormat.TEXT.value)


def lines(text: str) -> OutputContent:
    """A text with `\\n` line ends. An empty line is one with a blank: the protocol has no text
    without a character."""
    return OutputContent(
        output_format=values.OutputFormat.TEXT.value,
        output_text=tuple(
            OutputText(text=line or " ", end_of_line_flag=True)
            for line in text.removesuffix("\n").split("\n")
        ),
    )
