"""Sessions in the making whose right conclusion is known, written by the real journal."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.support.recorded_sessions import recorded_header
from tui import events as ev
from tui.events import RUN, Body
from tui.reports.document import Document
from tui.reports.report import build_report
from tui.sessions import reader
from tui.sessions.journal import Journal

NAMES = ["alpha", "beta", "gamma"]


class Made:
    """A session in the making: every model answers every question once, in a second."""

    def __init__(self, folder: Path, models: int = 2, questions: int = 8) -> None:
        listed = [{"id": f"q{i}", "turns": [f"question {i}"]} for i in range(questions)]
        self.header = recorded_header(NAMES[:models], listed)
        self.folder, self.models, self.questions = folder, models, questions
        self.events: list[tuple[int, Body]] = []
        self._next = 1000

    def id(self, model: int, question: int) -> int:
        return model * self.questions + question

    def answer(
        self,
        model: int,
        question: int,
        seconds: float = 1.0,
        repeat: int = 0,
        text: str = "same",
        **figures: object,
    ) -> int:
        """Another answer; the first one of each model and question has a known id."""
        id_ = self._next if repeat else self.id(model, question)
        self._next += 1
        self.events += [
            (model, ev.Asked(id_, f"q{question}", f"question {question}", repeat=repeat)),
            (model, ev.Started(id_)),
            (model, ev.Delta(id_, 1, text)),
        ]
        done = ev.Answered(id_, "stop", e2e_ms=1000 * seconds, chars_s=4 / seconds, threads=2)
        self.events.append((model, replace(done, **figures)))  # type: ignore[arg-type]
        return id_

    def all_answered(self) -> "Made":
        for model in range(self.models):
            for question in range(self.questions):
                self.answer(model, question)
        return self

    def stars(self, model: int, stars: Sequence[int | None], dimension: str = "d") -> None:
        for question, given in enumerate(stars):
            if given is not None:
                self.events.append((RUN, ev.Rated(self.id(model, question), dimension, given)))

    def votes(self, a: int, b: int, choices: Sequence[str]) -> None:
        for question, choice in enumerate(choices):
            left, right = self.id(a, question), self.id(b, question)
            self.events.append((RUN, ev.Voted(f"q{question}", left, right, choice)))

    def conclusion(self, lang: str = "en") -> list[str]:
        return list(self.document(lang).conclusion)

    def document(self, lang: str = "en") -> Document:
        return build_report([self.read()], lang)

    def read(self) -> reader.RecordedSession:
        journal = Journal.create(self.folder, self.header)
        for i, (model, body) in enumerate(self.events):
            journal.append(i * 1000, model, body)
        journal.close("done")
        return reader.read(journal.path)


def made_apart(folder: Path, questions: int = 8) -> list[Made]:
    """A session of each of two models, on a machine of its own."""
    found = []
    for model, cpu in enumerate(("AMD EPYC", "Intel Xeon")):
        made = Made(folder / str(model), questions=questions)
        made.header.models[:] = [made.header.models[model]]
        made.header.host["cpu"] = {"model": cpu, "cores": 2}
        found.append(made)
    return found


def sentence(found: Sequence[str], start: str) -> str:
    """The only one of them that begins so."""
    (one,) = [s for s in found if s.startswith(start)]
    return one
