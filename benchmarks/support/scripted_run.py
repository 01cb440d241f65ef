"""A scripted source of events: what a `Run` gives the screen, decided by the test."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from tui import events as ev
from tui.events import RUN, Body, Event
from tui.host.errors import UserError
from tui.sessions.journal import SaveState

QUESTIONS: dict[str, Any] = {
    "name": "small",
    "title": "Small",
    "questions": [
        {"id": "logic", "category": "逻辑推理", "turns": ["甲乙丙三人中只有一人说真话，谁？"]},
        {"id": "code", "category": "code", "turns": ["Write a sum in Python.", "Now with numpy."]},
        {"id": "poem", "category": "creative", "turns": ["A poem about rain."]},
    ],
}


def script_header(*labels: str, questions: dict[str, Any] | None = None) -> ev.Session:
    """A header with models of these labels."""
    models = [
        {"name": label, "label": label, "engine": "pasted" if "(pasted)" in label else "local"}
        for label in labels
    ]
    return ev.Session(1, "0.1.0", "2026-11-22T05:00:00Z", models, questions or QUESTIONS)


class EventScript:
    """Collects events with growing times; `drain` hands them over."""

    def __init__(self, *labels: str, questions: dict[str, Any] | None = None) -> None:
        self.t_us = self.seq = 0
        self.all: list[Event] = []
        self._new: list[Event] = []
        self.say(RUN, script_header(*(labels or ("demo@bf16", "demo@fp32")), questions=questions))

    def say(self, model: int, *bodies: Body, us: int = 10_000) -> None:
        """One model's bodies, ``us`` apart."""
        for body in bodies:
            event = Event(self.seq, self.t_us, model, body)
            self.seq, self.t_us = self.seq + 1, self.t_us + us
            self.all.append(event)
            self._new.append(event)

    def ready(self, model: int) -> None:
        """The model is loaded."""
        self.say(model, ev.Loaded(load_s=1.0, private=180_000_000, mapped=270_000_000))

    def asked(self, model: int, answer: int, question: str, text: str = "?", turn: int = 0) -> None:
        """A question was put and is being worked on."""
        self.say(model, ev.Asked(answer, question, text, turn), ev.Started(answer, 20), us=50_000)

    def tokens(self, model: int, answer: int, pieces: Iterable[str], us: int = 20_000) -> None:
        """Tokens came."""
        self.say(model, *(ev.Delta(answer, 1, piece) for piece in pieces), us=us)

    def answered(self, model: int, answer: int, tokens: int = 3, finish: str = "stop") -> None:
        """The answer is complete."""
        figures = ev.Answered(
            answer, finish, 20, tokens, ttft_ms=412.0, tpot_ms=37.0, decode_tok_s=27.0, e2e_ms=900.0
        )
        self.say(model, figures)

    def drain(self) -> tuple[bool, list[Event]]:
        """What was said since the last call."""
        new, self._new = self._new, []
        return False, new


class ScriptedRun(EventScript):
    """The methods of a `Run`; asking is written down, and answered by the test."""

    def __init__(self, *labels: str, path: Path = Path("20261122-050000-abc.duibi")) -> None:
        super().__init__(*labels)
        self.path = path
        self.calls: list[tuple[Any, ...]] = []
        self.to_paste: set[int] = set()
        self.save_state = SaveState(saved=True, error="", pending=0)
        self.refuse: UserError | None = None
        self.status = ""
        self.is_idle = True
        self.broken_off: list[int] = []
        self.next_answer = 0
        self._free = 0

    def ask(
        self,
        question_id: str | None,
        text: str | None = None,
        models: Sequence[int] | None = None,
        again: bool = False,
    ) -> list[int]:
        """Write it down, and say that it was asked."""
        self.calls.append(("ask", question_id, text, models, again))
        if self.refuse:
            raise self.refuse
        ids = []
        if question_id is None:
            self._free += 1
        for model in models if models is not None else (0, 1):
            self.say(
                model, ev.Asked(self.next_answer, question_id or f"free-{self._free}", text or "?")
            )
            ids.append(self.next_answer)
            self.next_answer += 1
        return ids

    def judge(self, body: Body) -> None:
        """Say what a person said."""
        self.say(RUN, body)

    def save_to(self, folder: Path) -> Path:
        """Write it down."""
        self.calls.append(("save_to", folder))
        return folder / self.path.name

    def ask_all(
        self, *, on_view: str | None = None, models: Collection[int] | None = None
    ) -> list[int]:
        """Write it down."""
        self.calls.append(("ask_all",))
        return []

    def ask_broken_off(self) -> list[int]:
        """What the test says broke off, once."""
        found, self.broken_off = self.broken_off, []
        return found

    def view(self, question_id: str) -> None:
        """Nothing waits here."""

    def pending_pastes(self) -> frozenset[int]:
        """What the test says is to be pasted."""
        return frozenset(self.to_paste)

    def paste(self, answer: int, text: str) -> bool:
        """Write it down."""
        self.calls.append(("supply", answer, text))
        self.to_paste.discard(answer)
        return True

    def cancel(self, model: int, answers: Collection[int] | None = None) -> None:
        """Write it down."""
        self.calls.append(("cancel", model, answers))

    def reload(self, model: int) -> None:
        """Write it down."""
        self.calls.append(("reload", model))

    def close(self, status: str) -> None:
        """Write it down."""
        self.status = status
