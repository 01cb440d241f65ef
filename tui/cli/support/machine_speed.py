"""What is measured of this machine itself, in a process of its own: memory, formats, free cores."""

import json

from tui.cli.support.printing import tell
from tui.engines.worker_process import worker_environment
from tui.host import child_process, cpu, format_speeds
from tui.host.errors import UserError
from tui.host.format_speeds import FormatSpeeds

_LOAD_SAMPLE_S = 0.5


def bandwidth(threads: int, device: str) -> float:
    """Bytes a second that a device reads at best.

    Raises:
        UserError: torch does not start.
    """
    return float(json.loads(_run("tui.worker.bandwidth", threads, device)))


def measure_formats(threads: int) -> FormatSpeeds:
    """How fast each format is computed with so many threads; some ten seconds.

    Raises:
        UserError: torch does not start.
    """
    return format_speeds.parse(_run("tui.worker.format_speeds", threads))


def free_cores() -> int:
    """Those that other programs leave; a person is told where these are not all."""
    taken = cpu.sample_others(_LOAD_SAMPLE_S)
    if (left := cpu.free_cores(taken)) < cpu.cores():
        told = f"other programs use {taken:.1f} of {cpu.cores()} cores: measured with {left}"
        tell(f"{told}; a machine at rest is faster")
    return left


def _run(module: str, threads: int, *more: str) -> str:
    command = child_process.module_command(module, str(threads), *more)
    done = child_process.run(command, worker_environment(threads), capture_output=True)
    if done.returncode:
        raise UserError("torch does not start", f"run `{' '.join(command)}` to see why")
    return done.stdout
