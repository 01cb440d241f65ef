"""Every part that documents of this kind hold is in the report that is handed in.

The parts are those of five comparisons of chat models written by hand: two pages of repositories
(A, E), an experiment report (B), a course report (C) and a report of three models (D).
"""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.events import RUN
from tui.reports import markdown
from tui.reports.document import Document, Figure, Heading, Place, QuestionTurn, Table
from tui.reports.report import build_report
from tui.sessions import reader
from tui.setting_kinds import REPORT_FACTS

ABILITIES = ("语言理解", "语义分析", "逻辑推理", "文本解析", "语境理解", "语言理解")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'
MODELS = 3


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    questions: list[dict[str, Any]] = [
        {"id": f"q{n}", "category": name, "turns": [f"第{n}题"], "checks": [{"contains": "0"}]}
        for n, name in enumerate(ABILITIES)
    ]
    head = recorded_header(["Qwen2.5-Coder-1.5B@bf16", "demo@int8", "chatglm3-6b"], questions)
    head.models[0] |= {"name": "ms:Qwen/Qwen2.5-Coder-1.5B-Instruct@bf16"}
    head.models[0]["fetched"] = {"bytes": 3_000_000_000, "seconds": 150.0}
    answers = range(MODELS * len(questions))
    extra: list[tuple[int, ev.Body]] = [
        (RUN, ev.Rated(a, dimension, 1 + (a + n) % 5))
        for a in answers
        for n, dimension in enumerate(("语言理解", "回答逻辑", "幽默感", "输出流畅性"))
    ]
    extra += [
        (RUN, ev.Voted("q0", 0, 6, "left")),
        (RUN, ev.Judged("q0", 0, 6, "left", "demo@bf16", ["left", "left"], ["r", "r"])),
        (RUN, ev.Note("有中国特色表达", 0, "person")),
        (1, ev.Asked(99, "q0", "第0题")),
        (1, ev.Failed("x", "boom 42", answer=99)),
        (0, ev.Memory(private=1 << 30, mapped=1 << 29)),
    ]
    folder: Path = tmp_path_factory.mktemp("checklist")
    path = record_session(folder, head, lambda m, q: f"1. 答{m}\n2. 案{q}" * (m + 1), extra)
    pictures = {f"q{n}": SVG for n in range(len(questions))}
    facts = {name: f"我的{name}" for name in REPORT_FACTS}
    return build_report([reader.read(path)], "zh", pictures, facts=facts)


PLACES = {
    "aims in own words (A, B, C)": "abstract",
    "steps of the set-up, pictures, scripts (A, B, C, E)": "setup",
    "published scores (D)": "published",
    "context kept, in own words (D)": "context",
    "judgement of each question (C)": "question-q0",
    "style of each model in a phrase (A, E)": "model-chatglm3-6b",
    "own conclusion (all)": "conclusion",
    "difficulties and how they were solved (A, D)": "difficulties",
    "improvements, extensions, outlook (A, B, C, D)": "improvements",
    "thanks (A)": "thanks",
    "links, structure of the project (A, C)": "appendix",
}

SAID = {
    "title, author, course, date (C, D)": ["# 我的title", "姓名：我的author", "课程：我的course"],
    "university, number, teacher (C)": ["学校：我的university", "学号：我的number"],
    "abstract (B)": ["## 摘要", "我的abstract"],
    "platform and libraries (B, C)": ["AMD EPYC", "Linux 6.1", "Python 3.11.7", "torch 2.13.0"],
    "how each model was obtained (A, C)": ["获取方式", "duibi models get ms:Qwen/"],
    "size and speed of the download (C)": ["3.00 GB，用时 150 秒（20.0 MB/s）"],
    "loading with its time (C)": ["加载时间，秒"],
    "developer, parameters, context, languages, licence (C)": [
        *("开发者", "阿里云（通义千问）", "参数量", "上下文长度", "语言", "许可证", "Apache-2.0"),
    ],
    "published sizes, quantised size (D)": ["已发布的规格", "int8", "int4", "0.5B, 1.5B, 3B"],
    "what the models share (B)": ["共同点："],
    "questions under their ability (B)": ["### 1\\. 语言理解", "### 3\\. 逻辑推理"],
    "the questions and answers as text (E)": ["> 第0题", "> 1. 答0"],
    "stars and remark of each answer (A)": ["语言理解 ★", "备注: 有中国特色表达"],
    "stars by dimension, response speed in words, remark (A)": [
        *("各维度人工评分", "幽默感", "输出流畅性", "响应速度", "有中国特色表达", "平均"),
    ],
    "averages of subjective marks, to 5 (D)": ["1–5 星"],
    "by ability (C, E)": ["按能力对比"],
    "checks, instructions followed in % (D)": ["程序检查", "检查通过 "],
    "memory, load, ms a token, size of weights (D)": [
        *("内存峰值（GB）", "加载时间（s）", "每 token 耗时 TPOT（ms）", "载入后权重"),
    ],
    "seconds an answer, with their range (D, E)": ["总耗时 E2E（s）", "中位数、范围与样本数"],
    "votes, and a judge (issue)": ["人工两两投票", "评审模型 demo@bf16"],
    "content, amount, form of the answers (B)": ["回答形式", "字符数中位数", "含列表"],
    "where the answers differ (B)": ["差异所在"],
    "strengths and weaknesses as lists (B, D, E)": ["各模型的优点与不足", "优点：", "不足："],
    "failed answers by cause": ["失败、截断与受干扰的结果", "boom 42"],
    "for which use which model (B, D, E)": ["### 适用场景", "看重回答质量"],
    "conclusion (all)": ["## 由数据得出的结论"],
    "how figures are defined": ["## 指标定义"],
    "links (C)": ["## 附录", "Qwen2.5-Coder: https"],
}


@pytest.mark.parametrize("part", PLACES)
def test_a_place_for_what_only_a_person_can_write(document: Document, part: str) -> None:
    assert PLACES[part] in {block.id for block in document.blocks if isinstance(block, Place)}


@pytest.mark.parametrize("part", SAID)
def test_a_part_is_made_from_the_data(document: Document, part: str) -> None:
    text = markdown.render(document, "pictures").replace("\\_", "_")
    assert [words for words in SAID[part] if words not in text] == []


def test_answers_stand_side_by_side_with_a_picture_for_each_question(document: Document) -> None:
    turns = [block for block in document.blocks if isinstance(block, QuestionTurn)]
    assert [len(turn.cards) for turn in turns] == [MODELS] * len(ABILITIES)
    figures = [block for block in document.blocks if isinstance(block, Figure)]
    panes = [one for one in figures if one.role == "panes"]
    charts = [one.name for one in figures if one.role == "chart"]
    assert len(panes) == len(ABILITIES)
    assert len(charts) <= 6
    assert {"chart_stars", "chart_speed", "chart_ram", "chart_seconds"} <= set(charts)


def test_sections_are_in_the_order_of_a_document(document: Document) -> None:
    heads = [b.text for b in document.blocks if isinstance(b, Heading) and b.level == 2]
    wanted = ["摘要", "测试环境与对象", "模型概览", "题目与各模型回答", "对比结果", "图表"]
    assert heads[: len(wanted)] == wanted
    assert heads[-1].startswith("附录")
    assert len([b for b in document.blocks if isinstance(b, Table)]) > 10
