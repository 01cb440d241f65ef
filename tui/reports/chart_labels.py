"""What tells the models of a chart apart without colours: names beside points, moved apart where
those are close, and lines in the legend as they are drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from rich.cells import cell_len

_SVG = "{http://www.w3.org/2000/svg}"
_GAP, _LINE, _CELL = 12.0, 16.0, 7.2
"""Pixels: between a point and its name, of a line of text, and of a letter (Chinese ones two)."""
_MOST_STEPS = 40


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; ``y`` grows downwards."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: "Box") -> bool:
        """Whether they overlap."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def spread_labels(svg: str) -> str:
    """The chart, each name beside its own point and over no other point or name; a thin line
    leads to one that had to move away."""
    ElementTree.register_namespace("", _SVG[1:-1])
    root = ElementTree.fromstring(svg)
    dots, names = _by_series(root, "overlay", "circle"), _by_series(root, "text-overlay", "text")
    pairs = [(dots[key], group, name) for key, (group, name) in names.items() if key in dots]
    width, height = _plot_size(root)
    taken = [_dot_box(dot) for _, dot in dots.values()]
    for (_, dot), group, name in sorted(pairs, key=lambda pair: _at(pair[0][1])[::-1]):
        box = _place(_at(dot), cell_len(name.text or "") * _CELL, taken, (width, height))
        taken.append(box)
        is_left = box.x < _at(dot)[0]
        name.set("text-anchor", "end" if is_left else "start")
        name.set("x", f"{box.x + box.width if is_left else box.x:.1f}")
        name.set("y", f"{box.y + _LINE * 0.75:.1f}")
        if abs(box.y + _LINE / 2 - _at(dot)[1]) > 1:
            group.append(_leader(_at(dot), box))
    return ElementTree.tostring(root, encoding="unicode")


def show_dashes(svg: str, dashes: Sequence[str]) -> str:
    """The chart, in its legend a piece of each line in place of a square; ``dashes`` by series,
    empty for a whole line."""
    ElementTree.register_namespace("", _SVG[1:-1])
    root = ElementTree.fromstring(svg)
    for entry, dash in zip(_with_class(root, "legend"), dashes, strict=False):
        square = entry.find(f"{_SVG}rect")
        if square is None:
            continue
        x, y, size = (float(square.get(name, 0)) for name in ("x", "y", "width"))
        ends = {"x1": x - size, "x2": x + size, "y1": y + size / 2, "y2": y + size / 2}
        line = {name: f"{value:.1f}" for name, value in ends.items()}
        line |= {"class": square.get("class", ""), "style": "stroke-width: 2.5"}
        if dash:
            line["stroke-dasharray"] = dash
        entry.insert(list(entry).index(square), Element(f"{_SVG}line", line))
        entry.remove(square)
    return ElementTree.tostring(root, encoding="unicode")


def _by_series(root: Element, plot: str, tag: str) -> dict[str, tuple[Element, Element]]:
    """The group and the first element of a kind of each series, by the class of the series."""
    found = {}
    for group in _with_class(root, plot):
        for series in group:
            key = next((c for c in _classes(series) if c.startswith("serie-")), "")
            if key and (element := next(series.iter(f"{_SVG}{tag}"), None)) is not None:
                found[key] = series, element
    return found


def _with_class(root: Element, name: str) -> Iterator[Element]:
    return (node for node in root.iter(f"{_SVG}g") if name in _classes(node))


def _classes(node: Element) -> list[str]:
    return node.get("class", "").split()


def _plot_size(root: Element) -> tuple[float, float]:
    for group in _with_class(root, "plot"):
        for part in group:
            if "background" in _classes(part):
                return float(part.get("width", 0)), float(part.get("height", 0))
    return 0.0, 0.0


def _at(dot: Element) -> tuple[float, float]:
    return float(dot.get("cx", 0)), float(dot.get("cy", 0))


def _dot_box(dot: Element) -> Box:
    (x, y), r = _at(dot), float(dot.get("r", 0))
    return Box(x - r, y - r, 2 * r, 2 * r)


def _place(
    at: tuple[float, float], width: float, taken: list[Box], plot: tuple[float, float]
) -> Box:
    """The nearest free place: right of the point, left of it, then further and further up and
    down; the first one where the plot is full."""
    tries = []
    for step in range(_MOST_STEPS):
        for sign in (-1, 1) if step else (1,):
            y = at[1] - _LINE / 2 + sign * step * _LINE / 2
            tries += [
                Box(at[0] + _GAP, y, width, _LINE),
                Box(at[0] - _GAP - width, y, width, _LINE),
            ]
    inside = [b for b in tries if b.x >= 0 and b.x + b.width <= plot[0]]
    inside = [b for b in inside if b.y >= 0 and b.y + b.height <= plot[1]]
    free = (box for box in inside if not any(box.meets(other) for other in taken))
    return next(free, inside[0] if inside else tries[0])


def _leader(at: tuple[float, float], box: Box) -> Element:
    near = box.x - 2 if box.x > at[0] else box.x + box.width + 2
    ends = {"x1": at[0], "y1": at[1], "x2": near, "y2": box.y + box.height / 2}
    told = {name: f"{value:.1f}" for name, value in ends.items()}
    return Element(f"{_SVG}line", told | {"stroke": "#777777", "stroke-width": "1"})
