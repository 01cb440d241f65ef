"""Four kinds of models in one screen and one report: here, behind HTTP, pasted, recorded."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from textual.pilot import Pilot

from benchmarks.support import tiny
from benchmarks.support.demo import link_demo
from benchmarks.support.fault_server import FaultServer, Received, Reply, good_answer
from benchmarks.support.recorded_sessions import record_session, recorded_header
from tests.support.endpoints import clear_proxies
from tests.support.stage import pane_rows, until_shown
from tui import questions as question_sets
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.cli import run_command_line as command
from tui.cli.support import options
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered, Delta
from tui.host import paths
from tui.options import RunOptions
from tui.run.setup import begin
from tui.sessions import reader
from tui.settings import Settings

NEW = 8
CANARY = "sk-canary-9c4410ee"
SERVED = good_answer("As ", "served.")


@contextmanager
def served(checkpoint: Path, log: Path) -> Iterator[FaultServer]:
    """The same checkpoint behind HTTP: a worker of its own, spoken to by the protocol."""
    engine = LocalEngine(checkpoint, "fp32", 1, log)
    engine.load(lambda _, __: None)

    def behave(reply: Reply, received: Received) -> None:
        body = received.body
        messages = tuple(Message(m["role"], m["content"]) for m in body["messages"])
        request = Request(
            received.number, messages, body["max_tokens"], SamplingOptions(greedy=True)
        )
        reply.head()
        for _, event in engine.answer([request]):
            if isinstance(event, Delta) and event.text:
                reply.token(event.text)
            elif isinstance(event, Answered):
                reply.finish(event.finish)
                reply.usage(event.prompt_tokens, event.output_tokens)
        reply.done()

    try:
        with FaultServer(behave) as server:
            yield server
    finally:
        engine.close()


def _visible_of(child: psutil.Process) -> tuple[object, object]:
    """What another program can read of a process: how it was called and its environment."""
    return child.cmdline(), child.environ()


async def settled(pilot: Pilot[None], count: int) -> None:
    """Until so many answers are complete."""
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)

    def answers() -> list[tuple[str, object]]:
        return [(answer.state, answer.failure) for answer in screen.board.answers.values()]

    await until_shown(
        pilot, lambda: [state for state, _ in answers()].count("answered") >= count, answers
    )


@pytest.mark.parametrize("name", ["tiny", pytest.param("demo", marks=pytest.mark.slow)])
async def test_one_screen_and_one_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.setenv("DUIBI_API_KEY", CANARY)
    if name == "demo":
        checkpoint, here = link_demo(paths.cache_dir()), "demo@fp32"
    else:
        checkpoint = tiny.write_llama(tmp_path / "tiny", stop=319)
        here = f"{checkpoint}@fp32"
    chosen = question_sets.load("smoke")
    asked = [{"id": q.id, "turns": list(q.turns)} for q in chosen.questions]
    old = record_session(
        tmp_path / "old", recorded_header(["old@bf16"], asked), lambda _, n: f"As ever, {n}."
    )
    settings = Settings(
        run=RunOptions(max_new_tokens=NEW, sampling="greedy"), sessions=tmp_path / "runs"
    )
    # A second worker is dear: only the demo is behind HTTP too.
    service = served(checkpoint, tmp_path / "log") if name == "demo" else FaultServer(SERVED)
    with service as server:
        references = [here, f"{server.url}#m", "pasted:ChatGPT-4o", f"session:{old}#old@bf16"]
        models = options.resolve_models(references, settings)
        labels = [model.label for model in models]
        run = begin(models, chosen, settings.run, settings.sessions_dir, interactive=True)
        app = make_app(
            settings.screen, lambda look: CompareScreen(look, run, settings.sessions_dir)
        )
        try:
            async with app.run_test(size=(200, 50)) as pilot:
                run.start()
                await until_shown(pilot, lambda: isinstance(app.screen, CompareScreen))
                await pilot.press("enter")
                await settled(pilot, 3)
                screen = app.screen
                assert isinstance(screen, CompareScreen) and screen.grid is not None
                await pilot.press("tab", "tab", "i")
                await pilot.press(*"Paris", "enter")
                await settled(pilot, 4)
                children = psutil.Process().children(recursive=True)
                seen = [text for child in children for text in map(str, _visible_of(child))]
                await until_shown(pilot, lambda: "Paris" in "".join(pane_rows(screen.grid, 2)))
                texts = [screen.board.conversation(m, screen.question)[-1].text for m in range(4)]
                shown = ["\n".join(pane_rows(screen.grid, m)) for m in range(4)]
        finally:
            run.close("closed")
    assert {r.headers.get("authorization") for r in server.requests} == {f"Bearer {CANARY}"}
    assert seen and CANARY not in "".join(seen)
    # Greedily, the same weights say the same, whatever stands between.
    assert texts[1] == (texts[0] if name == "demo" else "As served.")
    assert texts[0] and texts[2:] == ["Paris", "As ever, 0."]
    for label, pane in zip(labels, shown, strict=True):
        assert label.split("/")[-1][:20] in pane
    assert "TTFT" in shown[0] and "TTFT" in shown[1] and "TTFT" in shown[3]
    assert "TTFT" not in shown[2]
    assert "(recorded)" in shown[3]

    reading = reader.read(run.path)
    assert reading.verdict == "complete"
    kinds = [model["engine"] for model in reading.header.models]
    assert kinds == ["local", "endpoint", "pasted", "recorded"]
    # A report draws its pictures in an event loop of its own.
    assert await asyncio.to_thread(command, ["report", str(run.path), "--format", "md"]) == 0
    report = capsys.readouterr().out
    assert CANARY not in report + "".join(shown) + run.path.read_text()
    for label in labels:
        assert label in report
    for text in ("Paris", "As ever, 0."):
        assert text in report
