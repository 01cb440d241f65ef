"""What `duibi run` tells of the kernels while they are compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.support import tiny
from tests.support.kernels import needs_kernels

pytestmark = needs_kernels


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_that_kernels_are_compiled_is_told_while_it_lasts(
    lang: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The compiler waits until the line was read, then fails: torch's kernels compute."""
    fake, go = tmp_path_factory.mktemp("bin"), tmp_path / "go"
    for name in ("gcc", "clang", "cc"):
        (fake / name).write_text(f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.1; done\nexit 1\n")
        (fake / name).chmod(0o755)
    model = tiny.write_llama(tmp_path / "tiny")
    flags = ["--questions", "smoke", "--max-new-tokens", "4", "--lang", lang]
    environment = os.environ | {
        "PATH": f"{fake}:/usr/bin:/bin",
        "DUIBI_CACHE_DIR": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-m", "tui", "run", f"{model}@int8", *flags]
    with subprocess.Popen(
        [*command, "--sessions", str(tmp_path / "sessions")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as running:
        assert running.stderr
        told = {
            "en": "compiling the kernels for this CPU, once",
            "zh": "正在为此 CPU 编译计算内核（仅一次）",
        }[lang]
        assert any(told in line for line in running.stderr)
        go.touch()
        rest = running.stderr.read()
    failed = {"en": "could not compile them, the log says why", "zh": "无法编译，原因见日志"}[lang]
    assert failed in rest and running.returncode == 0
