"""What went wrong, in the protocol's words: one table from our errors to its ErrorConditions, and
the response of each category that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tillwire.core.errands import ErrandFailed, Trouble
from tillwire.core.estate_model import Lifecycle, Terminal
from tillwire.core.ports import Clock
from tillwire.dialects.nexo.face.answers import failure, moment
from tillwire.dialects.nexo.face.context import Malformed, Refused
from tillwire.dialects.nexo.wire import KIND, Body, devices, services
from tillwire.dialects.nexo.wire.shared import (
    POIData,
    Response,
    SaleData,
    TransactionIdentification,
)
from tillwire.dialects.nexo.wire.values import ErrorCondition, MessageCategory, MessageType
from tillwire.errors import (
    ConfigurationError,
    Conflict,
    InvalidRequest,
    JournalError,
    NotFound,
    NotPermitted,
    PeerError,
    TerminalBusy,
    TillwireError,
    Unsupported,
)

_CONDITIONS: Final[tuple[tuple[type[TillwireError], ErrorCondition], ...]] = (
    (InvalidRequest, ErrorCondition.MESSAGE_FORMAT),
    (NotFound, ErrorCondition.NOT_FOUND),
    (NotPermitted, ErrorCondition.NOT_ALLOWED),
    (TerminalBusy, ErrorCondition.BUSY),
    (Conflict, ErrorCondition.NOT_ALLOWED),
    (Unsupported, ErrorCondition.UNAVAILABLE_SERVICE),
    (PeerError, ErrorCondition.UNAVAILABLE_DEVICE),
    (ConfigurationError, ErrorCondition.UNAVAILABLE_DEVICE),
    (JournalError, ErrorCondition.BUSY),
)
"""The first that fits counts."""
_TROUBLES: Final = {
    Trouble.CANCELLED: ErrorCondition.CANCEL,
    Trouble.TIMED_OUT: ErrorCondition.CANCEL,
    Trouble.CARD_INSERTED: ErrorCondition.INSERTED_CARD,
    Trouble.BROKEN: ErrorCondition.DEVICE_OUT,
    Trouble.BUSY: ErrorCondition.BUSY,
    Trouble.UNREACHABLE: ErrorCondition.UNAVAILABLE_DEVICE,
    Trouble.REFUSED: ErrorCondition.NOT_ALLOWED,
}


def response(error: TillwireError, terminal: Terminal | None, root: str = "") -> Response:
    """The response that says what went wrong. `root` is the envelope that paths begin with, if
    there was one."""
    condition, words = words_of(error, terminal)
    if isinstance(error, Malformed) and root:
        words = words.replace("At ", f"At {root}.", 1)
    return failure(condition, words)


def words_of(error: TillwireError, terminal: Terminal | None = None) -> tuple[ErrorCondition, str]:
    """The ErrorCondition of what went wrong at the terminal, and the words."""
    if isinstance(error, Refused):
        return error.condition, error.detail
    return _condition(error, terminal), str(error)


def _condition(error: TillwireError, terminal: Terminal | None) -> ErrorCondition:
    if isinstance(error, ErrandFailed):
        return _TROUBLES[error.trouble]
    if type(error) is Conflict and terminal and terminal.lifecycle is not Lifecycle.ACTIVATED:
        return ErrorCondition.UNAVAILABLE_DEVICE
    for kind, condition in _CONDITIONS:
        if isinstance(error, kind):
            return condition
    raise error  # a defect of ours, which nobody may take for a failure of the till's wish


# --- the response of each category ------------------------------------------------------------


def body(
    category: str, said: Response, asked: Body | None, sale: SaleData | None, clock: Clock
) -> Body | None:
    """The body of the category's response that says only how it ended. `asked` is the request as
    far as it could be read, `sale` what is known of the sale. None: the category has no response.
    """
    if (build := _BUILDERS.get(category)) is not None:
        return build(said, asked, sale, clock)
    kind = KIND.get((category, MessageType.RESPONSE.value))
    if kind is None:
        return None
    body: Body = kind(response=said)  # type: ignore[assignment]  # all of KIND are bodies
    return body


def echo(sale: SaleData | None) -> SaleData | None:
    """What of a till's SaleData its response repeats."""
    if sale is None:
        return None
    return SaleData(
        sale_transaction_id=sale.sale_transaction_id, sale_reference_id=sale.sale_reference_id
    )


def _poi_data(clock: Clock) -> POIData:
    """Of what became no transaction: an id that no transaction has."""
    return POIData(
        poi_transaction_id=TransactionIdentification(
            transaction_id=clock.transaction_id(), time_stamp=moment(clock.now())
        )
    )


def _payment(said: Response, asked: Body | None, sale: SaleData | None, clock: Clock) -> Body:
    return services.PaymentResponse(response=said, sale_data=echo(sale), poi_data=_poi_data(clock))


def _card(said: Response, asked: Body | None, sale: SaleData | None, clock: Clock) -> Body:
    return services.CardAcquisitionResponse(
        response=said, sale_data=echo(sale), poi_data=_poi_data(clock)
    )


def _reversal(said: Response, asked: Body | None, sale: SaleData | None, clock: Clock) -> Body:
    original = None
    if isinstance(asked, services.ReversalRequest):
        original = asked.original_poi_transaction
    return services.ReversalResponse(response=said, original_poi_transaction=original)


def _reconciliation(
    said: Response, asked: Body | None, sale: SaleData | None, clock: Clock
) -> Body:
    kind = None
    if isinstance(asked, services.ReconciliationRequest):
        kind = asked.reconciliation_type
    return services.ReconciliationResponse(response=said, reconciliation_type=kind)


def _print(said: Response, asked: Body | None, sale: SaleData | None, clock: Clock) -> Body:
    qualifier = None
    if isinstance(asked, devices.PrintRequest):
        qualifier = asked.print_output.document_qualifier
    return devices.PrintResponse(document_qualifier=qualifier, response=said)


_NO_DEVICE: Final = ("CustomerDisplay", "Display")
"""Device and InfoQualify of a request that could not be read."""


def _display(said: Response, asked: Body | None, sale: SaleData | None, clock: Clock) -> Body:
    shown = [_NO_DEVICE]
    if isinstance(asked, devices.DisplayRequest):
        shown = [(each.device, each.info_qualify) for each in asked.display_output]
    return devices.DisplayResponse(
        output_result=tuple(
            devices.OutputResult(device=device, info_qualify=qualify, response=said)
            for device, qualify in shown
        )
    )


def _input(said: Response, asked: Body | None, sale: SaleData | None, clock: Clock) -> Body:
    device, qualify = "CustomerInput", "Input"
    if isinstance(asked, devices.InputRequest):
        device, qualify = asked.input_data.device, asked.input_data.info_qualify
    return devices.InputResponse(
        input_result=devices.InputResult(device=device, info_qualify=qualify, response=said)
    )


_Builder = Callable[[Response, Body | None, SaleData | None, Clock], Body]
_BUILDERS: Final[dict[str, _Builder]] = {
    MessageCategory.PAYMENT: _payment,
    MessageCategory.CARD_ACQUISITION: _card,
    MessageCategory.REVERSAL: _reversal,
    MessageCategory.RECONCILIATION: _reconciliation,
    MessageCategory.PRINT: _print,
    MessageCategory.DISPLAY: _display,
    MessageCategory.INPUT: _input,
}


def sale_of(asked: Body | None) -> SaleData | None:
    """The sale that a request is about."""
    sale: SaleData | None = getattr(asked, "sale_data", None)
    return sale
