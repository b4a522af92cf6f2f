"""Payloads to messages and back.

Requests and results share their letters (`S` is a reversal to the terminal and a receipt to the
till), so each direction has a function of its own.
"""

from __future__ import annotations

from typing import Any, Final

from tillwire.dialects.ecr17.wire import requests, results
from tillwire.dialects.ecr17.wire.fields import HEADER
from tillwire.dialects.ecr17.wire.kinds import DIGITS
from tillwire.dialects.ecr17.wire.layouts import Layout
from tillwire.dialects.ecr17.wire.problems import Unfit, Unreadable
from tillwire.dialects.ecr17.wire.requests import Request
from tillwire.dialects.ecr17.wire.results import Result
from tillwire.dialects.ecr17.wire.values import CANONICAL, Spelling
from tillwire.errors import InvalidRequest, LocalProtocolError

_TID: Final = 8
_CODE: Final = HEADER - 1
_BEHIND_TID: Final = "0"

_REQUESTS: Final = {layout.code: layout for layout in requests.LAYOUTS}
_ANSWERED_BY: Final[dict[type[object], Layout]] = {
    requests.PaymentRequest: results.PAYMENT,
    requests.ExtendedPaymentRequest: results.PAYMENT,
    requests.ReversalRequest: results.REVERSAL,
    requests.RetroactiveReversalRequest: results.REVERSAL,
    requests.CardVerificationRequest: results.CARD_VERIFICATION,
}
"""What an `E` is that answers one of these."""
LAYOUTS: Final = (*requests.LAYOUTS, *results.LAYOUTS)
"""Every message's layout."""
_BY_MESSAGE: Final = {layout.message: layout for layout in LAYOUTS}
_OF_REQUESTS: Final = frozenset(layout.message for layout in requests.LAYOUTS)


def decode_request(payload: bytes) -> Request:
    """What a till asks. Raises `Unreadable`: an unknown code, a value that is not allowed, or too
    few characters. What is reserved is ignored, and may be missing at the end."""
    text, code = _text(payload)
    layout = _REQUESTS.get(code)
    if layout is None:
        raise Unreadable(code, "no such request")
    request: Request = _message(layout, text)
    return request


def decode_result(payload: bytes, answers: Request | None = None) -> Result:
    """What a terminal answers to `answers`. Raises `Unreadable` for an unknown code and for a
    header or a result that cannot be read; whatever else is missing or senseless is unknown in it.

    What an `E` is depends on what it answers, unless its length is that of something else. Without
    a request, or to `G`, which repeats a result of whatever kind, one of 71 characters is an
    `UnassignedResult`, and so is one of a length that no kind has.
    """
    text, code = _text(payload)
    if code == "E":
        layout = _layout_of_e(text, answers)
    elif code in results.BY_CODE:
        layout = results.BY_CODE[code]
    else:
        raise Unreadable(code, "no such result")
    result: Result = _message(layout, text)
    return result


def _layout_of_e(text: str, answers: Request | None) -> Layout:
    length = len(text)
    if length in results.BY_LENGTH:
        return results.BY_LENGTH[length]
    if isinstance(answers, requests.DownloadRequest):
        is_download = (length, results.is_approval(text)) in results.DOWNLOAD_FORMS
        return results.DOWNLOAD if is_download else results.UNASSIGNED
    return _ANSWERED_BY.get(type(answers), results.UNASSIGNED)


def encode(message: Request | Result, spelling: Spelling = CANONICAL) -> bytes:
    """The payload of a message. For a value that has no place in it, raises `InvalidRequest` if it
    is a request, naming the field, and `LocalProtocolError` if it is a result."""
    kind = type(message)
    layout = _BY_MESSAGE[kind]
    try:
        tid = _tid_of(message.tid)
        return f"{tid}{_BEHIND_TID}{layout.code}{layout.write(message, spelling)}".encode("ascii")
    except Unfit as unfit:
        if kind in _OF_REQUESTS:
            raise InvalidRequest(unfit.field, unfit.problem, unfit.allowed) from None
        raise LocalProtocolError(f"{kind.__name__}.{unfit.field}: {unfit.problem}.") from None


def _tid_of(tid: str) -> str:
    try:
        return DIGITS.writes(tid, _TID)
    except Unfit as unfit:
        unfit.field = "tid"
        raise


def _text(payload: bytes) -> tuple[str, str]:
    """The payload, one character for each octet, and its message code."""
    if len(payload) < HEADER:
        raise Unreadable("", f"{len(payload)} characters are no message")
    text = payload.decode("latin-1")
    return text, text[_CODE]


def _message(layout: Layout, text: str) -> Any:
    try:
        tid = DIGITS.reads(text[:_TID])
    except ValueError:
        raise Unreadable(layout.code, "the terminal id is not a number") from None
    return layout.message(tid=tid, **layout.read(text))
