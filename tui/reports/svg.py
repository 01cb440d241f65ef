"""Static SVG: no scripts, links or external resources."""

import re
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
_SHAPES = ("rect", "path", "circle", "line", "polyline", "polygon", "ellipse", "clipPath")
_ALLOWED = {_SVG + tag for tag in ("svg", "g", "defs", "style", "title", "text", "tspan", *_SHAPES)}
_SCRIPT_CLASSES = {"tooltip", "tooltip-overlay"}
"""Classes of what pygal draws for its script alone."""


def make_inert(svg: str) -> str:
    """The picture with nothing but shapes, text and local styles, on one line.

    Raises:
        xml.etree.ElementTree.ParseError: it is not well-formed.
    """
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    root = ElementTree.fromstring(svg)
    for node in list(root.iter()):
        for child in list(node):
            if child.tag not in _ALLOWED or _SCRIPT_CLASSES & set(child.get("class", "").split()):
                node.remove(child)
        for name, value in list(node.attrib.items()):
            if name.startswith(("on", "{")) or "href" in name or _is_external(value):
                del node.attrib[name]
        if node.tag == _SVG + "style":
            node.text = _local_css(node.text or "")
    # A blank line would end the HTML block that holds the picture in Markdown.
    return re.sub(r"\s*\n\s*", " ", ElementTree.tostring(root, encoding="unicode"))


def _is_external(value: str) -> bool:
    return bool(re.search(r"url\(\s*[\"']?(?!#)|javascript:", value, re.IGNORECASE))


def _local_css(css: str) -> str:
    """CSS without external fonts and imports, which the picture does not need."""
    css = re.sub(r"@font-face\s*\{[^}]*\}|@import[^;]*;?", "", css, flags=re.IGNORECASE)
    return re.sub(r"url\(\s*[\"']?(?!#)[^)]*\)?", "none", css, flags=re.IGNORECASE)
