"""A session as one stream of text: what ``--plain`` prints.

Several answers run at the same time, but stdout is one stream. One answer is printed as it
arrives, the others are buffered. When it ends, the next is printed and goes on as it arrives;
answers to the same question come first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tui import events as ev
from tui.events import Event
from tui.text.sanitise import clean, collapse_line
from tui.text.translation import tr


@dataclass(slots=True)
class _TranscriptAnswer:
    model: int
    question: str
    prompt: str
    chunks: list[str] = field(default_factory=list)
    ending: str | None = None


class Transcript:
    """Turns events, in order, into text. Foreign text is made harmless."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._categories: dict[str, str] = {}
        self._answers: dict[int, _TranscriptAnswer] = {}
        self._waiting: list[int] = []
        self._foreground: int | None = None
        self._heading: tuple[str, str] | None = None
        self._at_line_start = True

    def feed(self, event: Event) -> str:
        """What this event adds to the text."""
        match event.body:
            case ev.Session() as header:
                return self._title(header)
            case ev.Asked(answer=id_, question=question, text=text):
                self._answers[id_] = _TranscriptAnswer(event.model, question, text)
            case ev.Started(answer=id_):
                return self._begin(id_)
            case ev.Delta(answer=id_, recast=True):
                return self._recast(id_)
            case ev.Delta(answer=id_, text=text, reasoning=False):
                return self._begin(id_) + self._append(id_, text)
            case ev.Answered(answer=id_) as figures:
                return self._begin(id_) + self._end(id_, figures_line(figures))
            case ev.Cancelled(answer=id_):
                return self._end(id_, tr("cancelled"))
            case ev.Failed(answer=-1) as failed:
                return self._remark(event.model, tr(f"failed: {failed.message}"))
            case ev.Failed(answer=id_) as failed:
                return self._begin(id_) + self._end(id_, tr(f"failed: {failed.message}"))
        return ""

    def finish(self) -> str:
        """The rest of the text at the end of the events, with the answers that never ended."""
        text = ""
        while self._foreground is not None:
            text += self._end(self._foreground, tr("unfinished"))
        return text

    def _title(self, header: ev.Session) -> str:
        self._labels = header.labels
        for question in header.listed_questions:
            self._categories[str(question.get("id"))] = str(question.get("category", ""))
        return f"# {collapse_line(header.title)} · {collapse_line(', '.join(self._labels))}\n"

    def _begin(self, id_: int) -> str:
        answer = self._answers.get(id_)
        if answer is None or answer.ending is not None or id_ in (self._foreground, *self._waiting):
            return ""
        if self._foreground is not None:
            self._waiting.append(id_)
            return ""
        return self._to_front(id_)

    def _recast(self, id_: int) -> str:
        """What was written of an answer turned out to be reasoning."""
        if id_ == self._foreground:
            return self._written(f"\n({tr('so far it was thinking')})\n\n")
        if id_ in self._answers:
            self._answers[id_].chunks.clear()
        return ""

    def _append(self, id_: int, text: str) -> str:
        answer = self._answers.get(id_)
        if answer is None or answer.ending is not None:
            return ""
        if id_ != self._foreground:
            answer.chunks.append(text)
            return ""
        return self._written(text)

    def _end(self, id_: int, ending: str) -> str:
        answer = self._answers.get(id_)
        if answer is None or answer.ending is not None:
            return ""
        answer.ending = ending
        if id_ != self._foreground:
            return ""
        text = self._footer(answer)
        self._foreground = None
        while self._waiting and self._foreground is None:
            same = [i for i in self._waiting if self._answers[i].question == answer.question]
            following = (same or self._waiting)[0]
            self._waiting.remove(following)
            text += self._to_front(following)
            if self._answers[following].ending is not None:
                text += self._footer(self._answers[following])
                self._foreground = None
        return text

    def _to_front(self, id_: int) -> str:
        answer = self._answers[id_]
        self._foreground = id_
        text = ""
        if self._heading != (answer.question, answer.prompt):
            self._heading = (answer.question, answer.prompt)
            category = self._categories.get(answer.question, "")
            text += f"\n## {collapse_line(answer.question)}"
            text += f" · {collapse_line(category)}\n" if category else "\n"
            quoted = clean(answer.prompt).replace("\n", "\n> ")
            text += f"> {quoted}\n"
        text += f"\n[{self._label(answer.model)}]\n"
        self._at_line_start = True
        said, answer.chunks = "".join(answer.chunks), []
        return text + self._written(said)

    def _footer(self, answer: _TranscriptAnswer) -> str:
        line_end = "" if self._at_line_start else "\n"
        return f"{line_end}[{self._label(answer.model)}: {collapse_line(answer.ending or '')}]\n"

    def _remark(self, model: int, text: str) -> str:
        """A remark on a model; none while an answer is printed, as it would interrupt it."""
        if self._foreground is not None:
            return ""
        return f"\n[{self._label(model)}: {collapse_line(text)}]\n"

    def _written(self, text: str) -> str:
        safe = clean(text)
        if safe:
            self._at_line_start = safe.endswith("\n")
        return safe

    def _label(self, model: int) -> str:
        known = 0 <= model < len(self._labels)
        return collapse_line(self._labels[model]) if known else str(model)


def render_transcript(events: Iterable[Event]) -> str:
    """The whole text of a session."""
    made = Transcript()
    return "".join([*(made.feed(event) for event in events), made.finish()])


def figures_line(figures: ev.Answered) -> str:
    """What an answer cost, on one line."""
    parts = [tr(f"{figures.output_tokens} tokens")]
    if figures.ttft_ms is not None:
        parts.append(tr(f"TTFT {figures.ttft_ms:.0f} ms"))
    if figures.decode_tok_s is not None:
        parts.append(f"{figures.decode_tok_s:.1f} tok/s")
    if figures.thought_tokens:
        parts.append(tr(f"thought {figures.thought_tokens} tokens"))
        if figures.answer_ttft_ms is not None:
            parts.append(tr(f"answer after {figures.answer_ttft_ms:.0f} ms"))
        else:
            parts.append(tr("nothing but thought"))
    parts.append(tr(figures.finish))
    return " · ".join(parts)
