"""Charts draw what was measured, and nothing where nothing was."""

import itertools
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui.reports.chart_labels import Box, spread_labels
from tui.reports.chart_style import draw_chart
from tui.reports.charts import downsample, draw_charts, memory_points, speed_points
from tui.reports.cost_tables import glances_of
from tui.reports.merge import merge_sessions
from tui.reports.messages import report_messages
from tui.sessions import reader

QUESTIONS = [{"id": f"q{i}", "category": "c", "turns": [f"{i}?"]} for i in range(3)]


def test_memory_is_held_until_it_changes_and_gone_without_a_process() -> None:
    told = [
        (0, 5 * 10**9, 10**9),
        (500_000, 6 * 10**9, 0),
        (9_000_000, 0, 0),
        (12_000_000, 10**9, 0),
    ]
    assert memory_points(told, 0) == [
        (0.0, 5.0),
        (0.5, 6.0),
        (9.0, 6.0),  # as it was told last
        (9.0, None),
        (12.0, None),
        (12.0, 1.0),
    ]


def test_memory_that_is_still_held_at_the_end_is_drawn_until_there() -> None:
    """It is told when it changes: a model that waits changes nothing."""
    told = [(0, 5 * 10**9, 0), (500_000, 6 * 10**9, 0)]
    assert memory_points(told, 0, 9_000_000)[-1] == (9.0, 6.0)
    assert memory_points([*told, (900_000, 0, 0)], 0, 9_000_000)[-1] == (9.0, None)
    assert memory_points(told, 0, 600_000)[-1] == (0.5, 6.0) and memory_points([], 0, 9) == []


def test_few_points_keep_every_peak_and_every_gap() -> None:
    points = [(float(x), None if x == 500 else 99.0 if x == 321 else 1.0) for x in range(1000)]
    found = downsample(points, 50)
    assert len(found) < 60 and (500.0, None) in found and (321.0, 99.0) in found


def test_tokens_that_come_at_once_have_their_speed_over_all_they_are() -> None:
    # 16 a second, then 64 at once after four seconds.
    arrivals = [(i * 62_500, 1) for i in range(33)] + [(6_000_000, 64)]
    found = speed_points([arrivals])
    assert [round(y or 0) for _, y in found] == [16] * len(found) and len(found) == 6


def test_an_empty_distribution_is_not_drawn_as_zero(tmp_path: Path) -> None:
    """The second model has no answer that counts: no box stands for it, and none at zero."""
    header = recorded_header(["one@bf16"], QUESTIONS)
    header.models.append(header.models[0] | {"name": "two@int8", "label": "two@int8"})
    path = record_session(tmp_path, header, lambda m, q: "words" * (2 + q))
    merged = merge_sessions([reader.read(path)])
    for answer in merged.columns[1].answers:
        answer.state = "failed"
    drawn = draw_charts(merged, glances_of(merged), report_messages("en"))
    boxes = [chart for chart in drawn if chart.title.startswith("Spread of")]
    assert len(boxes) == 1
    for chart in boxes:
        assert set(re.findall(r">([^<>]*@[^<>]*)<", chart.svg)) == {"one@bf16"}
        assert chart.caption.endswith("Nothing to draw of two@int8.")


def test_lines_and_boxes_are_told_apart_without_colours(tmp_path: Path) -> None:
    header = recorded_header(["one@bf16", "two@int8", "three@int4"], QUESTIONS)
    path = record_session(tmp_path, header, lambda m, q: "words" * (9 + q + m))
    merged = merge_sessions([reader.read(path)])
    charts = draw_charts(merged, glances_of(merged), report_messages("en"))
    lines = [chart for chart in charts if "series" in chart.svg and "Spread" not in chart.title]
    assert len(lines) == 2
    for chart in lines:
        root = ElementTree.fromstring(chart.svg)
        legend = [node for node in root.iter() if "legend" in node.get("class", "").split()]
        lines_of = [[part for part in one if part.tag.endswith("line")] for one in legend]
        shown = [[line.get("stroke-dasharray") for line in one] for one in lines_of]
        assert shown == [[None], ["8,4"], ["2,4"]]
        drawn = chart.svg.replace(" ", "")
        assert all(f"stroke-dasharray:{dash}" in drawn for dash in ("8,4", "2,4"))
        # On a dark page the letters of a picture without a ground could not be read.
        assert "background-color:#ffffff" in drawn
    (boxes,) = [chart for chart in charts if chart.title.startswith("Spread of")]
    assert [boxes.svg.count(f">{name}<") for name in header.labels] == [2, 2, 2]


@pytest.mark.parametrize("at", [(50.0, 4.0), (99.0, 4.97), (1.0, 0.02)])
def test_names_of_close_points_lie_over_no_other(at: tuple[float, float]) -> None:
    points = {f"Qwen2.5-Coder 通义 {n}": (at[0] + n / 9, at[1] + n / 200) for n in range(6)}

    def draw(pygal: Any, options: dict[str, Any]) -> Any:
        options |= {"xrange": (0, 100), "range": (0, 5), "dots_size": 7, "print_labels": True}
        chart = pygal.XY(stroke=False, **options)
        for label, point in points.items():
            chart.add(label, [{"value": point, "label": label}])
        return chart

    root = ElementTree.fromstring(spread_labels(draw_chart("x", draw)))
    names = [node for node in root.iter() if node.get("class") == "label"]
    boxes = []
    for name in names:
        width = cell_len(name.text or "") * 6.6
        x, y = float(name.get("x", 0)), float(name.get("y", 0)) - 11
        boxes.append(Box(x - (width if name.get("text-anchor") == "end" else 0), y, width, 12.0))
    dots = [node for node in root.iter() if "dot" in node.get("class", "").split()]
    boxes += [Box(float(d.get("cx", 0)) - 5, float(d.get("cy", 0)) - 5, 10, 10) for d in dots]
    assert {name.text for name in names} == set(points)
    for one, other in itertools.combinations(boxes[: len(names)], 2):
        assert not one.meets(other)
    assert not any(name.meets(dot) for name in boxes[:6] for dot in boxes[6:])
    assert all(box.x >= 0 and box.x + box.width < 860 for box in boxes)


@pytest.mark.parametrize("count", [2, 64])
def test_the_legend_of_many_models_leaves_the_chart_its_height(count: int) -> None:
    def draw(pygal: Any, options: dict[str, Any]) -> Any:
        chart = pygal.XY(stroke=False, x_title="seconds", y_title="stars", **options)
        for number in range(count):
            chart.add(f"model {number}", [(number, number)])
        return chart

    drawn = draw_chart("many", draw)
    boxes = ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}rect")
    heights = [float(box.get("height", 0)) for box in boxes if box.get("class") == "background"]
    assert "stars" in drawn and min(heights) > 150, heights
