"""``python -m tui.worker FD``: see `tui.worker_protocol`."""

import contextlib
import faulthandler
import os
import signal
import sys
import traceback
from pathlib import Path

from tui.worker.process.loop import Worker
from tui.worker.process.wire import Channel, exit_process

_SWITCH_S = 0.0005


def main() -> None:
    """Let the kernel kill this process first when memory runs out, then serve the parent."""
    faulthandler.enable()
    # A cancel has to get between two operations of the computing thread, which gives the
    # interpreter up for each and takes it again at once; by default that takes 5 ms.
    sys.setswitchinterval(_SWITCH_S)
    # The screen's Ctrl+C and a closed terminal are the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # Out of memory, the kernel must take this process and not the parent.
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(OSError):
        os.setsid()
    try:
        Worker(Channel(int(sys.argv[1]))).run()
    except BaseException:
        # With these libraries the interpreter takes a second to end, which a pane would wait.
        traceback.print_exc()
        exit_process(1)


if __name__ == "__main__":
    main()
