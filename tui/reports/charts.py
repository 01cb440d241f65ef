"""The charts of a report as inert inline SVG.

pygal draws them; its script, links, tooltips and comments are taken out, its ids made
stable, so that the picture of the same session is the same text each time.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from tui.reports.chart_labels import show_dashes
from tui.reports.chart_style import COLOURS, draw_chart, say_left_out, short_label
from tui.reports.comparable import Glances, say_uneven
from tui.reports.document import Figure
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring.costs import GB

Points = list[tuple[float, float | None]]
"""Where a line goes; None: nothing is known there, and none is drawn."""

_DASHES = ("", "8,4", "2,4", "10,4,2,4", "1,5", "14,5")
"""Dash patterns, so that lines differ in black and white too."""
_MIN_MS, _MAX_MS = 1e-6, 1e12
"""Other times (a clock tick, 30 years) are no measurement, and cannot be drawn."""
_MIN_BUCKET = 16
_MAX_BUCKETS = 48
_MAX_POINTS = 200
_HELD_S = 1.0
"""Memory is told when it changes: after so long without a word it was what it had been."""


def draw_charts(
    merged: MergedSessions, glances: Glances, say: ReportMessages
) -> tuple[Figure, ...]:
    """All charts that there are data for."""
    columns = merged.columns
    found = [
        _lines("chart_decode", "chart_decode_x", "tok/s", _speeds(columns), columns, say),
        _lines("chart_private", "chart_time_x", "GB", _memory(columns, 0), columns, say),
        _boxes(
            *("chart_e2e", "s", _seconds(columns, glances), columns),
            say_uneven("e2e", columns, glances, say),
            say,
        ),
    ]
    return tuple(chart for chart in found if chart is not None)


def speed_points(arrivals: Sequence[Sequence[tuple[int, int]]]) -> Points:
    """Decode speed over the answer: per stretch of tokens the median tok/s over answers, a gap
    (None) where no answer has a speed.

    ``arrivals`` holds per answer the times (microseconds) and numbers of the tokens that
    came. Times count from the first token: what came before it is prefill.
    """
    longest = max((sum(n for _, n in answer) for answer in arrivals), default=0)
    width = max(_MIN_BUCKET, -(-longest // _MAX_BUCKETS))
    speeds: dict[int, list[float]] = {}
    for answer in arrivals:
        marks: list[tuple[int, int]] = []
        total = 0
        for t_us, n in answer:
            total += n
            if not marks or total - marks[-1][1] >= width:
                marks.append((t_us, total))
        for (t0, n0), (t1, n1) in pairwise(marks):
            if t1 > t0:
                first = n0 // width
                for stretch in range(first, max(first + 1, n1 // width)):
                    speeds.setdefault(stretch, []).append((n1 - n0) * 1e6 / (t1 - t0))
    return [
        ((i + 0.5) * width, median(speeds[i]) if i in speeds else None)
        for i in range(min(speeds, default=0), max(speeds, default=-1) + 1)
    ]


def downsample(points: Points, limit: int = _MAX_POINTS) -> Points:
    """About ``limit`` points: of each stretch the highest, so that no peak is lost; every gap."""
    step = -(-len(points) // limit) or 1
    found: Points = []
    for is_gap, run in groupby(points, key=lambda point: point[1] is None):
        kept = list(run)
        if is_gap:
            found.append(kept[0])
            continue
        parts = (kept[i : i + step] for i in range(0, len(kept), step))
        found += [max(part, key=lambda point: point[1] or 0.0) for part in parts]
    return found


def memory_points(
    told: Sequence[tuple[int, int, int]], which: int, end_us: int | None = None
) -> Points:
    """Gigabytes over seconds of one part (0 private, 1 mapped) of what was ``told``: microseconds,
    private and mapped bytes. A gap while there is no process; a process that is still there goes on
    until ``end_us``."""
    points: Points = []
    for t_us, *sizes in told:
        seconds = t_us / 1e6
        if points and seconds - points[-1][0] > _HELD_S:
            points.append((seconds, points[-1][1]))
        points.append((seconds, sizes[which] / GB if any(sizes) else None))
    if points and end_us is not None and end_us / 1e6 - points[-1][0] > _HELD_S:
        points.append((end_us / 1e6, points[-1][1]))
    return points


def _speeds(columns: Sequence[ModelColumn]) -> list[tuple[str, Points]]:
    found = []
    for column in columns:
        arrivals = []
        for part in column.parts:
            answers = part.source.board.answers
            for id_, arrived in part.track.arrivals.items():
                answer = answers.get(id_)
                if answer is None or answer.state != "answered":
                    continue
                if answer.figures and not answer.figures.contended:
                    arrivals.append(arrived)
        found.append((column.label, speed_points(arrivals)))
    return found


def _memory(columns: Sequence[ModelColumn], which: int) -> list[tuple[str, Points]]:
    found = []
    for column in columns:
        for number, part in enumerate(column.parts):
            is_gone = part.model.state in ("unloaded", "failed")
            end_us = None if is_gone else part.source.board.now_us
            points = memory_points(part.track.memory, which, end_us)
            label = column.label if number == 0 else f"{column.label} · {number + 1}"
            found.append((label, downsample(points) if any(y for _, y in points) else []))
    return found


def _seconds(columns: Sequence[ModelColumn], glances: Glances) -> list[tuple[str, list[float]]]:
    """Seconds an answer, undisturbed, of the questions that all models answered."""
    return [
        (column.label, [s for s in glances[column.key].seconds(column.answers) if _can_draw(s)])
        for column in columns
    ]


def _can_draw(seconds: float) -> bool:
    return _MIN_MS < seconds * 1000 < _MAX_MS


def _lines(
    title: str,
    x_title: str,
    unit: str,
    series: list[tuple[str, Points]],
    columns: Sequence[ModelColumn],
    say: ReportMessages,
) -> Figure | None:
    if not any(len(points) > 1 for _, points in series):
        return None

    dashes = [_DASHES[i % len(_DASHES)] for i in range(len(series))]

    def draw(pygal: Any, options: dict[str, Any]) -> Any:
        top = max(y or 0.0 for _, points in series for _, y in points)
        # Room above the highest line, which would otherwise lie on the edge.
        options |= {"range": (0, top * 1.05 or 1), "allow_interruptions": True}
        chart = pygal.XY(show_dots=False, x_title=say(x_title), y_title=unit, **options)
        for (label, points), dash in zip(series, dashes, strict=True):
            style = {"width": 2, **({"dasharray": dash} if dash else {})}
            chart.add(short_label(label), points, stroke_style=style)
        return chart

    drawn = [label for label, points in series if len(points) > 1]
    svg = show_dashes(draw_chart(title, draw), dashes)
    return Figure(title, say(title), say_left_out(drawn, columns, say), svg)


def _boxes(
    title: str,
    unit: str,
    series: list[tuple[str, list[float]]],
    columns: Sequence[ModelColumn],
    uneven: str,
    say: ReportMessages,
) -> Figure | None:
    if not any(len(values) > 1 for _, values in series):
        return None

    def draw(pygal: Any, options: dict[str, Any]) -> Any:
        chart = pygal.Box(box_mode="extremes", y_title=unit, **options)
        # pygal draws an empty distribution as zero.
        known = [i for i, (_, values) in enumerate(series) if values]
        options["style"].colors = tuple(COLOURS[i % len(COLOURS)] for i in known)
        # The legend tells boxes apart by their colours alone.
        chart.x_labels = [short_label(series[i][0]) for i in known]
        for i in known:
            chart.add(short_label(series[i][0]), series[i][1])
        return chart

    drawn = [label for label, values in series if values]
    told = (say("chart_box"), uneven, say_left_out(drawn, columns, say))
    caption = " ".join(part for part in told if part)
    return Figure(title, say(title), caption, draw_chart(title, draw))
