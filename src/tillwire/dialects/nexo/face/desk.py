"""Display and Print from a till: its texts on the terminal's display and printer.

Every terminal gets plain text (`texts.py`). The cashier's display and keys are the till's own: a
terminal behind tillwire has none.
"""

from __future__ import annotations

from typing import Final

from tillwire.core.errands import Print as PrintErrand
from tillwire.core.errands import Result, Show
from tillwire.dialects.nexo.face import refusals
from tillwire.dialects.nexo.face.answers import SUCCESS
from tillwire.dialects.nexo.face.background import begin
from tillwire.dialects.nexo.face.context import Malformed, Refused, Visit
from tillwire.dialects.nexo.face.texts import Plain, one_line, plain
from tillwire.dialects.nexo.wire.devices import (
    DisplayRequest,
    DisplayResponse,
    OutputResult,
    PrintRequest,
    PrintResponse,
)
from tillwire.dialects.nexo.wire.outputs import DisplayOutput, PrintOutput
from tillwire.dialects.nexo.wire.shared import Response
from tillwire.dialects.nexo.wire.values import (
    Device,
    ErrorCondition,
    InfoQualify,
    ResponseMode,
)
from tillwire.dialects.nexo.wire.values import Result as Ended
from tillwire.errors import TillwireError, Unsupported

_CUSTOMERS: Final = frozenset({Device.CUSTOMER_DISPLAY, Device.CUSTOMER_INPUT})
"""Devices that a terminal has."""


# --- display ----------------------------------------------------------------------------------


async def display(visit: Visit) -> DisplayResponse | None:
    """Show each output, one after the other; what became of each. None where no output wants a
    response, whatever became of it. Raises `Refused`."""
    body = visit.body
    assert isinstance(body, DisplayRequest)
    outputs = body.display_output
    paths = [f"DisplayRequest.DisplayOutput[{index}]" for index in range(len(outputs))]
    if len({(each.device, each.info_qualify) for each in outputs}) < len(outputs):
        problem = "Two outputs are for the same Device and InfoQualify"
        raise Malformed("DisplayRequest", "DisplayOutput", problem, "one for each pair of them")
    results = [
        OutputResult(
            device=output.device,
            info_qualify=output.info_qualify,
            response=await _shown(visit, output, path),
        )
        for output, path in zip(outputs, paths, strict=True)
    ]
    if all(output.response_required_flag is False for output in outputs):
        return None
    return DisplayResponse(output_result=tuple(results))


async def _shown(visit: Visit, output: DisplayOutput, path: str) -> Response:
    try:
        shown = to_show(output, path)
        await visit.context.engine.perform(
            visit.terminal.id, Show(shown.text, output.minimum_display_time or 0)
        )
    except TillwireError as error:
        return failed(visit, error)
    return _done(shown)


def to_show(output: DisplayOutput, path: str) -> Plain:
    """The text for the customer: the content, and beneath it the entries of its menu. Raises
    `Refused`."""
    check_device(output.device, path)
    if output.info_qualify == InfoQualify.SOUND:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE, f"At {path}: no terminal here speaks what it shows."
        )
    content = plain(output.output_content, f"{path}.OutputContent")
    entries = [
        one_line(entry, f"{path}.MenuEntry[{index}]")
        for index, entry in enumerate(output.menu_entry)
    ]
    return Plain("\n".join([content.text, *entries]), content.lost)


def check_device(device: str, path: str) -> None:
    """Raise `Refused` unless the terminal has this logical device."""
    if device in _CUSTOMERS:
        return
    if device not in Device.__members__.values():
        raise Malformed(path, "Device", f"{device[:40]!r} is unknown", ", ".join(Device))
    raise Refused(
        ErrorCondition.UNAVAILABLE_DEVICE,
        f"At {path}: the {device} is the till's own. The terminal has {Device.CUSTOMER_DISPLAY} "
        f"and {Device.CUSTOMER_INPUT}.",
    )


# --- print ------------------------------------------------------------------------------------


async def print_(visit: Visit) -> PrintResponse | None:
    """Print a document. With `NotRequired` there is a response to a failure only; with
    `Immediate`, and where printing is integrated, it says that printing has begun. Raises
    `Refused`."""
    body = visit.body
    assert isinstance(body, PrintRequest)
    output = body.print_output
    mode = output.response_mode or ResponseMode.PRINT_END
    if mode not in ResponseMode.__members__.values():
        path, problem = "PrintRequest.PrintOutput", f"{mode[:40]!r} is unknown"
        raise Malformed(path, "ResponseMode", problem, ", ".join(ResponseMode))
    response = await _printed(visit, output, mode)
    if mode == ResponseMode.NOT_REQUIRED and response.result != Ended.FAILURE:
        return None
    return PrintResponse(document_qualifier=output.document_qualifier, response=response)


async def _printed(visit: Visit, output: PrintOutput, mode: str) -> Response:
    try:
        document = plain(output.output_content, "PrintRequest.PrintOutput.OutputContent")
        errand = PrintErrand(document.text, bool(output.required_signature_flag))
        if mode == ResponseMode.IMMEDIATE or output.integrated_print_flag:
            await begin(visit, errand, _nothing)
        else:
            await visit.context.engine.perform(visit.terminal.id, errand)
    except TillwireError as error:
        return failed(visit, error)
    return _done(document)


def _nothing(result: Result) -> None:
    """Nobody waits for what comes of it."""


# --- how it ended -----------------------------------------------------------------------------


def _done(content: Plain) -> Response:
    """A success; partial where more than looks was lost."""
    if not content.lost:
        return SUCCESS
    return Response(
        result=Ended.PARTIAL.value,
        error_condition=ErrorCondition.UNAVAILABLE_SERVICE.value,
        additional_response=f"As plain text only: there was {content.lost}.",
    )


def failed(visit: Visit, error: TillwireError) -> Response:
    """The response of a device that did not do it; a terminal without the device says so."""
    response = refusals.response(error, visit.terminal)
    if isinstance(error, Unsupported):
        return Response(
            result=response.result,
            error_condition=ErrorCondition.UNAVAILABLE_DEVICE.value,
            additional_response=response.additional_response,
        )
    return response
