"""The gateway with a lane of ECR17 for each of its terminals, in a process of its own:
`python -m benchmarks.ecr17_process DIR N`, as `gateway_process` is called.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop

from benchmarks.gateway_process import serve, terminal
from tillwire.config import FaceSettings, ListenerSettings


def lane_name(number: int) -> str:
    """Of the listener before the terminal of this number."""
    return f"lane {number}"


def lanes(count: int) -> tuple[ListenerSettings, ...]:
    """So many lanes, each on a free port."""
    return tuple(
        ListenerSettings(
            name=lane_name(number),
            port=0,
            faces=(
                FaceSettings(
                    name="ecr17",
                    settings={"organisation": "bench", "terminal": terminal(number).name},
                ),
            ),
        )
        for number in range(1, count + 1)
    )


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]), lanes(int(sys.argv[2]))))
