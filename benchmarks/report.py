"""Seconds to write a report of 1,000 answers, as a person waits for it: python -m benchmarks.report

Two models, 500 questions, answers of Chinese prose, code and a table of about 700 characters
with a time for each token, every answer rated. Each format runs in a process of its own, so
imports count; the best of three, because other work on the machine only ever adds.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui.events import RUN, Rated

ANSWERS, MODELS = 1000, 2
TEXT = (
    "这两句话的区别在于重音：前一句的「多少」表示越多越好，后一句表示越少越好。\n\n" * 12
    + "1. **冬天**：能穿多少就穿多少\n2. **夏天**：能少穿就少穿\n\n"
    + "```python\nprint(sum(v * v for v in range(10) if v % 2 == 0))\n```\n\n"
    + "| 季节 | 含义 |\n| --- | --- |\n| 冬天 | 多 |\n| 夏天 | 少 |\n"
)


def make(folder: Path) -> Path:
    """The session, written by the real journal."""
    questions = [
        {"id": f"q{i}", "category": "逻辑", "turns": ["?"], "checks": [{"contains": "冬天"}]}
        for i in range(ANSWERS // MODELS)
    ]
    stars = [(RUN, Rated(a, "回答逻辑", 1 + a % 5)) for a in range(ANSWERS)]
    return record_session(
        folder, recorded_header(["a@bf16", "b@fp32"], questions), lambda m, q: TEXT, stars
    )


def main() -> None:
    """Print one line a format."""
    with tempfile.TemporaryDirectory() as name:
        path = make(Path(name))
        print(f"{ANSWERS} answers of {len(TEXT)} characters, {path.stat().st_size / 1e6:.1f} MB")
        for format_ in ("md", "html", "docx", "tex", "csv", "jsonl"):
            out = Path(name) / f"report.{format_}"
            times = []
            for _ in range(3):
                start = time.monotonic()
                command = [sys.executable, "-m", "tui", "report", str(path), "--out", str(out)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
                times.append(time.monotonic() - start)
            print(f"{format_:6} {min(times):5.2f} s  {out.stat().st_size / 1e6:5.1f} MB")


if __name__ == "__main__":
    main()
