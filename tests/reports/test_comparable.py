"""Which figures of a table are compared: those taken in the same way, where they print apart."""

from pathlib import Path

import pytest

from tests.support.made_session import Made
from tui import events as ev
from tui.events import RUN
from tui.reports.document import Cell, Document, Table

GLANCE = "Cost and speed at a glance"


def table_of(document: Document, title: str) -> Table:
    (table,) = [t for t in document.comparison if t.title.startswith(title)]
    return table


def cells(document: Document, name: str, title: str = GLANCE) -> list[Cell]:
    """The cells under a head that begins so."""
    table = table_of(document, title)
    (at,) = [i for i, head in enumerate(table.head) if head.startswith(name)]
    return [row[at] for row in table.rows]


def sketched(document: Document, name: str) -> bool:
    """Whether a figure is named for or against a model."""
    return any(name in text for m in document.models for text in (*m.strengths, *m.weaknesses))


def loaded(folder: Path, *loads: tuple[int, float, float | None]) -> Made:
    """Loads as model, seconds, part of the files in memory."""
    made = Made(folder)
    made.events += [(m, ev.Loaded(s, file_cache=cache, threads=2)) for m, s, cache in loads]
    return made.all_answered()


@pytest.mark.parametrize(("cache", "marked"), [(0.0, False), (None, False), (1.0, True)])
def test_a_load_from_the_disk_is_not_compared_with_one_from_memory(
    tmp_path: Path, cache: float | None, marked: bool
) -> None:
    document = loaded(tmp_path, (0, 20.0, cache), (1, 2.0, 1.0)).document()
    slow, fast = cells(document, "Load, s")
    assert (slow.text, fast.text, fast.best) == ("20.0", "2.00", marked)
    assert sketched(document, "Load") is marked


def test_loads_of_both_kinds_are_called_so(tmp_path: Path) -> None:
    document = loaded(tmp_path, (0, 20.0, 0.0), (0, 2.0, 1.0), (1, 3.0, 0.4)).document()
    both, partly = cells(document, "Load, s")
    assert (both.text, both.detail) == ("11.0", "from the disk / from memory")
    assert (partly.detail, partly.best) == ("40% from memory", False)


def test_a_conversion_is_not_compared_with_a_mere_load(tmp_path: Path) -> None:
    made = loaded(tmp_path, (0, 98.0, 1.0), (1, 3.0, 1.0))
    made.events.insert(0, (0, ev.Load("convert", 1, 2)))
    made.events += [(m, ev.Loaded(98.0 - 95 * m, peak_private=10**9 * (2 - m))) for m in (0, 1)]
    document = made.document()
    for name in ("Load, s", "Peak RAM, GB"):
        assert not any(cell.best for cell in cells(document, name)), name
    assert not sketched(document, "Load") and not sketched(document, "Peak RAM")


def test_the_memory_of_one_worker_is_not_compared_with_itself(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.header.models[1] |= {"weights_of": 0, "settings": {"think": "off"}}
    for model in (0, 1):
        for q in range(8):
            made.answer(model, q, peak_private=10**9 + model * 10**8)
    document = made.document()
    assert not any(cell.best for cell in cells(document, "Peak RAM, GB"))
    assert not any("memory" in text for text in (*document.conclusion, *document.uses))
    assert not sketched(document, "Peak RAM")


def test_the_best_is_marked_by_what_is_printed(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3)
    for q in range(8):
        for model, seconds in enumerate((1.0, 1.001, 2.0)):
            made.answer(model, q, seconds)
    document = made.document()
    assert [cell.best for cell in cells(document, "E2E")] == [True, True, False]
    assert "E2E 1.00" not in str(document.models), "two are as good as each other"
    assert any(
        "E2E 2.00 s: the last of 3" in text for m in document.models for text in m.weaknesses
    )


def test_figures_of_answers_beside_those_of_a_measure_are_not_called_uneven(tmp_path: Path) -> None:
    made = Made(tmp_path)
    measured = ev.Measured(256, 64, rounds=3, ttft_ms=400.0, tpot_ms=12.0, threads=2)
    made.events.append((0, measured))
    for q in range(8):
        made.answer(0, q, tpot_ms=20.0, ttft_ms=80.0)
        made.answer(1, q, tpot_ms=11.0, ttft_ms=70.0)
    table = table_of(made.document(), GLANCE)
    notes = "\n".join(table.notes)
    assert "beta was not measured by itself" in notes and "timed answers each" not in notes
    assert not any(cell.best for row in table.rows for cell in row)


STARS = "Stars per model"


@pytest.mark.parametrize("apart", ["people", "dimensions"])
def test_stars_of_other_people_or_dimensions_are_not_compared(tmp_path: Path, apart: str) -> None:
    made = Made(tmp_path).all_answered()
    for model, (rater, dimension) in enumerate((("li", "d"), ("wang", "d"))):
        if apart == "dimensions":
            rater, dimension = "li", ("回答逻辑", "幽默感")[model]
        for q in range(8):
            made.events.append((RUN, ev.Rated(made.id(model, q), dimension, 5 - model, rater)))
    document = made.document()
    assert not any(cell.best for cell in cells(document, "Mean", STARS))
    assert table_of(document, STARS).notes[0].startswith("Not all models were rated on the same")
    assert not sketched(document, "Stars") and not any("tars" in s for s in document.conclusion)
    assert not [t for t in document.comparison if t.title.startswith("Where they differ")]


def test_equal_means_of_a_model_have_no_first(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for dimension, stars in (("回答逻辑", 3), ("幽默感", 3)):
        made.stars(0, [stars] * 8, dimension)
        made.stars(1, [stars + (dimension == "幽默感")] * 8, dimension)
    alpha, beta = made.document().models
    assert not any("of its own" in text for text in alpha.traits)
    assert "most stars of its own in Humour: 4.00" in beta.traits


@pytest.mark.parametrize(("threads", "is_said"), [(1, True), (2, False)])
def test_charts_of_what_was_not_measured_alike_say_so(
    tmp_path: Path, threads: int, is_said: bool
) -> None:
    made = Made(tmp_path)
    for model in (0, 1):
        for q in range(8):
            made.answer(model, q, 1.0 + model, tpot_ms=10.0, threads=2 if model else threads)
        made.stars(model, [3 + model] * 8)
    captions = {chart.name: chart.caption for chart in made.document().charts}
    for name in ("chart_speed", "chart_seconds", "chart_e2e"):
        assert ("Not all of these were measured" in captions[name]) is is_said, name
    assert "Not all" not in captions["chart_stars"]


@pytest.mark.parametrize(("cut", "is_marked"), [(((0, 3),), False), (((0, 3), (1, 3)), True)])
def test_seconds_of_answers_cut_at_other_questions_are_not_compared(
    tmp_path: Path, cut: tuple[tuple[int, int], ...], is_marked: bool
) -> None:
    made = Made(tmp_path)
    for model in (0, 1):
        for q in range(8):
            reason = "length" if (model, q) in cut else "stop"
            made.answer(model, q, 1.0 + model, finish=reason)
    document = made.document()
    assert [cell.best for cell in cells(document, "E2E")] == [is_marked, False]
    assert [cell.best for cell in cells(document, "Text speed")] == [True, False]
    notes = "\n".join(table_of(document, GLANCE).notes)
    assert ("not cut short at the same questions" in notes) is not is_marked


@pytest.mark.parametrize("setting", [{"sampling": "sample"}, {"think": "on"}])
def test_times_of_answers_asked_for_with_other_settings_are_not_compared(
    tmp_path: Path, setting: dict[str, object]
) -> None:
    made = Made(tmp_path)
    made.header.models[1]["settings"] = setting
    for model in (0, 1):
        for q in range(8):
            made.answer(model, q, 1.0 + model, tpot_ms=10.0 + model)
    document = made.document()
    for name in ("E2E", "Text speed"):
        assert not any(cell.best for cell in cells(document, name)), name
    assert [cell.best for cell in cells(document, "TPOT")] == [True, False]
    assert any("same settings" in note for note in table_of(document, GLANCE).notes)
