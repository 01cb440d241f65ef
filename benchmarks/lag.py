"""How late the screen's event loop comes to what is due, measured in its own process."""

import array
from pathlib import Path

WITH_LAG = """
import array, asyncio, sys, time
from tui import cli
from tui.app.terminal import terminal_writer
lags = array.array("f")
async def meter():
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.05)
        lags.append(time.monotonic() - begun - 0.05)
ready = terminal_writer.TerminalWriterApp._ready
async def metered(self):
    self.meter = asyncio.ensure_future(meter())
    await ready(self)
terminal_writer.TerminalWriterApp._ready = metered
try:
    cli.main(sys.argv[2:])
finally:
    with open(sys.argv[1], "wb") as file:
        lags.tofile(file)
"""
"""A program for ``python -c PROGRAM FILE ARGUMENTS``: duibi with these arguments, and in the
file, once it ends, the lags in seconds as `array` floats."""


def lags(file: Path) -> list[float]:
    """Milliseconds in ascending order of what the program left in ``file``."""
    found = array.array("f")
    found.frombytes(file.read_bytes())
    return sorted(1000 * one for one in found)
