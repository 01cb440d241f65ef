"""One flag, one variable, one file or the locale: every command speaks the same language."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.support.terminal import DUIBI

_SENTENCE = re.compile(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}")


def duibi(*args: str, **environ: str) -> str:
    """What a command says, on stdout and stderr."""
    done = subprocess.run(
        [*DUIBI, *args],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"} | environ,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", ["", "run", "models", "report", "doctor"])
def test_help_is_chinese_throughout(command: str) -> None:
    said = duibi(*command.split(), "--help", "--lang", "zh")
    told = [line for line in said.splitlines() if "用法" not in line and "duibi " not in line]
    assert "[OPTIONS]" not in said and "[ARGS]" not in said
    assert "选项" in said and not [line for line in told if _SENTENCE.search(line)]
    assert "…" not in said.replace("……", ""), "a long text is folded, not cut off"


def test_the_language_comes_from_flag_variable_file_or_locale(tmp_path: Path) -> None:
    chinese, english = "要用哪些模型？", "which models?"
    assert english in duibi("run") and chinese in duibi("run", "--lang", "zh")
    assert chinese in duibi("run", "--lang=zh", DUIBI_LANG="en")
    assert chinese in duibi("run", DUIBI_LANG="zh")
    assert chinese in duibi("run", LC_ALL="zh_CN.UTF-8")
    config = tmp_path / "duibi-config"
    config.mkdir(exist_ok=True)
    (config / "duibi.toml").write_text('lang = "zh"\n')
    assert chinese in duibi("run") and english in duibi("run", DUIBI_LANG="en")


def test_every_command_takes_the_flag_and_no_other_language() -> None:
    for command in ("bench", "sessions list", "questions list", "models list", "rank"):
        assert "--lang" not in duibi(*command.split(), "--lang", "zh")
    said = duibi("doctor", "--lang", "fr")
    assert "--lang: 'fr' is not one of en, zh" in said and "use --lang en or --lang zh" in said
