"""Through a real SSH connection: ask, cycle, resize, lose the line in the middle of an answer."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from benchmarks.support.sessions import write_session
from benchmarks.support.terminal import DUIBI
from tests.support.ssh import Program, connected
from tui.board import fold
from tui.sessions.reader import read

DEMO = (*DUIBI, "demo", "--questions", "english", "--max-new-tokens", "400")


async def test_a_comparison_over_ssh_outlives_its_line(folders: Mapping[str, str]) -> None:
    program = Program(DEMO, folders)
    async with connected(program) as (client, connection):
        await client.wait("1/8")
        client.send("\r")
        await client.wait("decoding", 60)
        client.send("n")
        await client.wait("2/8")
        client.resize(80, 24)
        await client.wait("2/8")
        client.send("p")
        await client.wait("1/8")
        children = psutil.Process(program.pid).children(recursive=True)
        assert children
        connection.abort()
        async with asyncio.timeout(60):
            while program.status is None:
                await asyncio.sleep(0.05)
    assert program.status == 130
    assert psutil.wait_procs(children, timeout=60)[1] == []
    (path,) = Path(folders["DUIBI_SESSIONS_DIR"]).glob("*.duibi")
    reading = read(path)
    assert reading.verdict == "complete" and reading.bytes_dropped == 0
    board = fold(reading.events)
    assert board.end and board.end.status == "sighup"
    first = board.conversation(0, reading.header.questions["questions"][0]["id"])
    assert first[0].text and first[0].state in ("cancelled", "answered")


# Others are tried without the connection, on a pseudo-terminal.
@pytest.mark.parametrize("term", ["xterm", "vt220", "unknown"])
async def test_a_replay_over_ssh_on_plain_terminals(term: str, tmp_path: Path) -> None:
    path = write_session(tmp_path / "s", tokens=20)
    names = ("CACHE", "CONFIG", "SESSIONS")
    env = {f"DUIBI_{name}_DIR": str(tmp_path / name) for name in names}
    program = Program((*DUIBI, "replay", str(path)), {**env, "DUIBI_LANG": "en"})
    async with connected(program, term, 80, 24) as (client, _):
        # It plays while the client connects: the second question may be there already.
        await client.wait(lambda text: "Is water wet?" in text or "同济大学在哪里？" in text)
        client.send("0")
        await client.wait("the end")
        client.send("q")
        async with asyncio.timeout(60):
            await client.process.wait_closed()
    assert program.status == 0
    assert b"Traceback" not in client.raw
