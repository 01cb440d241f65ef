"""The parts of a report before it is Markdown or HTML; all text in them is sanitised."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's text, a smaller remark below it, and whether it is the best of its kind."""

    text: str
    detail: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """``left`` counts the leading columns that are text; the others are figures."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of figures: ``svg`` is one whole, inert ``<svg>`` element."""

    title: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class AnswerCard:
    """One answer. ``remarks`` tell what is wrong with it, ``lines`` its figures, stars,
    checks and notes."""

    label: str
    text: str
    reasoning: str = ""
    lines: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionTurn:
    """What was asked, and the answers side by side, one per model."""

    prompt: str
    cards: tuple[AnswerCard, ...]


@dataclass(frozen=True, slots=True)
class QuestionSection:
    """One question with all its turns; ``picture`` is a screenshot as an ``<svg>`` element, or
    ``image`` where it lies as PNG: a ``data:`` URL or a path beside the report. ``verdicts`` are
    a person's votes and a judge's verdicts on it, in words."""

    title: str
    turns: tuple[QuestionTurn, ...]
    picture: str = ""
    image: str = ""
    verdicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report in one language."""

    lang: str
    title: str
    subtitle: str
    headings: dict[str, str]
    run: tuple[Table, ...]
    comparison: tuple[Table, ...]
    charts: tuple[Chart, ...]
    sections: tuple[QuestionSection, ...]
    troubles: tuple[str, ...]
    conclusion: tuple[str, ...]
    footnotes: tuple[str, ...]


def format_figure(value: float | None) -> str:
    """A figure to three digits, never in exponents; a dash where there is none."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 or value == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"
