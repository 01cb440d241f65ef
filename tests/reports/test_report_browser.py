"""Reports in a real browser: Chromium without a window, where one is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli
from tui import events as ev
from tui.events import RUN

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
ANSWER = (
    "两句话的区别在于**重音**。\n\n```python\n" + "x = 1  # " + "long " * 60 + "\n```\n\n"
    "| 季节 | 含义 |\n| --- | --- |\n| 冬天 | 多 |\n\n<script>document.title='hacked'</script>"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]


def look(page: Path, *how: str) -> subprocess.CompletedProcess[str]:
    """What Chromium makes of a page; its console comes on stderr."""
    assert BROWSER is not None
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
        *(f"--user-data-dir={page.parent / 'profile'}", "--hide-scrollbars"),
        *(*how, page.as_uri()),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.parametrize(("lang", "models"), [("zh", 2), ("en", 6)])
def test_a_browser_shows_all_of_it_and_complains_of_nothing(
    tmp_path: Path, lang: str, models: int
) -> None:
    questions = [{"id": f"q{i}", "category": "语言理解", "turns": ["第 1 题"]} for i in range(2)]
    extra: list[tuple[int, ev.Body]] = [(RUN, ev.Rated(0, "幽默感", 5))]
    labels = [f"model{i}@bf16" for i in range(models)]
    path = record_session(
        tmp_path / "s", recorded_header(labels, questions), lambda m, q: ANSWER, extra
    )
    page = tmp_path / "report.html"
    assert cli.run_command_line(["report", str(path), "--out", str(page), "--lang", lang]) == 0
    seen = look(page, "--dump-dom")
    assert "CONSOLE" not in seen.stderr, "a policy was violated, or a style is broken"
    assert len(re.findall(r'<article class="card">', seen.stdout)) == 2 * models
    panes = len(re.findall(r'<figure class="panes">', seen.stdout))
    assert panes == 2 and len(re.findall(r"<svg\b", seen.stdout)) > panes, "charts and panes"
    assert "<title>hacked" not in seen.stdout and "<script" not in seen.stdout
    picture = tmp_path / "page.png"
    look(page, f"--screenshot={picture}", "--window-size=1280,2000")
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG") and len(data) > 50_000, "an empty page is far smaller"


def test_a_pdf_is_printed_and_holds_nothing_active(tmp_path: Path) -> None:
    questions = [{"id": "q", "category": "语言理解", "turns": ["第 1 题"]}]
    head = recorded_header(["a@bf16", "b@int8"], questions)
    path = record_session(tmp_path / "s", head, lambda m, q: ANSWER)
    out = tmp_path / "report.pdf"
    command = ["report", str(path), "--out", str(out), "--lang", "zh", "--no-pictures"]
    assert cli.run_command_line(command) == 0
    data = out.read_bytes()
    assert data.startswith(b"%PDF") and len(data) > 50_000
    assert not re.search(rb"/(JavaScript|JS|Launch|URI|EmbeddedFile)\b", data)
    assert out.stat().st_mode & 0o077 == 0
