"""``python -m tui.worker FD``: see `tui.worker_protocol`. Where workers can be forked, each is a
copy of `tui.worker.fork_server` instead; but those of GGUF files as published (``FD gguf``), which
import no torch and so share nothing."""

import contextlib
import faulthandler
import os
import signal
import sys
import traceback
from typing import NoReturn

from tui.checkpoints.llama_cpp import PUBLISHED
from tui.host import system
from tui.worker.measure import process_age_s
from tui.worker.process.loop import Worker, import_libraries
from tui.worker.process.wire import Channel, exit_process

_SWITCH_S = 0.0005


def main() -> None:
    """Serve the parent through the socket that the command line names."""
    if sys.argv[2:] != [PUBLISHED]:
        import_libraries()
    run_worker(int(sys.argv[1]), process_age_s())


def run_worker(channel: int, import_s: float) -> NoReturn:
    """Let the kernel kill this process first when memory runs out, then serve the parent through
    the socket ``channel``. ``import_s``: seconds that the imports took."""
    faulthandler.enable()
    # The computing thread releases the interpreter's lock for each operation and takes it again
    # at once. With the default interval the control thread waits 5 ms for it.
    sys.setswitchinterval(_SWITCH_S)
    # The parent handles Ctrl+C and a closed terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    system.be_killed_first()
    with contextlib.suppress(OSError):
        os.setsid()
    try:
        Worker(Channel(channel), import_s).run()
    except BaseException:
        traceback.print_exc()
    # Ending the interpreter takes a second with these libraries; the parent should not wait.
    exit_process(1)


if __name__ == "__main__":
    main()
