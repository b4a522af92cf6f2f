"""Structured logs on standard error: JSON for machines, or lines for people.

A line is an event in plain words and fields beside it: ids are fields, never part of the words.
Every line, also those of the libraries, goes through `masking` before it is written. Modules log
with `structlog.get_logger()`; a hot path binds its logger once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog

from tillwire.config import Format, Level
from tillwire.watch import masking
from tillwire.watch.sink import Sink

LEVELS: Final = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}
Processor = Callable[[Any, str, MutableMapping[str, Any]], Any]

# What libraries say below these weights is of no use to who runs a gateway.
_LIBRARIES: Final = {
    "uvicorn": logging.WARNING,
    "uvicorn.error": logging.WARNING,
    "alembic.runtime.plugins": logging.WARNING,
}


def configure(
    level: Level = Level.INFO, form: Format = Format.AUTO, stream: TextIO | None = None
) -> Callable[[], None]:
    """Log to `stream` (standard error) from now on; returns what ends it and writes the rest."""
    stream = sys.stderr if stream is None else stream
    people = form is Format.CONSOLE or (form is Format.AUTO and stream.isatty())
    sink = Sink(stream)
    structlog.configure(
        processors=_processors(people=people, colours=stream.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )
    handler = _Bridge()
    _bridge(handler, LEVELS[level])

    def end() -> None:
        logging.getLogger().removeHandler(handler)
        structlog.reset_defaults()
        sink.close()

    return end


def _processors(*, people: bool, colours: bool) -> list[Processor]:
    first: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        masking.processor,
        _stamp,
    ]
    if people:
        console = structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="time")
        return [*first, console]
    return [*first, _json]


def _stamp(_logger: object, _method: str, line: MutableMapping[str, Any]) -> Any:
    line["time"] = datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    return line


_encode = msgspec.json.Encoder().encode


def _json(_logger: object, _method: str, line: MutableMapping[str, Any]) -> str:
    ordered = {key: line.pop(key) for key in ("time", "level", "event") if key in line}
    return _encode({**ordered, **line}).decode()


def _bridge(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(max(level, logging.INFO))
    for name, least in _LIBRARIES.items():
        logging.getLogger(name).setLevel(max(level, least))


class _Bridge(logging.Handler):
    """Hands the lines of libraries that use the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger().bind(logger=record.name)
        try:
            words = record.getMessage().strip()
        except (TypeError, ValueError):  # a library's wrong format string
            words = str(record.msg)
        log.log(record.levelno, words, exc_info=record.exc_info or None)
