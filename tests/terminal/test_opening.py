"""What stands on the terminal while the libraries are imported, and what remains of it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.support.sessions import write_session
from benchmarks.support.terminal import ALTERNATE_SCREEN_ON, DUIBI, Terminal


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return write_session(tmp_path / "s", tokens=20)


@pytest.fixture
def fresh(tmp_path: Path) -> Mapping[str, str]:
    names = ("CACHE", "CONFIG", "SESSIONS")
    return {f"DUIBI_{name}_DIR": str(tmp_path / name) for name in names} | {"DUIBI_LANG": "en"}


def test_a_word_stands_there_before_the_screen_and_is_gone_after_it(
    session: Path, fresh: Mapping[str, str]
) -> None:
    with Terminal([*DUIBI, "replay", str(session)], fresh) as it:
        it.wait("demo@bf16")
        before = bytes(it.raw[: it.raw.index(ALTERNATE_SCREEN_ON)])
        assert "duibi …".encode() in before and before.endswith(b"\r\x1b[2K")
        it.send("q")
        assert it.wait_exit() == 0 and it.is_restored()


def test_an_error_stands_alone_on_its_line(fresh: Mapping[str, str]) -> None:
    with Terminal([*DUIBI, "replay", "nothing-like-this"], fresh) as it:
        assert it.wait_exit() == 2
        assert it.text().startswith("duibi: ") and "…" not in it.text().splitlines()[0]


def test_a_pipe_gets_no_word_and_the_same_text(session: Path, fresh: Mapping[str, str]) -> None:
    done = subprocess.run(
        [*DUIBI, "replay", str(session), "--speed", "max"],
        capture_output=True,
        env={**os.environ, **fresh},
        check=True,
    )
    assert b"\x1b" not in done.stdout and "…".encode() not in done.stdout[:20]
    assert "word0.19" in done.stdout.decode()


def test_with_and_without_the_option_parser_it_is_the_same_screen(
    session: Path, fresh: Mapping[str, str]
) -> None:
    seen = []
    for flags in ([], ["--speed", "1"]):
        with Terminal([*DUIBI, "replay", str(session), *flags], fresh) as it:
            it.wait("the end")
            it.read(0.3)
            seen.append(it.text())
    assert seen[0] == seen[1]
