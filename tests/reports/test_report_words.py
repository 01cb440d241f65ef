"""A report speaks words: no name, truth value or setting of the program stands raw in it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.options import HEADER_NAMES, RunOptions
from tui.reports import markdown
from tui.reports.messages import report_messages
from tui.reports.report import build_report
from tui.reports.run_tables import describe_settings
from tui.sessions import reader
from tui.text.translation import LANGUAGES

RAW = re.compile(r"\b(True|False|None|auto|(?<!chat )template|completion|local|endpoint|gguf)\b")
CHOICES = {
    "sampling": ("model", "greedy", "sample"),
    "think": ("on", "off", "low", "medium", "high"),
    "schedule": ("auto", "together", "one-at-a-time"),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> reader.RecordedSession:
    """A GGUF file computed as published, beside a service."""
    settings = RunOptions(blind=True, lookup=True, logprobs=3, think="on").header()
    questions = [{"id": f"q{n}", "category": "逻辑", "turns": ["?"]} for n in range(6)]
    head = recorded_header(["A@bf16", "B@bf16"], questions, settings)
    of_file = {**head.models[0], "name": "/m/a.gguf", "family": "qwen2", "dtype": PUBLISHED}
    of_service = {"name": "http://h/v1#b", "label": "B", "engine": "endpoint", "dtype": ""}
    head = replace(head, models=[of_file, of_service])
    extra: list[tuple[int, Any]] = [
        (0, ev.Unloaded()),
        (0, ev.Load("weights", 1, 2)),
        (
            0,
            ev.Loaded(
                2.0,
                family=PUBLISHED,
                dtype=PUBLISHED,
                stored="Q4_K_M",
                parameters=494_032_768,
                weights_bytes=491_000_000,
                prompt_format="template",
                sampling={"greedy": False, "temperature": 0.7, "min_p": 0.05, "top_k": 20},
            ),
        ),
    ]
    path = record_session(
        tmp_path_factory.mktemp("words"), head, lambda m, q: f"回答{m}{q}" * 9, extra
    )
    return reader.read(path)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_stands_raw_in_a_report(session: reader.RecordedSession, lang: str) -> None:
    text = markdown.render(build_report([session], lang))
    told = text.replace("/m/a.gguf", "")
    assert not RAW.findall(told)
    assert "qwen2" in told and "Q4_K_M" in told
    assert report_messages(lang)("v_prompt_template") in told


@pytest.mark.parametrize(
    ("devices", "told"), [(("cpu", "cpu"), False), (("cuda0+cpu", "cpu"), True), (("", ""), False)]
)
def test_what_a_gpu_computed_is_told_where_there_is_one(
    tmp_path: Path, devices: tuple[str, str], told: bool
) -> None:
    head = recorded_header(["A@bf16", "B@bf16"], [{"id": "q", "category": "", "turns": ["?"]}])
    loads = [(n, ev.Loaded(1.0, device=device)) for n, device in enumerate(devices)]
    path = record_session(tmp_path, head, lambda m, q: "回答", loads)
    shown = markdown.render(build_report([reader.read(path)], "en"))
    assert ("Computed on" in shown, "cuda0+cpu" in shown) == (told, told)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_setting_of_a_run_has_words(lang: str) -> None:
    say = report_messages(lang)
    assert [name for name in HEADER_NAMES if not say.knows(f"v_{name}")] == []
    for name, words in CHOICES.items():
        for word in words:
            assert say.knows(f"v_{name}_{word}"), (name, word)
    told = describe_settings({"budget": {"CNY": 2.5}, "extra": {"on": True}, "lookup": False}, say)
    assert "True" not in told and say("yes") in told and say("no") in told
