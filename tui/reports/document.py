"""A report before it is written in a format; all text in it is sanitised.

A `Document` holds the parts that the data give, and its `blocks`: what a template made of them, in
order. Every writer (Markdown, HTML, Word, LaTeX) writes the blocks and nothing else.
"""

from dataclasses import dataclass

TITLE_LEVEL = 1
"""The level of the title; sections have the next one."""
DEEPEST_LEVEL = 4


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
class Figure:
    """A picture: ``svg`` is one whole, inert ``<svg>`` element, or empty where it lies as PNG at
    ``image``: a ``data:`` URL or a path beside the report. ``name`` is unique in the report and
    fit for a file's name. ``role`` is ``chart`` or ``panes`` (of the terminal)."""

    name: str
    title: str
    caption: str = ""
    svg: str = ""
    image: str = ""
    role: str = "chart"


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a section, of level 2 to `DEEPEST_LEVEL`; ``id`` is unique in the report."""

    level: int
    text: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph; ``is_small``: a remark."""

    text: str
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list. ``is_small``: remarks."""

    lines: tuple[str, ...]
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A marked place for a person's own words: ``hint`` says what belongs there, ``text`` is the
    Markdown that a person wrote, empty before, and ``latex`` what stands there in a LaTeX report
    in its place. ``id`` is unique in the report: ASCII letters, digits, ``.`` and ``-``."""

    id: str
    hint: str
    text: str = ""
    latex: str = ""


@dataclass(frozen=True, slots=True)
class TitlePage:
    """What stands on the first page: ``facts`` are names and values (author, course, date ...), an
    empty value is a line to fill in by hand."""

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """The table of contents, under its title."""

    title: str


@dataclass(frozen=True, slots=True)
class PageBreak:
    """What follows begins on a new page, where the format has pages."""


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
    """One question with all its turns; ``picture`` is a screenshot. ``verdicts`` are a person's
    votes and a judge's verdicts on it, in words. ``number`` counts from 1; ``place`` is the id of
    the place for a person's analysis, ``difference`` says how the models part on it."""

    number: int
    title: str
    turns: tuple[QuestionTurn, ...]
    picture: Figure | None = None
    verdicts: tuple[str, ...] = ()
    place: str = ""
    difference: str = ""


@dataclass(frozen=True, slots=True)
class ModelSketch:
    """What the figures say for a model, against it, and neither; ``place`` is the id of the place
    for what a person says of it."""

    label: str
    place: str
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]
    traits: tuple[str, ...]


Block = (
    TitlePage
    | Contents
    | Heading
    | Paragraph
    | Items
    | Table
    | Figure
    | QuestionTurn
    | Place
    | PageBreak
)


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report in one language: its parts, and ``blocks``, what is written. ``counts`` says
    how many models, questions, answers, stars and votes it is made of."""

    lang: str
    title: str
    subtitle: str
    words: dict[str, str]
    title_page: TitlePage
    abstract: tuple[str, ...]
    run: tuple[Table, ...]
    overview: tuple[Table, ...]
    comparison: tuple[Table, ...]
    charts: tuple[Figure, ...]
    sections: tuple[QuestionSection, ...]
    troubles: tuple[str, ...]
    models: tuple[ModelSketch, ...]
    conclusion: tuple[str, ...]
    uses: tuple[str, ...]
    footnotes: tuple[str, ...]
    links: tuple[str, ...]
    counts: dict[str, int]
    blocks: tuple[Block, ...] = ()

    @property
    def has_cover(self) -> bool:
        """Whether the title page is a page of its own: only before a table of contents."""
        return {TitlePage, Contents} <= {type(block) for block in self.blocks}


def format_figure(value: float | None) -> str:
    """A figure to three digits, never in exponents; a dash where there is none."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 or value == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"


def format_count(value: float | None) -> str:
    """A number of things, or a median of such, to a half; a dash where there is none."""
    return "–" if value is None else f"{value:.1f}".removesuffix(".0")
