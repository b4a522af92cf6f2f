"""What is shown and printed, as plain text: nothing is lost but looks, or it is said."""

from __future__ import annotations

import time
from base64 import b64encode

import pytest

from tillwire.dialects.nexo.face.context import Refused
from tillwire.dialects.nexo.face.texts import Plain, one_line, plain
from tillwire.dialects.nexo.wire.outputs import (
    OutputBarcode,
    OutputContent,
    OutputText,
    PredefinedContent,
)
from tillwire.dialects.nexo.wire.xhtml import words_of

PATH = "DisplayRequest.DisplayOutput[0].OutputContent"


def text(*pieces: OutputText) -> OutputContent:
    return OutputContent(output_format="Text", output_text=pieces)


def xhtml(source: str) -> OutputContent:
    return OutputContent(output_format="XHTML", output_xhtml=b64encode(source.encode()).decode())


# --- text -------------------------------------------------------------------------------------


def test_pieces_are_joined_to_lines() -> None:
    content = text(
        OutputText(text="HOLLOW CREEK", alignment="Centred", character_style="Bold"),
        OutputText(text="2 x widget", end_of_line_flag=False),
        OutputText(text="   40.00", end_of_line_flag=True),
        OutputText(),
        OutputText(text="Thank you", end_of_line_flag=False),
    )
    assert plain(content, PATH) == Plain("HOLLOW CREEK\n2 x widget   40.00\n\nThank you")


def test_what_a_printer_would_take_for_a_command_is_left_out() -> None:
    content = text(OutputText(text="a\x1b@b\tc\x00\r\nd\re\u00a0f\u202e"))
    assert plain(content, PATH).text == "a@b c\nd\ne\u00a0f"


def test_a_label_is_one_line() -> None:
    assert one_line(text(OutputText(text=" With "), OutputText(text="milk ")), PATH) == "With milk"


# --- other forms ------------------------------------------------------------------------------


def test_a_bar_code_keeps_its_digits_and_says_that_it_is_none() -> None:
    content = OutputContent(
        output_format="BarCode",
        output_barcode=OutputBarcode(barcode_type="EAN13", barcode_value="4006381333931"),
    )
    found = plain(content, PATH)
    assert found.text == "4006381333931"
    assert "bar code" in found.lost


def test_xhtml_keeps_its_words_in_lines() -> None:
    source = """<?xml version="1.0"?><html><head><title>no</title><style>p{x:1}</style></head>
    <body><!-- <p>nor this</p> --><h1>Hollow
    Creek</h1><p>Widget &amp; more<br/>2 &#8364;</p><p></p><table><tr><td>Total</td><td>40.00</td>
    </tr></table><script>if (a<b) alert()</script>Bye</body></html>"""
    assert plain(xhtml(source), PATH) == Plain("Hollow Creek\nWidget & more\n2 €\nTotal 40.00\nBye")


def test_elements_are_known_in_any_case() -> None:
    assert (
        plain(xhtml("\u0130<STYLE>no</STYLE><P>yes</P><Br/>and"), PATH).text == "\u0130\nyes\n\nand"
    )


def test_a_picture_in_xhtml_is_said_to_be_lost() -> None:
    found = plain(xhtml('<p>Scan <img src="x"/> me</p>'), PATH)
    assert found == Plain("Scan me", "a picture")


def test_a_card_number_in_marked_up_pieces_is_cut() -> None:
    assert plain(xhtml("<b>4111</b>1111<i>1111</i>1111"), PATH).text == "************1111"


@pytest.mark.parametrize(
    "source", ["", "<", "a<", "<!--", "a<!-- b", "<p", "</", "<>", "<!>", "&#xD800;x", "&bogus;"]
)
def test_what_is_no_xhtml_comes_out_as_well_as_it_can(source: str) -> None:
    assert "\n" not in words_of(source).text


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<p",
        "<!--",
        "<!-- -",
        "<p>a",
        "<b>x",
        "  <p>",
        "&amp",
        "</",
        "<style>",
        "<head></head>",
    ],
)
def test_no_xhtml_takes_long(piece: str) -> None:
    # 196,608 characters are what the 262,144 of Base64 can hold.
    source = piece * (196_608 // len(piece))
    began = time.process_time()
    words_of(source)
    assert time.process_time() - began < 2


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "condition", "said"),
    [
        (OutputContent(output_format="Text"), "MessageFormat", "OutputText: Missing"),
        (OutputContent(output_format="XHTML"), "MessageFormat", "OutputXHTML: Missing"),
        (OutputContent(output_format="BarCode"), "MessageFormat", "OutputBarcode: Missing"),
        (
            OutputContent(output_format="XHTML", output_xhtml="A"),
            "MessageFormat",
            "OutputXHTML: It cannot be read",
        ),
        (
            OutputContent(output_format="XHTML", output_xhtml=b64encode(b"\xff").decode()),
            "MessageFormat",
            "OutputXHTML: It cannot be read",
        ),
        (OutputContent(output_format="Video"), "MessageFormat", "'Video' is unknown"),
        (
            OutputContent(
                output_format="MessageRef",
                predefined_content=PredefinedContent(reference_id="Idle"),
            ),
            "UnavailableService",
            "send it as Text",
        ),
    ],
)
def test_what_is_no_text_is_refused_where_it_stands(
    content: OutputContent, condition: str, said: str
) -> None:
    with pytest.raises(Refused) as refusal:
        plain(content, PATH)
    assert refusal.value.condition == condition
    assert f"At {PATH}" in refusal.value.detail
    assert said in refusal.value.detail
