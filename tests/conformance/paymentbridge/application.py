"""An application that is a Python program on the vendor's SDK (`sdk/program.py`)."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.conformance.paymentbridge.sdk_environment import SDK
from tests.kit.sandbox_process import Card

ANSWERS_WITHIN: Final = 60.0
"""Seconds in which a test waits for one answer on a busy machine."""
TTL: Final = 60
"""Seconds for which a cloud message waits for its terminal."""

Json = Any


class SdkError(Exception):
    """The SDK raised an error; `kind` is its class."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind = kind
        self.words = words


@dataclass(frozen=True)
class Answer:
    """What the SDK hands to its caller."""

    json: Json
    """None when the body was empty, or not JSON."""
    status: int


class Application:
    """The process, with a token of its own."""

    def __init__(self, python: Path, card: Card, *, private_key: Path | None = None) -> None:
        self.bridge: Mapping[str, str] = card["paymentbridge"]
        key = str(private_key or self.bridge["private_key"])
        self._process = subprocess.Popen(
            [
                str(python),
                "-W",
                "ignore",  # the SDK compares numbers by identity
                str(SDK / "program.py"),
                self.bridge["url"],
                self.bridge["application_id"],
                key,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            text=True,
        )
        self.library: Json = self._read()
        """What it runs on."""

    def call(self, name: str, method: str, **arguments: Json) -> Answer:
        """A method of the SDK. Raises `SdkError`."""
        return Answer(*self._ask({"call": [name, method], "arguments": arguments}))

    def request(self, method: str, path: str, **said: Json) -> Answer:
        """What the SDK has no method for, by its own means. Raises `SdkError`."""
        return Answer(*self._ask({"request": {"method": method, "url": path, **said}}))

    def token(self) -> str:
        """The access token that it has."""
        found: str = self._ask({"token": None})
        return found

    def use_token(self, token: str) -> None:
        """Have it use another token."""
        self._ask({"token": token})

    def send(self, payload: Mapping[str, Json], **envelope: Json) -> Answer:
        """A cloud message to the card's terminal; `envelope` is more of what the SDK's method
        takes."""
        told = {
            "business_id": self.bridge["business_id"],
            "store_id": self.bridge["store_id"],
            "device_id": self.bridge["device_id"],
            "ttl": TTL,
            "data": json.dumps(payload),
            **envelope,
        }
        return self.call("CloudMessage", "send_cloud_message", **told)

    def listed(self, **filters: Json) -> list[Json]:
        """The business' transactions, page by page as the SDK follows them."""
        found: list[Json] = []
        page = self.call(
            "Transaction", "get_transactions", business_id=self.bridge["business_id"], **filters
        )
        while True:
            assert page.status == 200, page
            found += page.json["transactions"]
            after = [link for link in page.json.get("links", ()) if link["rel"] == "next"]
            if not after:
                return found
            page = self.call(
                "Transaction", "get_transactions", business_id="", link=after[0]["href"]
            )

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(ANSWERS_WITHIN)
        self._process.stdout.close()

    def _ask(self, what: Json) -> Json:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        said = self._read()
        if "error" in said:
            raise SdkError(said["error"], said["words"])
        return said["answer"]

    def _read(self) -> Json:
        assert self._process.stdout is not None
        overdue = threading.Timer(ANSWERS_WITHIN, self._process.kill)
        overdue.start()
        line = self._process.stdout.readline()
        overdue.cancel()
        assert line, f"no answer within {ANSWERS_WITHIN:g} s, or the program has ended"
        return json.loads(line)


def claims(token: str) -> Json:
    """What an access token says, unverified, as the SDK looks at it."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def sale(amount: int, callback: str, reference: str | None = None, **more: Json) -> dict[str, Json]:
    """The vendor's flat request for a sale of so many cents."""
    return {
        "action": "sale",
        "purchaseAmount": amount,
        "tipAmount": 0,
        "currency": "EUR",
        "referenceId": reference or str(uuid.uuid4()),
        "callbackUrl": callback,
        **more,
    }
