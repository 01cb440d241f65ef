"""The models screen: a real download by the real SDK from a hub on this machine."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.checkpoints import write_zero_llama
from tests.support.file_server import FileServer, serving
from tests.support.folders import empty_place, find_models_here
from tests.support.hub import MODEL, WEIGHTS, FakeHub, tiny_chat, use_hub
from tests.support.index import GGUF, using_index
from tests.support.stage import Stage, until_shown
from tui.app.main import make_app, start_screen
from tui.app.model_survey import survey_models
from tui.app.screens import models as models_screen
from tui.app.screens.models import ModelsScreen
from tui.app.screens.results import ModelSelection
from tui.app.screens.start import StartScreen
from tui.host import paths
from tui.models import demo
from tui.models.caches import modelscope_folder
from tui.models.downloads import Download, DownloadStatus
from tui.models.reference import parse_reference
from tui.options import ScreenOptions

LARGE = "model.safetensors"
REFERENCE = f"ms:{MODEL}"


class ModelsStage(Stage):
    @property
    def screen(self) -> ModelsScreen:
        return next(s for s in self.app.screen_stack if isinstance(s, ModelsScreen))

    async def shows(self, *words: str) -> None:
        await self.until(lambda: all(word in self.text() for word in words))

    def row(self, title: str) -> str:
        return next(
            line for line in self.text().splitlines() if re.search(rf"\d .* {title} ", line)
        )

    async def go_to(self, title: str) -> None:
        titles = [entry.title for entry in self.screen.menu.items]
        await self.press("home", *["down"] * titles.index(title))

    async def type_name(self, name: str) -> None:
        await self.press("f", *name, "enter")

    def status(self, reference: str = REFERENCE) -> DownloadStatus:
        return self.download(reference).status

    def download(self, reference: str = REFERENCE) -> Download:
        found = [d for d in self.screen.downloads.all if d.status.reference == reference]
        return found[-1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setattr(models_screen, "TICK_S", 0.05)
    return empty_place(tmp_path, monkeypatch)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[FakeHub, FileServer]]:
    made = FakeHub({MODEL: tiny_chat(), "acme/Second": tiny_chat()})
    with serving(made) as server:
        use_hub(server, tmp_path, monkeypatch)
        try:
            yield made, server
        finally:
            made.stall_after = made.pace = None


@asynccontextmanager
async def looking(
    size: tuple[int, int] = (110, 50), questions: str = "tongji", **options: Any
) -> AsyncIterator[ModelsStage]:
    app = make_app(
        ScreenOptions(**options),
        lambda look: ModelsScreen(look, lambda: survey_models(find_models_here()), questions),
    )
    async with app.run_test(size=size) as pilot:
        it = ModelsStage(app, pilot)
        await it.until(lambda: it.screen.menu.items)
        yield it
        for download in it.screen.downloads.all if app.is_running else ():
            download.stop()


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ("Fetch acme/Tiny-Chat? 3 files", "free)", "fetching", "2 of 3 files are whole",
                "to go", "partial", "are here already", "complete", "is here")),
        ("zh", ("下载 acme/Tiny-Chat？共 3 个文件", "可用", "下载中", "3 个文件中 2 个已完成",
                "还需", "不完整", "已在本机", "完整", "已下载完成")),
    ],
)  # fmt: skip
async def test_a_model_is_fetched_stopped_and_gone_on_with(
    served: tuple[FakeHub, FileServer], lang: str, words: tuple[str, ...]
) -> None:
    question, free, fetching, files, left, partial, already, complete, done = words
    hub, server = served
    hub.pace = 150_000
    async with looking(lang=lang) as it:
        await it.type_name(MODEL)
        await it.shows(question, free, str(modelscope_folder(MODEL))[:40])
        assert not modelscope_folder(MODEL).exists()  # nothing before the consent
        await it.press("y")
        await it.shows(fetching, LARGE, "B/s", left, files)
        status = it.status()
        assert 0 < status.done < status.total and status.speed > 0
        assert status.files[LARGE][1] == len(WEIGHTS) > status.files[LARGE][0] > 0
        # The screen is free meanwhile, and the hub's SDK is in another process.
        await it.press("end")
        await it.until(lambda: it.screen.menu.cursor == len(it.screen.menu.items) - 1)
        assert not [name for name in sys.modules if name.startswith("modelscope")]
        await it.press("x")
        await it.until(lambda: it.status().state == "stopped")
        await it.until(lambda: any(e.title == "Tiny-Chat" for e in it.screen.menu.items))
        assert partial in it.row("Tiny-Chat")
        hub.pace = None
        await it.go_to("Tiny-Chat")
        await it.press("enter")
        await it.shows(question, already)
        await it.press("enter")
        await it.until(lambda: it.status().state == "done")
        await it.until(lambda: complete in it.row("Tiny-Chat").replace(partial, ""))
        assert done in it.notice_text()
    assert (modelscope_folder(MODEL) / LARGE).read_bytes() == WEIGHTS
    last = [r for path, r in server.requests if path.endswith(f"FilePath={LARGE}")][-1]
    assert last.startswith("bytes=") and last != "bytes=0-"


async def test_without_consent_nothing_is_fetched(served: tuple[FakeHub, FileServer]) -> None:
    async with looking() as it:
        await it.type_name(MODEL)
        await it.shows("Fetch acme/Tiny-Chat?")
        await it.press("n")
        await it.until(lambda: it.status().state == "stopped")
    assert not modelscope_folder(MODEL).exists()


async def test_one_is_fetched_after_the_other(served: tuple[FakeHub, FileServer]) -> None:
    hub, _ = served
    hub.stall_after = 200_000
    async with looking() as it:
        await it.type_name(MODEL)
        await it.shows("Fetch acme/Tiny-Chat?")
        await it.press("y")
        await it.until(lambda: it.status().files.get(LARGE, (0, 0))[0] > 100_000)
        await it.type_name("acme/Second")
        await it.shows("Fetch acme/Second?")
        await it.press("y")
        await it.shows("ms:acme/Second  waiting for the one before")
        hub.stall_after = None
        await it.until(lambda: it.status("ms:acme/Second").state == "done")
        assert it.status().state == "done"


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, ("no model", "spelling")), (401, ("does not let you", "MODELSCOPE_API_TOKEN"))],
)
async def test_what_goes_wrong_is_told_with_the_next_step(
    served: tuple[FakeHub, FileServer], status: int, words: tuple[str, ...]
) -> None:
    served[0].status = status
    async with looking() as it:
        await it.type_name(MODEL)
        await it.until(lambda: it.status().state == "failed")
        await it.until(lambda: all(word in it.notice_text() for word in words))
        await it.shows(f"{REFERENCE}  failed:")


async def test_wrong_content_is_told_and_never_gets_its_name(
    served: tuple[FakeHub, FileServer],
) -> None:
    served[0].listed[LARGE] = {"Sha256": "0" * 64}
    async with looking() as it:
        await it.type_name(MODEL)
        await it.shows("Fetch acme/Tiny-Chat?")
        await it.press("y")
        await it.until(lambda: "wrong content" in it.notice_text())
    assert not (modelscope_folder(MODEL) / LARGE).exists()


async def test_a_wrong_name_is_told_at_once() -> None:
    async with looking() as it:
        await it.type_name("nothing-like-it")
        await it.until(lambda: "nothing-like-it" in it.notice_text())
        await it.type_name("ms:no owner")
        await it.until(lambda: "OWNER/NAME" in it.notice_text())
        assert it.screen.downloads.all == []


async def test_the_demo_comes_through_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    with using_index(monkeypatch):
        async with looking() as it:
            assert "to fetch" in it.row("demo")
            await it.go_to("demo")
            await it.press("enter")
            await it.shows("Fetch demo? 1 files")
            await it.press("enter")
            await it.until(lambda: it.status("demo").state == "done")
            await it.until(lambda: "complete" in it.row("demo"))
    assert demo.path().read_bytes() == GGUF


async def test_removing_asks_and_says_what_it_frees(tmp_path: Path) -> None:
    folder = write_zero_llama(tmp_path / "ms" / "models" / "acme--Gone" / "snapshots" / "master")
    mine = write_zero_llama(tmp_path / "here" / "Mine")
    async with looking() as it:
        await it.go_to("Gone")
        await it.press("D")
        await it.shows("Remove ms:acme/Gone and free ", "acme--Gone")
        await it.press("enter")  # only y is a yes here
        await it.press("n")
        assert folder.exists() and not it.screen.confirm.is_open
        await it.press("D")
        await it.shows("Remove ms:acme/Gone")
        await it.press("y")
        await it.until(lambda: not any(e.title == "Gone" for e in it.screen.menu.items))
        assert not folder.exists() and "freed" in it.notice_text()
        await it.go_to("Mine")
        await it.press("D")
        await it.until(lambda: "a folder of yours" in it.notice_text())
        assert mine.exists()


async def test_what_is_wrong_with_a_model_stands_under_the_list(here: Path) -> None:
    (write_zero_llama(here / "Broken") / LARGE).unlink()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n"
    (write_zero_llama(here / "Pointers") / LARGE).write_bytes(pointer)
    write_zero_llama(here / "Vision", vision_config={"a": 1})
    write_zero_llama(here / "Whole")
    async with looking() as it:
        for title, state, why in (
            ("Broken", "partial", "no model.safetensors"),
            ("Pointers", "LFS pointers", "git lfs pull"),
            ("Vision", "unsupported", "images"),
            ("Whole", "complete", "context 128 tokens"),
        ):
            await it.go_to(title)
            assert state in it.row(title)
            assert why in it.screen.detail.text and f"./{title}" in it.screen.detail.text
        assert "bf16" in it.row("Whole") and "llama" in it.row("Whole")
        assert re.search(r"bf16 \d+ MB ✓", it.row("Whole")), "its memory in the format it opens in"
        assert re.search(r"bf16 \d+ MB ✓", it.screen.detail.text)


async def test_a_model_that_does_not_fit_is_marked(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_zero_llama(here / "Whole")
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "200M")
    async with looking() as it:
        assert "✗" in it.row("Whole") and "✗" in it.row("Qwen2.5 0.5B Instruct")


async def test_marked_models_are_opened_together(here: Path) -> None:
    write_zero_llama(here / "First")
    write_zero_llama(here / "Second")
    async with looking(questions="smoke") as it:
        await it.go_to("First")
        await it.press("space", "down", "enter")
        assert it.app.return_value == ModelSelection(("./First", "./Second"), "smoke")


async def test_leaving_asks_while_something_is_fetched(served: tuple[FakeHub, FileServer]) -> None:
    served[0].stall_after = 200_000
    async with looking() as it:
        await it.type_name(MODEL)
        await it.shows("Fetch acme/Tiny-Chat?")
        await it.press("y")
        await it.until(lambda: it.status().files.get(LARGE, (0, 0))[0] > 100_000)
        download = it.download()
        await it.press("q")
        assert it.app.is_running and "Press again" in it.notice_text()
        await it.press("q")
    download.join(30)
    assert download.status.state == "stopped"
    assert (modelscope_folder(MODEL) / f"{LARGE}.incomplete").stat().st_size > 100_000


async def test_from_the_start_screen_and_back_while_it_goes_on(
    served: tuple[FakeHub, FileServer],
) -> None:
    hub, _ = served
    hub.stall_after = 200_000
    app = make_app(
        ScreenOptions(),
        lambda look: start_screen(
            look, paths.sessions_dir(), find_models_here, "tongji", parse_reference
        ),
    )
    async with app.run_test(size=(110, 34)) as pilot:
        it = ModelsStage(app, pilot)
        await it.shows("All models: find, fetch, remove")
        await it.press("m")
        await it.until(lambda: isinstance(app.screen, ModelsScreen))
        await it.until(lambda: it.screen.menu.items)
        await it.type_name(MODEL)
        await it.shows("Fetch acme/Tiny-Chat?")
        await it.press("y")
        await it.until(lambda: it.status().files.get(LARGE, (0, 0))[0] > 100_000)
        download = it.download()
        await it.press("escape")
        await it.until(lambda: isinstance(app.screen, StartScreen))
        await it.press("q")
        assert app.is_running
        hub.stall_after = None
        await it.until(lambda: download.status.state == "done")
        await it.press("m")
        await it.shows("Tiny-Chat")
        await it.press("escape")
        await it.shows("New comparison", "Tiny-Chat")


async def test_what_a_first_start_fetched_is_opened(
    served: tuple[FakeHub, FileServer], tmp_path: Path
) -> None:
    app = make_app(
        ScreenOptions(),
        lambda look: ModelsScreen(
            look, lambda: survey_models(find_models_here()), "tongji", fetch=f"ms:{MODEL}"
        ),
    )
    async with app.run_test(size=(110, 34)) as pilot:
        it = ModelsStage(app, pilot)
        await it.shows("Fetch acme/Tiny-Chat?")
        await it.press("y")
        await until_shown(pilot, lambda: app.return_value)
    assert app.return_value == ModelSelection((f"ms:{MODEL}",), "tongji")


async def test_hostile_names_are_only_text(here: Path) -> None:
    write_zero_llama(here / "x\x1b]0;gotcha\x07[@click=app.quit]q[/]")
    async with looking() as it:
        await it.press("home", "down")
        assert "␛]0;gotcha␇[@click=app.quit]q[/]" in it.text() and "\x1b" not in it.text()


@pytest.mark.parametrize("size", [(40, 12), (60, 16), (200, 50)])
async def test_it_fits_into_every_window(size: tuple[int, int], here: Path) -> None:
    write_zero_llama(here / "Whole")
    async with looking(size) as it:
        assert "complete" in it.row("Whole")
        assert max(len(line) for line in it.text().splitlines()) <= size[0]
