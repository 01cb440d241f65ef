"""kill -9 while four models stream, with a real writer process."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bodies import expect
from tui.events import Delta
from tui.host.errors import UserError
from tui.sessions import reader, storage
from tui.sessions.journal import Journal


@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_is_read_back(tmp_path: Path, seed: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.campaigns.session_faults", "--write", str(tmp_path)],
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        path = Path(writer.stdout.readline().decode().strip())
        lines = [writer.stdout.readline() for _ in range(random.Random(seed).randrange(1, 2000))]
        assert storage.is_live(path)
        with pytest.raises(UserError, match="being written by another process"):
            Journal.reopen(path)
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.read().splitlines(keepends=True)
    acknowledged = {int(line) for line in lines if line.endswith(b"\n")}
    reading = reader.read(path)
    assert reading.verdict == "interrupted" and reading.bytes_dropped == 0
    assert acknowledged <= {event.seq for event in reading.events}
    for model in range(4):
        own = [expect(Delta, e.body).text for e in reading.events if e.model == model]
        assert own == [f"{model}.{i} " for i in range(len(own))]
    # Opens without repair, and at once: the lock died with its holder.
    Journal.reopen(path).close("done")
    assert reader.read(path).verdict == "complete"
