"""The bodies of device messages: display, print, input, sound, PIN pad, card reader, line.

They go either way: a terminal uses a till's displays and printer, and a till the terminal's.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tillwire.dialects.nexo.wire import cuts
from tillwire.dialects.nexo.wire.fields import (
    Count,
    Id,
    Line,
    LongBase64,
    Part,
    Short,
    Shorts,
    Text,
    Whole,
    replace,
)
from tillwire.dialects.nexo.wire.instruments import TrackData
from tillwire.dialects.nexo.wire.outputs import (
    DisplayOutput,
    MenuEntries,
    OutputContent,
    PrintOutput,
    cut_content,
)
from tillwire.dialects.nexo.wire.shared import MessageReference, Response

_MANY = 50

# --- display and print --------------------------------------------------------------------------


class DisplayRequest(Part, frozen=True, kw_only=True):
    """Shows something: at most one output for each device and `info_qualify`."""

    display_output: Annotated[tuple[DisplayOutput, ...], Meta(min_length=1, max_length=_MANY)]


class OutputResult(Part, frozen=True, kw_only=True):
    """What became of one output."""

    device: Id
    info_qualify: Id
    response: Response


class DisplayResponse(Part, frozen=True, kw_only=True):
    """What became of each output, in their order."""

    output_result: Annotated[tuple[OutputResult, ...], Meta(min_length=1, max_length=_MANY)]


class PrintRequest(Part, frozen=True, kw_only=True):
    """Prints something."""

    print_output: PrintOutput


class PrintResponse(Part, frozen=True, kw_only=True):
    """Whether it was printed."""

    document_qualifier: Short | None = None
    response: Response


# --- input --------------------------------------------------------------------------------------


class InputData(Part, frozen=True, kw_only=True):
    """What is asked for, and how."""

    device: Id
    info_qualify: Id
    input_command: Id
    notify_card_input_flag: bool | None = None
    max_input_time: Count | None = None
    """Seconds."""
    immediate_response_flag: bool | None = None
    min_length: Count | None = None
    max_length: Count | None = None
    max_decimal_length: Count | None = None
    wait_user_validation_flag: bool | None = None
    """Absent is true."""
    default_input_string: Line | None = None
    string_mask: Short | None = None
    from_right_to_left_flag: bool | None = None
    mask_characters_flag: bool | None = None
    beep_key_flag: bool | None = None
    global_correction_flag: bool | None = None
    disable_cancel_flag: bool | None = None
    disable_correct_flag: bool | None = None
    disable_valid_flag: bool | None = None
    menu_back_flag: bool | None = None


class InputRequest(Part, frozen=True, kw_only=True):
    """Asks a person for something."""

    display_output: DisplayOutput | None = None
    input_data: InputData


class Input(Part, frozen=True, kw_only=True):
    """What the person gave: the member that belongs to `input_command`."""

    input_command: Id
    confirmed_flag: bool | None = None
    function_key: Short | None = None
    text_input: Line | None = None
    digit_input: Short | None = None
    password: Short | None = None
    menu_entry_number: Annotated[tuple[Whole, ...], Meta(max_length=500)] = ()
    """From 1; 0 is the root, -1 one menu up."""

    def __post_init__(self) -> None:
        for attribute in ("text_input", "digit_input"):
            if (given := getattr(self, attribute)) is not None:
                replace(self, attribute, cuts.asked(given))

    def __repr__(self) -> str:
        """Without what a person typed."""
        return f"Input(input_command={self.input_command!r}, ...)"


class InputResult(Part, frozen=True, kw_only=True):
    """What became of an input."""

    device: Id
    info_qualify: Id
    response: Response
    input: Input | None = None


class InputResponse(Part, frozen=True, kw_only=True):
    """What became of an input, and of the output that came with it."""

    output_result: OutputResult | None = None
    input_result: InputResult


class InputUpdate(Part, frozen=True, kw_only=True):
    """Shows something else while an input runs. There is no response."""

    message_reference: MessageReference
    output_content: OutputContent
    menu_entry: MenuEntries = ()
    min_length: Count | None = None
    max_length: Count | None = None
    max_decimal_length: Count | None = None

    def __post_init__(self) -> None:
        cut_content(self.output_content, cuts.written)


# --- sound --------------------------------------------------------------------------------------


class SoundContent(Part, frozen=True, kw_only=True):
    """What is to be heard."""

    sound_format: Short | None = None
    language: Short | None = None
    reference_id: Short | None = None
    text: Text | None = None

    def __post_init__(self) -> None:
        if self.text is not None:
            replace(self, "text", cuts.written(self.text))


class SoundRequest(Part, frozen=True, kw_only=True):
    """Begins or ends a sound, or sets how loud it is."""

    response_mode: Short | None = None
    """Absent is `NotRequired`."""
    sound_action: Id
    sound_volume: Annotated[int, Meta(ge=0, le=100, description="0 to 100")] | None = None
    """Per cent."""
    sound_content: SoundContent | None = None


class SoundResponse(Part, frozen=True, kw_only=True):
    """Whether it was heard."""

    response: Response


# --- PIN pad and card reader --------------------------------------------------------------------


class CardholderPIN(Part, frozen=True, kw_only=True):
    """A PIN under encryption. It is dropped, and so is what it was computed with."""

    encr_pin_block: Line | None = None
    """Never there."""
    pin_format: Short | None = None
    additional_input: Line | None = None
    """Never there: it may be a card number."""

    def __post_init__(self) -> None:
        replace(self, "encr_pin_block", None)
        replace(self, "additional_input", None)


class PINRequest(Part, frozen=True, kw_only=True):
    """Asks for a PIN, or for one to be verified."""

    pin_request_type: Id
    pin_verif_method: Short | None = None
    additional_input: Line | None = None
    """Never there: it may be a card number."""
    pin_enc_algorithm: Short | None = None
    pin_format: Short | None = None
    key_reference: Short | None = None
    max_waiting_time: Count | None = None
    """Seconds."""
    cardholder_pin: CardholderPIN | None = None

    def __post_init__(self) -> None:
        replace(self, "additional_input", None)


class PINResponse(Part, frozen=True, kw_only=True):
    """What became of it."""

    response: Response
    cardholder_pin: CardholderPIN | None = None


class CardReaderInitRequest(Part, frozen=True, kw_only=True):
    """Opens the card reader for a till."""

    warm_reset_flag: bool | None = None
    force_entry_mode: Shorts = ()
    leave_card_flag: bool | None = None
    """Absent is true."""
    max_waiting_time: Count | None = None
    """Seconds."""
    display_output: DisplayOutput | None = None


class ICCResetData(Part, frozen=True, kw_only=True):
    """What a chip answers to a reset."""

    atr_value: Short | None = None
    """Base64 of at most 100 octets."""
    card_status_words: Short | None = None


class CardReaderInitResponse(Part, frozen=True, kw_only=True):
    """The card that is there."""

    response: Response
    track_data: Annotated[tuple[TrackData, ...], Meta(max_length=10)] = ()
    icc_reset_data: ICCResetData | None = None
    entry_mode: Shorts = ()


class CardReaderAPDURequest(Part, frozen=True, kw_only=True):
    """A command to a chip. What goes to the card is dropped."""

    apdu_class: Short
    apdu_instruction: Short
    apdu_par1: Short
    apdu_par2: Short
    apdu_data: Text | None = None
    """Never there."""
    apdu_expected_length: Short | None = None

    def __post_init__(self) -> None:
        replace(self, "apdu_data", None)


class CardReaderAPDUResponse(Part, frozen=True, kw_only=True):
    """What a chip said. What came from the card is dropped."""

    response: Response
    apdu_data: Text | None = None
    """Never there."""
    card_status_words: Short | None = None

    def __post_init__(self) -> None:
        replace(self, "apdu_data", None)


class CardReaderPowerOffRequest(Part, frozen=True, kw_only=True):
    """Closes the card reader."""

    max_waiting_time: Count | None = None
    """Seconds."""
    display_output: DisplayOutput | None = None


class CardReaderPowerOffResponse(Part, frozen=True, kw_only=True):
    """Whether it is closed."""

    response: Response


# --- line ---------------------------------------------------------------------------------------


class TransmitRequest(Part, frozen=True, kw_only=True):
    """Sends octets to a host by the other side's line."""

    destination_address: Id
    """`host:port`."""
    maximum_transmit_time: Count
    """Seconds."""
    wait_response_flag: bool | None = None
    message: LongBase64

    def __post_init__(self) -> None:
        replace(self, "message", cuts.encoded(self.message))


class TransmitResponse(Part, frozen=True, kw_only=True):
    """What the host answered."""

    response: Response
    message: LongBase64 | None = None

    def __post_init__(self) -> None:
        if self.message is not None:
            replace(self, "message", cuts.encoded(self.message))
