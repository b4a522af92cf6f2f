"""How long the codec of ECR17 takes for one message: each of the frames that are published, as the
codec's own tests begin with them.

To decode is to take a frame out of a stream, check its check character, and read every field; to
encode, the same the other way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.messages import microseconds
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import Application, Deframer, Lrc, Request, Result

VECTORS: Final = Path(__file__).parents[1] / "tests" / "unit" / "ecr17" / "wire" / "vectors.json"


@dataclass(frozen=True)
class Timing:
    """One message, and the microseconds that it takes."""

    name: str
    octets: int
    decode: float
    encode: float


def measure() -> list[Timing]:
    """The times of each message whose check character is right, the best of a few tries."""
    vectors = msgspec.json.decode(VECTORS.read_bytes())["vectors"]
    return [
        _timing(each["name"], bytes.fromhex(each["frame"]), each["direction"] == "ecr_to_pos")
        for each in vectors
        if each["kind"] == "application" and not each["name"].endswith("wrong_lrc")
    ]


def _timing(name: str, frame: bytes, is_request: bool) -> Timing:
    def decode() -> Request | Result:
        (found,) = Deframer().feed(frame)
        assert isinstance(found, Application), frame
        assert found.lrc_ok(Lrc.STX), frame
        read = wire.decode_request if is_request else wire.decode_result
        return read(found.payload)

    message = decode()
    return Timing(
        name,
        len(frame),
        decode=microseconds(decode),
        encode=microseconds(lambda: wire.application(wire.encode(message))),
    )
