"""Sessions for tests of what is made from sessions: written by the real journal."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tui import events as ev
from tui.events import Body
from tui.sessions.journal import Journal

Answer = Callable[[int, int], str]
_MOST_PIECES = 2000


def recorded_header(
    labels: Sequence[str],
    questions: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
    title: str = "中文语义八问",
) -> ev.Session:
    """A header as a run writes it."""
    return ev.Session(
        v=ev.VERSION,
        program="0.1.0",
        started="2026-11-22T05:00:00Z",
        models=[
            {
                "name": label,
                "label": label,
                "engine": "local",
                "family": "llama",
                "dtype": label.rpartition("@")[2],
                "parameters": 134_515_008,
                "checkpoint_bytes": 98_362_432,
            }
            for label in labels
        ],
        questions={"name": "set", "title": title, "language": "zh", "questions": list(questions)},
        host={
            "cpu": {"model": "AMD EPYC", "cores": 2},
            "memory_limit": 25_769_803_776,
            "platform": "Linux 6.1 x86_64",
            "python": "3.11.7",
            "packages": {"torch": "2.13.0"},
        },
        settings=dict(settings or {"max_new_tokens": 128, "sampling": "greedy"}),
    )


def record_session(
    folder: Path,
    head: ev.Session,
    answer: Answer,
    extra: Sequence[tuple[int, Body]] = (),
    speeds: Sequence[float] = (),
    status: str = "done",
) -> Path:
    """A whole run, one model after the other: each answer of ``answer(model, question)``
    arrives in pieces of two characters, a long one in `_MOST_PIECES`, at ``speeds[model]`` tokens
    per second, with figures that follow from the times; ``extra`` events come at the end."""
    journal = Journal.create(folder, head)
    now, number = 0, 0
    for model in range(len(head.models)):
        speed = speeds[model] if speeds else 20.0 + 10 * model
        journal.append(now, model, ev.Load("weights", 1, 2))
        now += 1_500_000
        journal.append(
            now,
            model,
            ev.Loaded(
                1.5 + model,
                family="llama",
                dtype=head.models[model]["dtype"],
                parameters=134_515_008,
                checkpoint_bytes=98_362_432,
                weights_bytes=80_000_000 + 7_000_000 * model,
                context=2048,
                prompt_format="chatml",
                threads=2,
            ),
        )
        for index, question in enumerate(head.questions["questions"]):
            now = _answer(journal, now, model, number, question, answer(model, index), speed)
            number += 1
        journal.append(now, model, ev.Unloaded())
    for model, body in extra:
        now += 1000
        journal.append(now, model, body)
    if status:
        journal.close(status)
    else:
        journal.close()
    return journal.path


def _answer(
    journal: Journal,
    now: int,
    model: int,
    number: int,
    question: Mapping[str, Any],
    text: str,
    speed: float,
) -> int:
    ask = ev.Asked(number, question["id"], question["turns"][0])
    journal.append(now, model, ask)
    journal.append(now, model, ev.Started(number, prompt_tokens=30 + number, threads=2))
    start, first = now, now + 100_000 + 10_000 * number
    size = max(2, math.ceil(len(text) / _MOST_PIECES))
    pieces = [text[i : i + size] for i in range(0, len(text), size)] or [""]
    for i, piece in enumerate(pieces):
        now = first + round(i * 1e6 / speed)
        journal.append(now, model, ev.Delta(number, 1, piece))
        if i % 8 == 0:
            memory = ev.Memory(private=300_000_000 + 1_000_000 * i, mapped=98_000_000)
            journal.append(now, model, memory)
    n, e2e, ttft = len(pieces), (now - start) / 1000, (first - start) / 1000
    tpot = (e2e - ttft) / (n - 1) if n > 1 else None
    figures = ev.Answered(
        number,
        "stop",
        prompt_tokens=30 + number,
        output_tokens=n,
        ttft_ms=ttft,
        tpot_ms=tpot,
        e2e_ms=e2e,
        prefill_tok_s=(30 + number) / ttft * 1000,
        decode_tok_s=1000 / tpot if tpot else None,
        chars_s=len(text) / e2e * 1000,
        peak_private=300_000_000 + 1_000_000 * number,
        peak_mapped=98_000_000,
        threads=2,
    )
    journal.append(now, model, figures)
    return now + 50_000
