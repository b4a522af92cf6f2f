"""Log lines: structured, masked, also those of libraries, and never in the loop's way."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import structlog

from tillwire.config import Format, Level
from tillwire.watch import logs
from tillwire.watch.sink import QUEUE_LIMIT, Sink

PAN = "4111111111111111"


@contextmanager
def logged(level: Level = Level.INFO, form: Format = Format.JSON) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    end = logs.configure(level, form, stream)
    try:
        yield stream
    finally:
        end()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_ids_as_fields() -> None:
    with logged() as stream:
        structlog.get_logger().info("transaction approved", transaction="17636928", face="device")
    (line,) = lines(stream)
    assert line.pop("time")
    assert line == {
        "level": "info",
        "event": "transaction approved",
        "transaction": "17636928",
        "face": "device",
    }


def test_lines_below_the_level_are_not_written() -> None:
    with logged(Level.WARNING) as stream:
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud")
        logging.getLogger("a.library").info("quiet")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_an_exception_is_masked_to_its_last_line() -> None:
    with logged() as stream:
        try:
            raise ValueError(f"card {PAN} and api_key=SECRET")
        except ValueError:
            structlog.get_logger().exception("a face failed")
    written = stream.getvalue()
    assert "ValueError" in written
    assert PAN not in written
    assert "SECRET" not in written


def test_lines_of_libraries_come_the_same_way_and_are_masked() -> None:
    with logged() as stream:
        logging.getLogger("a.library").warning("sent %s with Bearer %s", PAN, "SECRET")
    (line,) = lines(stream)
    assert line["logger"] == "a.library"
    assert line["level"] == "warning"
    assert PAN not in stream.getvalue()
    assert "SECRET" not in stream.getvalue()


def test_people_get_lines_without_secrets_too() -> None:
    with logged(form=Format.CONSOLE) as stream:
        structlog.get_logger().info("paid", card=PAN, token="SECRET")
    assert "paid" in stream.getvalue()
    assert PAN not in stream.getvalue()
    assert "SECRET" not in stream.getvalue()


class BlockedStream(io.StringIO):
    """A terminal that somebody has paused."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.go_on.wait(10)
        return super().write(text)


def test_a_blocked_stream_stops_nobody_and_tells_how_much_was_lost() -> None:
    stream = BlockedStream()
    sink = Sink(stream)
    for number in range(QUEUE_LIMIT + 50):
        sink.write(str(number))
    stream.go_on.set()
    sink.close()
    written = stream.getvalue().splitlines()
    assert written[0] == "0"
    assert any("lines dropped" in line for line in written)
    assert QUEUE_LIMIT <= len(written) <= QUEUE_LIMIT + 50
