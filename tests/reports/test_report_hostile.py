"""Answers, names and questions that attack whoever opens the report."""

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import html5lib
import pytest
from markdown_it import MarkdownIt
from wcwidth import wcswidth

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.events import RUN
from tui.reports import html, markdown, rich_text, rows
from tui.reports.document import Cell, Document, Heading, Table
from tui.reports.merge import merge_sessions
from tui.reports.messages import catalogue
from tui.reports.report import build_report
from tui.reports.svg import make_inert
from tui.sessions import reader
from tui.setting_kinds import REPORT_FACTS
from tui.text.sanitise import clean

ATTACKS = [
    "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>",
    "</div></body></html><iframe src='https://evil.example/'></iframe>",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png) <https://evil.example>",
    "```\n```` \n</code></pre><b>out</b>\n````````\nstill inside",
    "\x1b]0;title\x07\x1b[2J\x1b[31mred\x9b0m \x00 \x85",
    '=HYPERLINK("https://evil.example")',
    "+1+1|cmd",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    " =1+1",
    "＝1+1",
    "\r=1",
    "\u202egnp.exe \u2066isolate\u2069 \u200b\ufeffhidden\U000e0041",
    "| a | b |\n| --- | --- |\n| <b>1</b> | 2 |\n\n# Heading\n\n---\n\n- item\n\n<!-- x -->",
    "[ref]: https://evil.example\n[ref] https://evil.example www.evil.example a@evil.example",
    "{{ 7*7 }} {% for x in y %} ${7*7} &lt;b&gt; &amp; &#60;",
    "]]> --> </style> </svg> </title>",
    "x" * 60_000,
]
LABEL = "<b>m|*`\x1b]0;x\x07\u202e&"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    questions = [
        {
            "id": f"=q{i}",
            "category": ATTACKS[i][:150],
            "turns": [ATTACKS[i]],
            "checks": [{"contains": ATTACKS[i][:200]}],
            "reference": ATTACKS[i][:200],
        }
        for i in range(len(ATTACKS))
    ]
    head = recorded_header([LABEL, "=other", f"{LABEL} 2"], questions, title=ATTACKS[0])
    head.host["cpu"] = {ATTACKS[0]: ATTACKS[4]}
    head.settings[ATTACKS[0]] = ATTACKS[2]
    extra: list[tuple[int, ev.Body]] = [
        (RUN, ev.Rated(i, ATTACKS[i % 6], 3)) for i in range(len(ATTACKS))
    ]
    extra += [(RUN, ev.Note(a, i, "person")) for i, a in enumerate(ATTACKS)]
    extra += [(RUN, ev.Note(a)) for a in ATTACKS]
    extra += [
        (RUN, ev.Judged("=q0", 0, len(ATTACKS), "left", ATTACKS[0], ["x"], [ATTACKS[0]], True))
    ]
    extra += [(0, ev.Failed("x", ATTACKS[0])), (1, ev.Asked(999, "free", ATTACKS[3]))]
    extra += [(1, ev.Failed("x", ATTACKS[1], answer=999))]
    return record_session(folder, head, lambda _, q: ATTACKS[q], extra)


@pytest.fixture(scope="module")
def session(path: Path) -> reader.RecordedSession:
    return reader.read(path)


@pytest.fixture(scope="module")
def documents(session: reader.RecordedSession) -> dict[str, Document]:
    return {lang: build_report([session], lang) for lang in ("en", "zh")}


@pytest.fixture(scope="module", params=["en", "zh"])
def page(documents: dict[str, Document], request: pytest.FixtureRequest) -> str:
    return html.render(documents[request.param])


ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section"),
    *("footer", "article", "figure", "figcaption", "details", "summary", "div", "span", "p"),
    *("h1", "h2", "h3", "h4", "ol", "ul", "li", "a", "table", "thead", "tbody", "tr", "th", "td"),
    *("pre", "code", "em", "strong", "blockquote", "br", "hr", "svg", "g", "defs", "rect"),
    *("path", "circle", "line", "text", "tspan"),
}
ATTRIBUTES = re.compile(
    r"class|id|lang|charset|name|content|http-equiv|scope|aria-label|start|style|viewBox|type|"
    r"text-anchor|transform|d|x|y|x1|x2|y1|y2|cx|cy|r|rx|ry|width|height|fill|stroke[-\w]*|text-anchor|xmlns|href"
)


def test_html_is_valid_and_holds_nothing_active(page: str) -> None:
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree = parser.parse(page)
    for node in tree.iter():
        if not isinstance(node.tag, str):
            continue
        tag = node.tag.rpartition("}")[2]
        assert tag in ELEMENTS, tag
        for name, value in node.attrib.items():
            bare = name.rpartition("}")[2] if isinstance(name, str) else name[1]
            assert ATTRIBUTES.fullmatch(bare), (tag, bare)
            if bare == "href":
                assert re.fullmatch(r"#\w+", value)
            if bare == "style":
                assert re.fullmatch(r"(text-align:\w+|stroke-[-\w: ,.]*)", value), value


def test_html_fetches_nothing_and_shows_no_control_character(page: str) -> None:
    assert "default-src 'none'" in page and "script-src" not in page
    assert not re.search(r"<(script|img|iframe|link|object|embed|base|form)\b", page)
    assert not re.search(r"@import|url\(|src\s*=\s*[\"']?http", re.sub(r">[^<]*<", "><", page))
    assert clean(page) == page
    assert "&lt;script&gt;alert(1)" in page and "{{ 7*7 }}" in page


def test_svgs_are_well_formed_and_inert(documents: dict[str, Document]) -> None:
    charts = documents["en"].charts
    assert 2 < len(charts) <= 6
    for chart in charts:
        root = ElementTree.fromstring(chart.svg)
        tags = {node.tag.rpartition("}")[2] for node in root.iter()}
        assert tags <= ELEMENTS and "script" not in tags
        bare = re.sub(r">[^<]*<", "><", chart.svg).replace(root.tag[1:-4], "")
        assert "\n\n" not in chart.svg and "http" not in bare


def test_pictures_from_outside_are_made_inert() -> None:
    hostile = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'onload="alert(1)"><script>1</script><style>@font-face{src:url("https://e/f")}\n\n'
        "@import 'https://e'; .a{fill:url(https://e/x);clip-path:url(#c)}</style>"
        '<a xlink:href="javascript:alert(1)"><text>t</text></a><image href="https://e/i"/>'
        '<foreignObject><b/></foreignObject><rect clip-path="url(#c)" fill="url(https://e)"/></svg>'
    )
    made = make_inert(hostile)
    assert "https://e" not in made and "alert" not in made and "script" not in made
    assert 'clip-path="url(#c)"' in made and "\n" not in made


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_markdown_says_nothing_but_text(documents: dict[str, Document], lang: str) -> None:
    document = documents[lang]
    text = markdown.render(document)
    assert clean(text) == text
    tokens = MarkdownIt("gfm-like", {"linkify": True}).parse(text)
    kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
    assert not kinds & {"html_inline", "link_open", "image", "code_inline", "code_block", "hr"}
    comments = [t.content for t in tokens if t.type == "html_block"]
    assert all(re.fullmatch(r"<!-- duibi:[\w .-]+ -->\n?", comment) for comment in comments)
    said = "".join(
        t.content if t.type == "fence" else "".join(c.content for c in t.children or ())
        for t in tokens
        if t.type in ("fence", "inline")
    )
    packed = "".join(said.split())
    for attack in ATTACKS:
        for block in rich_text.parse(clean(attack)):
            spans = [*block.spans, *(s for row in block.rows for cell in row for s in cell)]
            for span in spans:
                assert packed.count("".join(span.text.split())) >= 3, span.text[:200]
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    sections = [b.text for b in document.blocks if isinstance(b, Heading) and b.level == 2]
    # Without pictures nothing stands under it.
    sections.remove(document.words["charts"])
    assert len(sections) > 7 and [h for h in headings if h in sections] == sections


def test_markdown_tables_read_back_and_line_up(documents: dict[str, Document]) -> None:
    document = documents["zh"]
    for table in (*document.run, *document.comparison):
        if not table.rows:
            continue
        lines = markdown.format_table(table).split("\n")
        assert len({wcswidth(line) for line in lines}) == 1
        tokens = MarkdownIt("gfm-like").parse("\n".join(lines))
        cells = [t for t in tokens if t.type == "inline"]
        plain = ["".join(c.content for c in t.children or ()) for t in cells]
        wanted = [*table.head]
        for row in table.rows:
            wanted += [f"{c.text} ({c.detail})" if c.detail else c.text for c in row]
        assert plain == [" ".join(w.split()) for w in wanted]


def test_wide_and_narrow_cells_line_up() -> None:
    rows_ = tuple(
        (Cell(a), Cell(b, "n 3", True)) for a, b in (("模型", "1"), ("a", "二二二"), ("é😀", ""))
    )
    lines = markdown.format_table(Table("t", ("模", "value"), rows_)).split("\n")
    assert len({wcswidth(line) for line in lines}) == 1


def test_csv_computes_nothing_and_reads_back(session: reader.RecordedSession) -> None:
    merged = merge_sessions([session])
    text = rows.to_csv(merged)
    assert clean(text.replace("\r\n", "\n")) == text.replace("\r\n", "\n")
    table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in table} == {len(table[0])}
    for row in table:
        for cell in row:
            assert not re.match(r"\s*[=+@＝＋－＠\t\r]", cell), cell
            assert not cell.startswith("-")
    answers = [row[table[0].index("text")] for row in table[1:]]
    assert '\'=HYPERLINK("https://evil.example")' in answers and "'-2+3" in answers
    assert any("\n" in answer for answer in answers)


def test_jsonl_loses_nothing_and_is_harmless(session: reader.RecordedSession) -> None:
    text = rows.to_jsonl(merge_sessions([session]))
    assert clean(text) == text
    listed = [json.loads(line) for line in text.split("\n")[:-1]]
    assert {row["text"] for row in listed if row["state"] == "answered"} == set(ATTACKS)
    assert listed[0]["model"] == LABEL


def test_both_languages_say_the_same_things() -> None:
    for key, words in catalogue().items():
        assert words.keys() == {"en", "zh"}, key
        slots = [sorted(re.findall(r"\{(\w+)\}", words[lang])) for lang in ("en", "zh")]
        assert slots[0] == slots[1], key
        assert not re.search(r"[一-鿿]", words["en"]), key


def test_every_word_is_used() -> None:
    folder = Path(html.__file__).parent
    source = "".join(p.read_text("utf-8") for p in [*folder.glob("*.py"), *folder.glob("*.html")])
    source += (folder.parent / "scoring" / "costs.py").read_text("utf-8")
    source += (folder.parent / "cli" / "commands" / "rank.py").read_text("utf-8")
    dynamic = {
        "complete",
        "running",
        "interrupted",
        "torn",
        "damaged",
        "queued",
        "cancelled",
        "decoding",
    }
    dynamic |= {"better", "worse", "unclear", "few", "unit_chars", "unit_chars/s"}
    # What memory held of a checkpoint when it was loaded.
    dynamic |= {"cold", "warm", "partly"}
    dynamic |= set(REPORT_FACTS)
    source = source.replace("'", '"')
    # Keys that are put together, as f"v_{name}".
    built = tuple(re.findall(r'f"(\w+_)\{', source))
    unused = {key for key in catalogue() if f'"{key}"' not in source} - dynamic
    assert not [key for key in unused if not key.startswith(built)]
