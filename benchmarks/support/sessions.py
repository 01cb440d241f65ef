"""Small sessions written by the real journal."""

from pathlib import Path

from tui import events as ev
from tui.sessions.journal import Journal

HEADER = ev.Session(
    1,
    "0.1.0",
    "2026-11-22T08:30:00Z",
    [{"name": "demo", "label": f"demo@{dtype}"} for dtype in ("bf16", "fp32", "int8", "int4")],
    {
        "name": "two",
        "title": "Two questions 两个问题",
        "language": "en",
        "questions": [
            {"id": "q1", "category": "logic", "turns": ["Is water wet?"]},
            {"id": "q2", "category": "语言", "turns": ["同济大学在哪里？"]},
        ],
    },
)


def write_session(
    folder: Path,
    models: int = 2,
    tokens: int = 5,
    status: str = "done",
    header: ev.Session = HEADER,
) -> Path:
    """A session in which ``models`` models answer both questions side by side."""
    journal = Journal.create(folder, header)
    t_us, answer = 1_000_000, 0
    for model in range(models):
        journal.append(t_us, model, ev.Load("weights", 1, 2))
        journal.append(t_us, model, ev.Loaded(1.0, private=100 << 20))
    for question in header.questions["questions"]:
        text = question["turns"][0]
        for model in range(models):
            journal.append(t_us, model, ev.Asked(answer + model, question["id"], text))
            journal.append(t_us, model, ev.Started(answer + model, prompt_tokens=9))
        for i in range(tokens):
            for model in range(models):
                t_us += 10_000
                part = f"答{model}.{i} " if question["id"] == "q2" else f"word{model}.{i} "
                journal.append(t_us, model, ev.Delta(answer + model, text=part))
        for model in range(models):
            journal.append(t_us, model, ev.Answered(answer + model, "stop", output_tokens=tokens))
        answer += models
        t_us += 500_000
    journal.close(status)
    return journal.path
