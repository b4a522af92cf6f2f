"""A till that is a Node program on Adyen's library (`till/till.cjs`): told what to do, and asked
what the library made of the answers.

Every answer is compared with the models that the library decodes with, strictly: what they do not
know is lost to a till that relies on them. Only `LOST` is known to be lost.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

from tests.conformance.nexo.npm_library import NODE, TILL
from tests.kit.sandbox_process import Card

ANSWERS_WITHIN: Final = 60.0
"""Seconds in which a test waits for one answer on a busy machine."""
NO_HURRY: Final = 50_000
"""Milliseconds for which the library waits; its own default is 30 s."""
LOST: Final = (
    # They are there in the library's spelling, too.
    "MaskedPAN: unknown",
    "ProviderIdentification: unknown",
    # So it is called in the library's newer models, which its services do not use yet.
    "ConvertedAmount.AmountValue: unknown",
)
_OF_DEVICES: Final = {"display", "print", "input"}

Json = Any


@dataclass(frozen=True)
class Answer:
    """What the library handed to the till."""

    message: Mapping[str, Json]
    """The decoded message; empty when the answer had no body."""
    heard: Json
    """The message as it came, decrypted; None when the answer had no body."""

    @property
    def header(self) -> Json:
        """The response's header."""
        return self.message["SaleToPOIResponse"]["MessageHeader"]

    @property
    def body(self) -> Json:
        """The response's body, the only one."""
        (body,) = (
            value
            for name, value in self.message["SaleToPOIResponse"].items()
            if name.endswith("Response")
        )
        return body

    @property
    def result(self) -> tuple[str, str | None]:
        """Result and error condition."""
        return verdict(self.body["Response"])

    @property
    def event(self) -> Json:
        """The event notification that came in place of a response."""
        return self.message["SaleToPOIRequest"]["EventNotification"]

    @property
    def transaction(self) -> Json:
        """The terminal's name for the transaction, as a follow-up quotes it."""
        return self.body["POIData"]["POITransactionID"]


def verdict(response: Mapping[str, str]) -> tuple[str, str | None]:
    """Result and error condition of a `Response`."""
    return response["Result"], response.get("ErrorCondition")


class NoAnswerError(Exception):
    """The library raised an error instead of answering."""

    def __init__(self, error: Mapping[str, Json], heard: Json) -> None:
        super().__init__(f"{error['kind']}: {error['message']}")
        self.status: int | None = error.get("statusCode")
        """The HTTP status by the library's account, which says 500 where there was none."""
        self.heard = heard
        """The message that came, decrypted, which the library did not expect; else None."""


@dataclass
class AdyenTill:
    """One lane at one terminal, over one of the library's connections."""

    program: Program
    way: str
    """`clear`, `encrypted` or `cloud`."""
    poi_id: str
    sale_id: str = field(default_factory=lambda: f"LANE-{uuid.uuid4().hex[:8]}")
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def another_lane(self) -> AdyenTill:
        """A second till at the same terminal."""
        return AdyenTill(self.program, self.way, self.poi_id)

    def number(self) -> str:
        """A ServiceID that this lane has not used."""
        return f"s{next(self._numbers):06d}"

    def ask(self, operation: str, **said: Json) -> Answer:
        """Do it and wait for the answer. Raises `NoAnswerError`."""
        return self.begin(operation, **said).result(ANSWERS_WITHIN)

    def begin(
        self,
        operation: str,
        *,
        number: str | None = None,
        limit: int = NO_HURRY,
        header: Mapping[str, str] | None = None,
        **said: Json,
    ) -> Future[Answer]:
        """Do it; the answer is there later. `limit`: milliseconds until the library gives up."""
        numbered = "DeviceID" if operation in _OF_DEVICES else "ServiceID"
        told = {
            "SaleID": self.sale_id,
            "POIID": self.poi_id,
            numbered: number or self.number(),
            **(header or {}),
        }
        return self.program.send(
            {"operation": operation, "way": self.way, "limit": limit, "header": told, **said}
        )

    def pay(self, amount: str, reference: str, **said: Json) -> Answer:
        """A payment, or with a `type` what else a payment request can be."""
        return self.ask("pay", amount=Decimal(amount), reference=reference, **said)


class Program:
    """The Node process, which serves any number of tills at a time."""

    def __init__(self, card: Card, modules: Path, directory: Path) -> None:
        nexo = card["nexo"]
        ca, key = nexo["https"]["ca"], nexo["encryption"]
        with (directory / "node-stderr.txt").open("wb") as errors:
            self._process = subprocess.Popen(
                [NODE, TILL / "till.cjs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "NODE_PATH": str(modules), "NODE_EXTRA_CA_CERTS": ca},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._incoming: IO[str] = self._process.stdin
        self._waiting: dict[int, Future[Answer]] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._write(
            {
                "address": nexo["https"]["url"],
                "ca": ca,
                "key": {
                    "identifier": key["key_identifier"],
                    "version": key["key_version"],
                    "passphrase": key["passphrase"],
                },
            }
        )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()

    def send(self, command: Mapping[str, Json]) -> Future[Answer]:
        """Hand a command to the program."""
        answer: Future[Answer] = Future()
        with self._lock:
            number = next(self._ids)
            self._waiting[number] = answer
            self._write({"id": number, **command})
        return answer

    def close(self) -> None:
        """End it; what it still waited for is given up."""
        with contextlib.suppress(BrokenPipeError):
            self._incoming.close()
        self._process.terminate()
        self._process.wait(ANSWERS_WITHIN)
        self._reader.join(ANSWERS_WITHIN)

    def _write(self, what: Mapping[str, Json]) -> None:
        self._incoming.write(json.dumps(what, default=float) + "\n")
        self._incoming.flush()

    def _read(self, outgoing: IO[str]) -> None:
        for line in outgoing:
            told = json.loads(line, parse_float=Decimal)
            with self._lock:
                waiting = self._waiting.pop(told["id"])
            try:
                waiting.set_result(_answer(told))
            except (NoAnswerError, AssertionError) as error:
                waiting.set_exception(error)
        outgoing.close()
        for lost in self._waiting.values():
            lost.cancel()


def _answer(told: Json) -> Answer:
    """The library's answer, if it fits the library's models."""
    faults = [each for each in told["faults"] if not each.endswith(LOST)]
    assert not faults, f"a till that relies on the library's types does not understand: {faults}"
    if "error" in told:
        raise NoAnswerError(told["error"], told["heard"])
    return Answer(told["answer"], told["heard"])
