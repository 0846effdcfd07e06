"""Which modules the image compiles: all that every request passes through."""

import runpy
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.wire.stage import Stage, talk

ROOT = Path(__file__).parents[2]
MODULES = runpy.run_path(str(ROOT / "deploy" / "compile.py"))["MODULES"]
BY_THE_SECOND = {"telemetry/events", "telemetry/spans"}
"""Events are capped by the second, so that these cost little where there are many requests."""
REQUESTS = 50


def test_what_every_request_passes_through_is_compiled() -> None:
    """No function of a module in plain Python is called for each request on a kept connection."""
    package = str(ROOT / "sidecar") + "/"
    called = Counter[str]()

    def count(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(package):
            called[file.removeprefix(package).removesuffix(".py")] += 1

    async def profiled(how: Callable[[FrameType, str, object], None] | None) -> None:
        sys.setprofile(how)

    stage = Stage()
    with stage.running(), stage.connect() as client:
        for number in range(2 * REQUESTS):
            if number == REQUESTS:
                stage.call(profiled(count))
            assert talk(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")[0].status == 200
        stage.call(profiled(None))

    assert called
    plain = {module for module, times in called.items() if times >= REQUESTS} - set(MODULES)
    assert plain <= BY_THE_SECOND
