"""Errands as messages, and their answers as results. Pure functions."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tillwire.clock import Instant
from tillwire.core.entries import Entry
from tillwire.core.errands import (
    Answer,
    Ask,
    AskBalance,
    AskLast,
    Balance,
    CardRead,
    Count,
    Counted,
    Errand,
    ErrandFailed,
    Print,
    Question,
    ReadCard,
    Reprint,
    Result,
    Show,
    Trouble,
    Update,
)
from tillwire.core.totals import TotalsKind, TotalsRow
from tillwire.dialects.nexo.driver import pos
from tillwire.dialects.nexo.driver.cards import card_named
from tillwire.dialects.nexo.driver.reading import evidence, kind_of, words_of
from tillwire.dialects.nexo.driver.settings import DriverSettings
from tillwire.dialects.nexo.wire import Body, devices, services, values
from tillwire.dialects.nexo.wire.instruments import PaymentInstrumentData
from tillwire.dialects.nexo.wire.outputs import (
    DisplayOutput,
    MenuEntry,
    OutputContent,
    OutputText,
    PrintOutput,
)
from tillwire.dialects.nexo.wire.shared import (
    Response,
    SaleData,
    TransactionIdentification,
    TransactionTotals,
)
from tillwire.dialects.nexo.wire.values import ErrorCondition, InputCommand
from tillwire.dialects.nexo.wire.values import Result as Ended
from tillwire.errors import InvalidRequest
from tillwire.money import Money, from_decimal

LONGEST_DISPLAY_TIME: Final = 999
"""Seconds, by the protocol."""

_COMMANDS: Final = {
    Question.ANY_KEY: InputCommand.GET_ANY_KEY,
    Question.CONFIRM: InputCommand.GET_CONFIRMATION,
    Question.TEXT: InputCommand.TEXT_STRING,
    Question.DIGITS: InputCommand.DIGIT_STRING,
    Question.DECIMAL: InputCommand.DECIMAL_STRING,
    Question.FUNCTION_KEY: InputCommand.GET_FUNCTION_KEY,
    Question.CHOICE: InputCommand.GET_MENU_ENTRY,
    Question.PASSWORD: InputCommand.PASSWORD,
}
_TROUBLES: Final = {
    ErrorCondition.ABORTED: Trouble.CANCELLED,
    ErrorCondition.CANCEL: Trouble.CANCELLED,
    ErrorCondition.INSERTED_CARD: Trouble.CARD_INSERTED,
    ErrorCondition.DEVICE_OUT: Trouble.BROKEN,
    ErrorCondition.UNAVAILABLE_DEVICE: Trouble.BROKEN,
    ErrorCondition.BUSY: Trouble.BUSY,
    ErrorCondition.IN_PROGRESS: Trouble.BUSY,
    ErrorCondition.UNREACHABLE_HOST: Trouble.UNREACHABLE,
}
"""All else is `REFUSED`."""
_KINDS: Final = {
    values.TransactionType.DEBIT: TotalsKind.DEBIT,
    values.TransactionType.ISSUER_INSTALMENT: TotalsKind.DEBIT,
    values.TransactionType.CREDIT: TotalsKind.CREDIT,
    values.TransactionType.REVERSE_DEBIT: TotalsKind.REVERSE_DEBIT,
    values.TransactionType.REVERSE_CREDIT: TotalsKind.REVERSE_CREDIT,
    values.TransactionType.ONE_TIME_RESERVATION: TotalsKind.RESERVED,
    values.TransactionType.FIRST_RESERVATION: TotalsKind.RESERVED,
    values.TransactionType.UPDATE_RESERVATION: TotalsKind.RESERVED_CHANGE,
    values.TransactionType.COMPLETED_RESERVATION: TotalsKind.COMPLETED,
    values.TransactionType.COMPLETED_DEFFERED: TotalsKind.COMPLETED,
    values.TransactionType.CASH_ADVANCE: TotalsKind.CASH_ADVANCE,
    values.TransactionType.DECLINED: TotalsKind.DECLINED,
    values.TransactionType.FAILED: TotalsKind.FAILED,
}
"""What a total counts. Loyalty points are no money, and left out."""


# --- requests -----------------------------------------------------------------------------------


def request_of(errand: Errand, settings: DriverSettings, number: str, now: Instant) -> Body:
    """The request that an errand is. `number` names what needs a name. Raises `NotDelivered` when
    it names a card that no nexo terminal has read."""
    match errand:
        case Show():
            return devices.DisplayRequest(display_output=(_display(errand.text, errand.seconds),))
        case Print():
            return devices.PrintRequest(
                print_output=PrintOutput(
                    document_qualifier=values.DocumentQualifier.DOCUMENT.value,
                    response_mode=values.ResponseMode.PRINT_END.value,
                    integrated_print_flag=False,
                    required_signature_flag=errand.signature,
                    output_content=_text(errand.text),
                )
            )
        case Ask():
            return _question(errand)
        case ReadCard():
            named = TransactionIdentification(transaction_id=number, time_stamp=pos.stamp(now))
            amount = None if errand.amount is None else pos.major(errand.amount)
            return services.CardAcquisitionRequest(
                sale_data=SaleData(sale_transaction_id=named),
                card_acquisition_transaction=services.CardAcquisitionTransaction(
                    total_amount=amount
                ),
            )
        case AskBalance():
            reference = pos.card_reference(errand.card) if errand.card else None
            return services.BalanceInquiryRequest(
                payment_account_req=services.PaymentAccountReq(
                    account_type=values.AccountType.DEFAULT.value,
                    card_acquisition_reference=reference,
                )
            )
        case Update():
            return services.AdminRequest(service_identification=errand.what or None)
        case Count():
            if not errand.close:
                return services.GetTotalsRequest()
            return services.ReconciliationRequest(reconciliation_type=settings.reconciliation)
        case AskLast():
            return services.TransactionStatusRequest()
        case Reprint():
            raise ErrandFailed(Trouble.REFUSED, "The protocol has no way for this.")


def _question(ask: Ask) -> devices.InputRequest:
    password = ask.question is Question.PASSWORD
    entries = ask.choices if ask.question is Question.CHOICE else ()
    return devices.InputRequest(
        display_output=DisplayOutput(
            device=values.Device.CUSTOMER_DISPLAY.value,
            info_qualify=values.InfoQualify.DISPLAY.value,
            output_content=_text(ask.text),
            menu_entry=tuple(
                MenuEntry(
                    menu_entry_tag=values.MenuEntryTag.SELECTABLE.value,
                    output_format=values.OutputFormat.TEXT.value,
                    output_text=(OutputText(text=each),),
                )
                for each in entries
            ),
        ),
        input_data=devices.InputData(
            device=values.Device.CUSTOMER_INPUT.value,
            info_qualify=values.InfoQualify.INPUT.value,
            input_command=_COMMANDS[ask.question].value,
            notify_card_input_flag=ask.notice_card or None,
            max_input_time=ask.seconds or None,
            min_length=ask.shortest or None,
            max_length=ask.longest or None,
            max_decimal_length=ask.decimals or None,
            default_input_string=ask.default or None,
            mask_characters_flag=password or None,
        ),
    )


def _display(text: str, seconds: int) -> DisplayOutput:
    return DisplayOutput(
        device=values.Device.CUSTOMER_DISPLAY.value,
        info_qualify=values.InfoQualify.DISPLAY.value,
        response_required_flag=True,
        minimum_display_time=min(seconds, LONGEST_DISPLAY_TIME),
        output_content=_text(text),
    )


def _text(text: str) -> OutputContent:
    """A line each; an empty one is a blank, since the protocol has no text without a character."""
    return OutputContent(
        output_format=values.OutputFormat.TEXT.value,
        output_text=tuple(
            OutputText(text=line or " ", end_of_line_flag=True)
            for line in text.removesuffix("\n").split("\n")
        ),
    )


# --- answers ------------------------------------------------------------------------------------


def response_of(body: Body) -> Response:
    """How it went, wherever the message has that."""
    if isinstance(body, devices.DisplayResponse):
        return body.output_result[0].response
    if isinstance(body, devices.InputResponse):
        return body.input_result.response
    found = getattr(body, "response", None)
    assert isinstance(found, Response), "what answers an errand has a Response"
    return found


def failure_of(response: Response) -> ErrandFailed | None:
    """Why it was not done; None when it was, if in part."""
    if response.result in (Ended.SUCCESS, Ended.PARTIAL):
        return None
    condition = response.error_condition
    known = condition in _TROUBLES
    trouble = _TROUBLES[ErrorCondition(condition)] if known and condition else Trouble.REFUSED
    return ErrandFailed(trouble, f"{words_of(response)}.")


def result_of(errand: Errand, body: Body) -> Result:
    """What came of it. Raises `ErrandFailed` when the answer does not have what it must."""
    match errand, body:
        case Ask(), devices.InputResponse():
            return _answer(errand, body.input_result.input)
        case ReadCard(), services.CardAcquisitionResponse():
            named = None if body.poi_data is None else body.poi_data.poi_transaction_id
            if named is None:
                raise _lacks("POITransactionID")
            return _card(body.payment_instrument_data, pos.card_name(named))
        case AskBalance(), services.BalanceInquiryResponse():
            return _balance(errand, body.payment_account_status)
        case Count(), services.GetTotalsResponse() | services.ReconciliationResponse():
            return _counted(body.transaction_totals, body.poi_reconciliation_id or "")
        case AskLast(), services.TransactionStatusResponse():
            return _last(body)
    return None


def _lacks(member: str) -> ErrandFailed:
    return ErrandFailed(Trouble.REFUSED, f"There is no {member} in the terminal's answer.")


def _answer(ask: Ask, given: devices.Input | None) -> Answer:
    if ask.question is Question.ANY_KEY:
        return Answer(confirmed=True)
    if given is None:
        raise _lacks("Input")
    if ask.question is Question.CONFIRM:
        return Answer(confirmed=given.confirmed_flag is True)
    if ask.question is Question.CHOICE:
        if not given.menu_entry_number or not 1 <= given.menu_entry_number[0] <= len(ask.choices):
            raise _lacks("MenuEntryNumber of an entry")
        return Answer(choice=given.menu_entry_number[0])
    if ask.question is Question.FUNCTION_KEY:
        key = given.function_key or ""
        return Answer(choice=int(key) if key.isdecimal() and len(key) < 4 else 0, text=key)
    typed = (given.text_input, given.digit_input, given.password)
    return Answer(text=next((each for each in typed if each is not None), ""))


def _card(instrument: PaymentInstrumentData | None, name: str) -> CardRead:
    return CardRead(name, **card_named(instrument))


def _balance(errand: AskBalance, status: services.PaymentAccountStatus | None) -> Balance:
    if status is None or status.current_balance is None or status.currency is None:
        raise _lacks("CurrentBalance with its Currency")
    amount = _money(status.current_balance, status.currency, "CurrentBalance")
    return Balance(_card(status.payment_instrument_data, errand.card), amount)


def _money(value: Decimal, currency: str, member: str) -> Money:
    try:
        return from_decimal(value, currency, member)
    except InvalidRequest as error:
        raise ErrandFailed(Trouble.REFUSED, str(error)) from error


def _counted(totals: tuple[TransactionTotals, ...], period: str) -> Counted:
    rows: list[TotalsRow] = []
    for each in totals:
        for total in each.payment_totals:
            if total.transaction_type not in _KINDS:
                continue
            if each.payment_currency is None:
                raise _lacks("PaymentCurrency")
            money = _money(total.transaction_amount, each.payment_currency, "TransactionAmount")
            rows.append(
                TotalsRow(
                    _KINDS[values.TransactionType(total.transaction_type)],
                    money.currency,
                    brand=each.card_brand or "",
                    register=each.sale_id or "",
                    operator=each.operator_id or "",
                    shift=each.shift_number or "",
                    totals_group=each.totals_group_id or "",
                    count=total.transaction_count,
                    amount=money.minor,
                )
            )
    return Counted(tuple(rows), period)


def _last(body: services.TransactionStatusResponse) -> Entry | None:
    repeated = body.repeated_message_response
    inner = None if repeated is None else repeated.repeated_response_message_body
    found = None if inner is None else inner.payment_response or inner.reversal_response
    header = None if repeated is None else repeated.message_header
    if header is None:
        return None
    if found is None:
        words = f"It repeats a {header.message_category}, in which there is no payment."
        raise ErrandFailed(Trouble.REFUSED, words)
    order = pos.Order(
        service_id=header.service_id or "",
        sale_id=header.sale_id,
        poi_id=header.poi_id,
        category=header.message_category,
        requested=None,
    )
    outcome = evidence(found, order)
    sale = found.sale_data if isinstance(found, services.PaymentResponse) else None
    named = order.service_id if sale is None else sale.sale_transaction_id.transaction_id
    if outcome is None:
        said = (found.response.result, found.response.error_condition)
        return Entry(name=named, words=" ".join(each for each in said if each))
    result = found.payment_result if isinstance(found, services.PaymentResponse) else None
    amounts = None if result is None else result.amounts_resp
    return Entry(
        name=named,
        outcome=outcome,
        type=kind_of(found),
        amount=outcome.approved_amount or None,
        currency=(amounts.currency or "") if amounts and outcome.approved_amount else "",
        at=outcome.at,
        words=outcome.reason,
    )
