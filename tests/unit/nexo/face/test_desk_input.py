"""Input: questions to the customer, and what of their answers the till gets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.face.lanes import (
    PATIENCE,
    Desk,
    Json,
    Lane,
    desk_in,
    ended,
    event_in,
    response_in,
    sandbox_in,
)
from tests.unit.nexo.face.test_desk import content, output, post
from tillwire.core.errands import Ability, Answer, Ask, ErrandFailed, Question, Trouble
from tillwire.core.ports import Capabilities
from tillwire.dialects.nexo.face import asking
from tillwire.virtual.memory import SetScript
from tillwire.virtual.script import Script


def question(command: str, *lines: str, entries: list[Json] | None = None, **data: Any) -> Json:
    """The body of an InputRequest."""
    shown = output(*(lines or ("Well?",)), InfoQualify="Input")
    if entries is not None:
        shown["MenuEntry"] = entries
    return {
        "DisplayOutput": shown,
        "InputData": {
            "Device": "CustomerInput",
            "InfoQualify": "Input",
            "InputCommand": command,
            **data,
        },
    }


async def ask(lane: Lane, body: Json) -> Json:
    """An Input; the InputResponse."""
    return response_in(await post(lane, "Input", body), "Input")


async def asked(desk: Desk, body: Json, answer: Answer | Exception) -> Json:
    """The InputResponse where the terminal answers so."""
    desk.driver.errand_end = answer
    return await ask(desk.lane(), body)


# --- every command ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "special", "answer", "given"),
    [
        ("GetAnyKey", {}, "", {"ConfirmedFlag": True}),
        ("GetConfirmation", {}, "yes", {"ConfirmedFlag": True}),
        ("GetConfirmation", {}, "no", {"ConfirmedFlag": False}),
        ("TextString", {"MaxLength": 20}, "Ada", {"TextInput": "Ada"}),
        ("DigitString", {"MinLength": 4, "MaxLength": 4}, "4711", {"DigitInput": "4711"}),
        ("DecimalString", {"MaxDecimalLength": 2}, "12.50", {"TextInput": "12.50"}),
        ("DecimalString", {}, "0.125", {"TextInput": "0.125"}),
        ("GetFunctionKey", {}, "3", {"FunctionKey": "3"}),
        ("Password", {}, "s3cret", {"Password": "s3cret"}),
    ],
)
def test_each_command_is_answered_in_its_member(
    tmp_path: Path, command: str, special: Json, answer: str, given: Json
) -> None:
    @virtual()
    async def play() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            await sandbox.shop.world.set_script("t1", SetScript(Script(answer=answer), 1))
            said = await ask(sandbox.lane(), question(command, **special))
            assert said == {
                "OutputResult": {
                    "Device": "CustomerDisplay",
                    "InfoQualify": "Input",
                    "Response": {"Result": "Success"},
                },
                "InputResult": {
                    "Device": "CustomerInput",
                    "InfoQualify": "Input",
                    "Response": {"Result": "Success"},
                    "Input": {"InputCommand": command, **given},
                },
            }

    play()


@virtual()
async def test_the_terminal_is_asked_with_all_that_it_can_keep_to(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        body = question(
            "DecimalString",
            "Your tip,",
            "please",
            MaxInputTime=30,
            MinLength=1,
            MaxLength=8,
            MaxDecimalLength=2,
            DefaultInputString="1.00",
            NotifyCardInputFlag=True,
            BeepKeyFlag=True,
        )
        await asked(desk, body, Answer(text="2.00"))
        assert desk.driver.errands == [
            Ask(
                Question.DECIMAL,
                "Your tip,\nplease",
                default="1.00",
                shortest=1,
                longest=8,
                decimals=2,
                seconds=30,
                notice_card=True,
            )
        ]


@virtual()
async def test_what_is_hidden_while_it_is_typed_is_asked_as_a_password(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        body = question("DigitString", MaskCharactersFlag=True, MinLength=4)
        said = await asked(desk, body, Answer(text="4711"))
        assert desk.driver.errands[0].question is Question.PASSWORD
        assert said["InputResult"]["Input"] == {
            "InputCommand": "DigitString",
            "DigitInput": "4711",
        }
        letters = await asked(desk, body, Answer(text="abcd"))
        assert ended(letters["InputResult"]) == ("Failure", "UnavailableDevice")
        assert "abcd" not in str(letters)
        confirmed = question("GetConfirmation", MaskCharactersFlag=True)
        said = await asked(desk, confirmed, Answer(confirmed=True))
        assert said["InputResult"]["Input"]["ConfirmedFlag"] is True
        assert desk.driver.errands[-1].question is Question.CONFIRM, "nothing is typed"


@virtual()
async def test_a_question_may_come_without_a_text(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        body = question("GetAnyKey")
        del body["DisplayOutput"]
        said = await asked(desk, body, Answer(confirmed=True))
        assert "OutputResult" not in said
        assert ended(said["InputResult"]) == ("Success", None)
        assert desk.driver.errands == [Ask(Question.ANY_KEY, "", decimals=6)]


# --- menus ------------------------------------------------------------------------------------

MENU = [
    {**content("Hot drinks"), "MenuEntryTag": "NonSelectable"},
    {**content("Coffee"), "MenuEntryTag": "Selectable"},
    content("Tea"),
    {**content("Cold drinks"), "MenuEntryTag": "SubMenu", "DefaultSelectedFlag": True},
]


@virtual()
async def test_a_choice_is_told_by_its_number_among_all_entries(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        said = await asked(desk, question("GetMenuEntry", entries=MENU), Answer(choice=2))
        (put,) = desk.driver.errands
        assert put.text == "Well?\nHot drinks"
        assert put.choices == ("Coffee", "Tea", "Cold drinks")
        assert put.default == "Cold drinks"
        assert said["InputResult"]["Input"] == {
            "InputCommand": "GetMenuEntry",
            "MenuEntryNumber": [3],
        }


@pytest.mark.parametrize("choice", [0, 4, -1])
def test_a_choice_that_there_is_not_is_no_answer(tmp_path: Path, choice: int) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            body = question("GetMenuEntry", entries=MENU)
            said = await asked(desk, body, Answer(choice=choice))
            assert ended(said["InputResult"]) == ("Failure", "UnavailableDevice")
            assert "Input" not in said["InputResult"]

    play()


# --- what the customer does instead --------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "condition"),
    [
        (Trouble.CANCELLED, "Cancel"),
        (Trouble.TIMED_OUT, "Cancel"),
        (Trouble.CARD_INSERTED, "InsertedCard"),
    ],
)
def test_a_question_without_an_answer_was_shown_all_the_same(
    tmp_path: Path, trouble: Trouble, condition: str
) -> None:
    @virtual()
    async def play() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            await sandbox.shop.world.set_script("t1", SetScript(Script(trouble=trouble), 1))
            body = question("DigitString", NotifyCardInputFlag=True)
            said = await ask(sandbox.lane(), body)
            assert ended(said["InputResult"]) == ("Failure", condition)
            assert ended(said["OutputResult"]) == ("Success", None)

    play()


@virtual()
async def test_a_terminal_that_cannot_ask_has_shown_nothing(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        broken = await asked(desk, question("GetAnyKey"), ErrandFailed(Trouble.BROKEN))
        assert ended(broken["InputResult"]) == ("Failure", "DeviceOut")
        assert ended(broken["OutputResult"]) == ("Failure", "DeviceOut")
        desk.driver.capabilities = Capabilities(
            types=frozenset(), errands=frozenset({Ability.SHOW})
        )
        none = await ask(desk.lane(), question("GetAnyKey"))
        assert ended(none["InputResult"]) == ("Failure", "UnavailableDevice")


@virtual()
async def test_the_customer_has_as_long_as_the_till_says(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        loop = asyncio.get_running_loop()
        desk.driver.errand_end = loop.create_future()
        began = loop.time()
        said = await ask(desk.lane(), question("GetAnyKey", MaxInputTime=200))
        assert ended(said["InputResult"]) == ("Failure", "Cancel")
        assert loop.time() - began == pytest.approx(200 + asking.MARGIN, abs=1)


@virtual()
async def test_a_question_can_be_aborted(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
        lane = desk.lane()
        asking_ = asyncio.ensure_future(ask(lane, question("GetAnyKey")))
        await asyncio.wait_for(desk.driver.errand_begun.wait(), PATIENCE)
        reference = {"MessageCategory": "Input", "DeviceID": "d1"}
        body = {"MessageReference": reference, "AbortReason": "MerchantAbort"}
        assert await lane.post("Abort", body) is None
        said = await asyncio.wait_for(asking_, PATIENCE)
        assert ended(said["InputResult"]) == ("Failure", "Aborted")
        assert end.cancelled()


# --- answered before it is ------------------------------------------------------------------------


@virtual()
async def test_an_immediate_response_is_followed_by_the_key(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        desk.driver.errand_end = end = asyncio.get_running_loop().create_future()
        lane = desk.lane()
        said = await ask(lane, question("GetAnyKey", ImmediateResponseFlag=True))
        assert ended(said["InputResult"]) == ("Success", None)
        assert "Input" not in said["InputResult"]
        assert lane.told == []
        end.set_result(Answer(confirmed=True))
        await asyncio.sleep(1)
        (event,) = lane.told
        assert event_in(event)["EventToNotify"] == "KeyPressed"
        assert event["SaleToPOIRequest"]["MessageHeader"]["DeviceID"] == "d1"


@virtual()
async def test_only_a_key_can_be_told_later(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        body = question("DigitString", ImmediateResponseFlag=True)
        said = await asked(desk, body, Answer(text="1"))
        assert ended(said["InputResult"]) == ("Failure", "UnavailableService")
        assert desk.driver.errands == []


# --- what cannot be asked -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "special", "condition", "said"),
    [
        ("SiteManager", {}, "UnavailableService", "SiteManager is not served"),
        ("Telepathy", {}, "MessageFormat", "field InputCommand"),
        ("TextString", {"StringMask": "99/99"}, "UnavailableService", "StringMask"),
        ("TextString", {"MinLength": 5, "MaxLength": 4}, "MessageFormat", "field MinLength"),
        ("TextString", {"MaxDecimalLength": 2}, "MessageFormat", "field MaxDecimalLength"),
        ("TextString", {"MaxLength": 5000}, "MessageFormat", "field MaxLength"),
        ("TextString", {"MaxInputTime": 3601}, "MessageFormat", "field MaxInputTime"),
        ("TextString", {"Device": "CashierInput"}, "UnavailableDevice", "CashierInput"),
        ("TextString", {"Device": "Keyboard"}, "MessageFormat", "field Device"),
        ("GetMenuEntry", {}, "MessageFormat", "field MenuEntry: Missing"),
        ("GetMenuEntry", {"entries": MENU[:1]}, "MessageFormat", "field MenuEntry: Missing"),
    ],
)
def test_what_nobody_can_ask_is_refused_by_its_name(
    tmp_path: Path, command: str, special: Json, condition: str, said: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            body = question(command, **special)
            result = (await asked(desk, body, Answer()))["InputResult"]
            assert ended(result) == ("Failure", condition)
            assert said in result["Response"]["AdditionalResponse"]
            assert result["Device"] == body["InputData"]["Device"]
            assert desk.driver.errands == []

    play()


@pytest.mark.parametrize(
    ("command", "special", "answer"),
    [
        ("DigitString", {}, "12a"),
        ("DigitString", {}, "\u0661\u0662"),
        ("DigitString", {"MinLength": 4}, "123"),
        ("TextString", {"MaxLength": 2}, "abc"),
        ("TextString", {}, "x" * 4097),
        ("DecimalString", {"MaxDecimalLength": 1}, "1.25"),
        ("DecimalString", {}, "one"),
    ],
)
def test_a_terminal_that_does_not_keep_to_the_question_gives_no_answer(
    tmp_path: Path, command: str, special: Json, answer: str
) -> None:
    @virtual()
    async def play() -> None:
        async with desk_in(tmp_path) as desk:
            said = await asked(desk, question(command, **special), Answer(text=answer))
            assert ended(said["InputResult"]) == ("Failure", "UnavailableDevice")
            assert "Input" not in said["InputResult"]
            assert answer not in said["InputResult"]["Response"]["AdditionalResponse"]

    play()


@virtual()
async def test_a_card_number_that_a_customer_types_is_cut(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        said = await asked(desk, question("DigitString"), Answer(text="4111111111111111"))
        assert said["InputResult"]["Input"]["DigitInput"] == "************1111"
