"""Input from a till: a question to the customer, on the terminal's display and keys.

The DisplayOutput that comes with it is the question's text, and its menu is what there is to choose
from. How keys behave meanwhile (`BeepKeyFlag`, `DisableCancelFlag`, `FromRightToLeftFlag` ...) is
the terminal's own business and is not passed on.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from tillwire.core.errands import Answer, Ask, Question, Result
from tillwire.dialects.nexo.face import events
from tillwire.dialects.nexo.face.answers import SUCCESS, moment
from tillwire.dialects.nexo.face.background import begin
from tillwire.dialects.nexo.face.context import Malformed, Refused, Visit
from tillwire.dialects.nexo.face.desk import check_device, failed
from tillwire.dialects.nexo.face.texts import one_line, plain
from tillwire.dialects.nexo.wire import Message
from tillwire.dialects.nexo.wire.devices import (
    Input,
    InputData,
    InputRequest,
    InputResponse,
    InputResult,
    OutputResult,
)
from tillwire.dialects.nexo.wire.fields import DECIMALS
from tillwire.dialects.nexo.wire.outputs import DisplayOutput
from tillwire.dialects.nexo.wire.services import EventNotification
from tillwire.dialects.nexo.wire.shared import Response
from tillwire.dialects.nexo.wire.values import (
    ErrorCondition,
    EventToNotify,
    InputCommand,
    MenuEntryTag,
)
from tillwire.errors import RemoteProtocolError, TillwireError

LONGEST_WAIT: Final = 3600
"""Seconds that a customer may take, at most."""
LONGEST_ANSWER: Final = 4096
"""Characters of an answer."""
MARGIN: Final = 10.0
"""Seconds that the terminal is given beyond what the customer may take."""

_DATA: Final = "InputRequest.InputData"
_OUTPUT: Final = "InputRequest.DisplayOutput"
_QUESTIONS: Final = {
    InputCommand.GET_ANY_KEY: Question.ANY_KEY,
    InputCommand.GET_CONFIRMATION: Question.CONFIRM,
    InputCommand.TEXT_STRING: Question.TEXT,
    InputCommand.DIGIT_STRING: Question.DIGITS,
    InputCommand.DECIMAL_STRING: Question.DECIMAL,
    InputCommand.GET_FUNCTION_KEY: Question.FUNCTION_KEY,
    InputCommand.GET_MENU_ENTRY: Question.CHOICE,
    InputCommand.PASSWORD: Question.PASSWORD,
}
_TYPED: Final = frozenset({Question.TEXT, Question.DIGITS, Question.DECIMAL, Question.PASSWORD})
_CHOSEN: Final = frozenset({MenuEntryTag.SELECTABLE, MenuEntryTag.SUB_MENU})
_DECIMAL: Final = re.compile(r"-?[0-9]+(?:[.,]([0-9]+))?")


class _Asked(NamedTuple):
    """A question, and what its answer means."""

    ask: Ask
    command: str
    numbers: tuple[int, ...]
    """The MenuEntryNumber of each choice."""


async def input_(visit: Visit) -> InputResponse:
    """Ask the customer. Raises `Refused` where the request cannot be asked at all."""
    body = visit.body
    assert isinstance(body, InputRequest)
    asked = _asked(body)
    try:
        given = await _put(visit, asked, body.input_data)
    except TillwireError as error:
        return _response(body, failed(visit, error), None)
    return _response(body, SUCCESS, given)


async def _put(visit: Visit, asked: _Asked, data: InputData) -> Input | None:
    """Put the question; what was answered. None where nobody waits for the answer."""
    if data.immediate_response_flag:

        def pressed(answer: Result) -> None:
            _tell_key(visit)

        await begin(visit, asked.ask, pressed)
        return None
    if asked.ask.seconds:
        answer = await visit.context.engine.perform(
            visit.terminal.id, asked.ask, seconds=asked.ask.seconds + MARGIN
        )
    else:
        answer = await visit.context.engine.perform(visit.terminal.id, asked.ask)
    assert isinstance(answer, Answer), "who asks gets an answer"
    return _given(asked, answer)


def _tell_key(visit: Visit) -> None:
    """An immediate response was given before the key was pressed."""
    event = EventNotification(
        time_stamp=moment(visit.context.clock.now()),
        event_to_notify=EventToNotify.KEY_PRESSED.value,
    )
    visit.outlet.tell(Message(header=events.event_header(visit.header), body=event))


def _response(body: InputRequest, said: Response, given: Input | None) -> InputResponse:
    """The question was shown if it was asked: its output ended as the input did, unless only the
    customer did not answer."""
    data, output = body.input_data, body.display_output
    shown = SUCCESS if said.error_condition in _BY_CUSTOMER else said
    return InputResponse(
        output_result=OutputResult(
            device=output.device, info_qualify=output.info_qualify, response=shown
        )
        if output is not None
        else None,
        input_result=InputResult(
            device=data.device, info_qualify=data.info_qualify, response=said, input=given
        ),
    )


_BY_CUSTOMER: Final = frozenset(
    {ErrorCondition.CANCEL.value, ErrorCondition.INSERTED_CARD.value, None}
)


# --- the question -----------------------------------------------------------------------------


def _asked(body: InputRequest) -> _Asked:
    """The question that is asked for. Raises `Refused`."""
    data, output = body.input_data, body.display_output
    check_device(data.device, _DATA)
    question = _question(data)
    _check(data)
    menu = _Menu()
    if output is not None:
        check_device(output.device, _OUTPUT)
        menu = _menu(output)
    if question is Question.CHOICE and not menu.choices:
        allowed = f"at least one that is {MenuEntryTag.SELECTABLE}"
        raise Malformed(_OUTPUT, "MenuEntry", "Missing", allowed)
    return _Asked(
        Ask(
            question,
            menu.text,
            choices=menu.choices if question is Question.CHOICE else (),
            default=data.default_input_string or menu.offered,
            shortest=data.min_length or 0,
            longest=data.max_length or 0,
            decimals=DECIMALS if data.max_decimal_length is None else data.max_decimal_length,
            seconds=data.max_input_time or 0,
            notice_card=bool(data.notify_card_input_flag),
        ),
        data.input_command,
        menu.numbers,
    )


def _question(data: InputData) -> Question:
    command = data.input_command
    if command not in InputCommand.__members__.values():
        problem, allowed = f"{command[:40]!r} is unknown", ", ".join(_QUESTIONS)
        raise Malformed(_DATA, "InputCommand", problem, allowed)
    if command == InputCommand.SITE_MANAGER:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"InputCommand {command} is not served here. Served: {', '.join(_QUESTIONS)}.",
        )
    if data.immediate_response_flag and command != InputCommand.GET_ANY_KEY:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            f"ImmediateResponseFlag: only {InputCommand.GET_ANY_KEY} can be answered before it is.",
        )
    question = _QUESTIONS[InputCommand(command)]
    # A terminal hides what is typed where a password is asked for.
    return Question.PASSWORD if data.mask_characters_flag and question in _TYPED else question


def _check(data: InputData) -> None:
    """Raise `Refused` for limits that nobody can keep."""
    if data.string_mask:
        raise Refused(
            ErrorCondition.UNAVAILABLE_SERVICE,
            "StringMask: the terminal cannot keep the customer to a form of the answer.",
        )
    for field, value, most in (
        ("MaxInputTime", data.max_input_time, LONGEST_WAIT),
        ("MinLength", data.min_length, LONGEST_ANSWER),
        ("MaxLength", data.max_length, LONGEST_ANSWER),
        ("MaxDecimalLength", data.max_decimal_length, LONGEST_ANSWER),
    ):
        if (value or 0) > most:
            raise Malformed(_DATA, field, f"It is {value}", f"at most {most}")
    if data.max_length is not None and (data.min_length or 0) > data.max_length:
        problem = f"MinLength {data.min_length} is more than MaxLength {data.max_length}"
        raise Malformed(_DATA, "MinLength", problem, "at most MaxLength")
    if data.max_decimal_length and data.input_command != InputCommand.DECIMAL_STRING:
        allowed = f"only with {InputCommand.DECIMAL_STRING}"
        raise Malformed(_DATA, "MaxDecimalLength", f"A {data.input_command} has none", allowed)


class _Menu(NamedTuple):
    """What is shown, and what of it can be chosen."""

    text: str = ""
    """The content, and beneath it the entries that cannot be chosen."""
    choices: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    """The number that each choice has among all entries."""
    offered: str = ""


def _menu(output: DisplayOutput) -> _Menu:
    """The question's text and its menu. Raises `Refused`."""
    lines = [plain(output.output_content, f"{_OUTPUT}.OutputContent").text]
    choices: dict[int, str] = {}
    offered = ""
    for number, entry in enumerate(output.menu_entry, 1):
        label = one_line(entry, f"{_OUTPUT}.MenuEntry[{number - 1}]")
        if (entry.menu_entry_tag or MenuEntryTag.SELECTABLE) not in _CHOSEN:
            lines.append(label)
            continue
        choices[number] = label
        if entry.default_selected_flag:
            offered = label
    return _Menu("\n".join(lines), tuple(choices.values()), tuple(choices), offered)


# --- the answer -------------------------------------------------------------------------------


def _given(asked: _Asked, answer: Answer) -> Input:
    """The answer in the member that belongs to the command. Raises `RemoteProtocolError` when it
    is none to this question."""
    command, text = asked.command, answer.text
    given = Input(input_command=command)
    match command:
        case InputCommand.GET_ANY_KEY | InputCommand.GET_CONFIRMATION:
            return msgspec.structs.replace(given, confirmed_flag=answer.confirmed)
        case InputCommand.GET_FUNCTION_KEY:
            return msgspec.structs.replace(given, function_key=str(answer.choice))
        case InputCommand.GET_MENU_ENTRY:
            if not 1 <= answer.choice <= len(asked.numbers):
                raise RemoteProtocolError(f"The terminal answers with choice {answer.choice}.")
            number = asked.numbers[answer.choice - 1]
            return msgspec.structs.replace(given, menu_entry_number=(number,))
    _check_typed(asked, text)
    if command == InputCommand.DIGIT_STRING:
        return msgspec.structs.replace(given, digit_input=text)
    if command == InputCommand.PASSWORD:
        return msgspec.structs.replace(given, password=text)
    return msgspec.structs.replace(given, text_input=text)


def _check_typed(asked: _Asked, text: str) -> None:
    """See that the terminal kept to what was asked; what was typed is not told."""
    ask = asked.ask
    fits = ask.shortest <= len(text) <= (ask.longest or LONGEST_ANSWER)
    if asked.command == InputCommand.DIGIT_STRING:
        fits = fits and (not text or (text.isascii() and text.isdecimal()))
    elif asked.command == InputCommand.DECIMAL_STRING and text:
        found = _DECIMAL.fullmatch(text)
        fits = fits and found is not None and len(found[1] or "") <= ask.decimals
    if not fits:
        raise RemoteProtocolError(
            f"The terminal's answer of {len(text)} characters is no answer to a {asked.command}."
        )
