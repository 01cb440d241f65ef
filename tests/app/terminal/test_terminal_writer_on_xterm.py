"""Our output and Textual's own in xterm.js, the terminal of notebooks and of VS Code.

xterm.js counts many emoji as one cell unless an add-on says otherwise, as a notebook's often
does not: there what Textual writes after one stands a cell too far left, what we write stands.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.both_outputs import BothOutputs, stream_frames

XTERM = Path(__file__).parents[2] / "xterm"
_EVERY = 10
"""Frames between those of which every cell is looked at."""


class Recorded(BothOutputs):
    """Frames as the script takes them."""

    lines: list[str]

    def show(self) -> None:
        if self.frames == 1:
            self.lines = []
        columns, rows = self.size
        frame: dict[str, Any] = {"columns": columns, "rows": rows}
        frame |= {"ours": self.ours, "stock": self.stock}
        if self.frames % _EVERY == 0:
            frame["wanted"] = self.cells()
        self.lines.append(json.dumps(frame))


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """xterm.js, fetched with npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not here: the second emulator is left out")
    folder = tmp_path_factory.mktemp("xterm")
    shutil.copy(XTERM / "package.json", folder)
    command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot fetch xterm.js: {done.stderr.decode()[-200:]}")
    return folder / "node_modules"


@pytest.mark.slow
async def test_xterm_shows_the_same_and_keeps_to_its_columns(
    modules: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    pair = await stream_frames(Recorded, monkeypatch, steps=220)
    assert isinstance(pair, Recorded)
    frames = tmp_path / "frames.jsonl"
    frames.write_text("\n".join(pair.lines), "utf-8")

    def compared(unicode: str) -> dict[str, Any]:
        command = ["node", str(XTERM / "compare.mjs"), str(frames), unicode, str(modules)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=240)
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    new, old = compared("11"), compared("6")
    assert new["frames"] == pair.frames > 150 and new["cells"] > 50_000
    assert new["different"] == 0, new["first"]
    assert new["ours"] == new["stock"] == 0
    assert old["ours"] == 0 < old["stock"], "emoji of uncertain width move nothing of ours"
