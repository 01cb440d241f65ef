"""The figures that stand for each model, computed again from the lines of a session file alone.

`python tests/support/figures_again.py FILE.duibi` prints them as JSON. It shares no line with the
program: README.md and docs/session-format.md say what it computes.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

GB = 1e9


class Again:
    """What a session file says, by model."""

    def __init__(self, path: Path) -> None:
        self.labels: list[str] = []
        self.prices: list[dict[str, Any] | None] = []
        self.loads: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.measures: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.answers: dict[int, dict[str, Any]] = {}
        self.chosen: dict[tuple[int, Any], int] = {}
        for line in path.read_bytes().decode().split("\n")[:-1]:
            _, _, model, kind, payload = json.loads(line.rpartition("\t")[0])
            if kind == "session":
                self.labels = [m.get("label") or m["name"] for m in payload["models"]]
                self.prices = [m.get("price") for m in payload["models"]]
            elif kind == "asked":
                key = payload["question"], payload.get("turn", 0)
                self.chosen.pop((model, key), None)
                asked = payload["question"], payload.get("repeat", 0)
                new = {"model": model, "key": key, "asked": asked, "text": ""}
                self.answers[payload["answer"]] = new
            elif kind == "delta" and not payload.get("reasoning"):
                mine = self.answers[payload["answer"]]
                before = "" if payload.get("recast") else mine["text"]
                mine["text"] = before + payload.get("text", "")
            elif kind == "chosen":
                mine = self.answers[payload["answer"]]
                self.chosen[mine["model"], mine["key"]] = payload["answer"]
            elif kind == "answered":
                self.answers[payload["answer"]]["figures"] = payload
            elif kind == "loaded":
                self.loads[model].append(payload)
            elif kind == "measured":
                self.measures[model].append(payload)

    def figures(self, model: int) -> dict[str, float | None]:
        """The value of each figure, None where there is none."""
        loads, measures = self.loads[model], self.measured(model)
        told = [a["figures"] for a in self._answered(model)]
        answers = self._common(model) or self._answered(model)
        found: dict[str, float | None] = {
            "load": middle([p["load_s"] for p in clean(loads) if p["load_s"]])
        }
        names = {"ttft": "ttft_ms", "prefill": "prefill_tok_s", "tpot": "tpot_ms"}
        for name, of in (names | {"decode": "decode_tok_s"}).items():
            standard = [p[of] for p in clean(measures) if of in p]
            found[name] = middle(standard or values(answers, of))
        everything = self._answered(model)
        thinking = [list(filter(has_thought, some)) for some in (everything, answers)]
        found["thought"] = middle(values(thinking[0], "thought_tokens"))
        found["answer_ttft"] = middle(values(thinking[1], "answer_ttft_ms"))
        seconds = values(list(filter(has_text, answers)), "e2e_ms")
        found["e2e"] = middle([ms / 1000 for ms in seconds])
        found["chars_s"] = self._text_speed(model)
        peaks = [(p.get("peak_private", 0), p.get("peak_mapped", 0)) for p in (*told, *measures)]
        loading = [
            (p["peak_private"], p.get("peak_mapped", 0))
            if p.get("peak_private")
            else (p.get("private", 0), p.get("mapped", 0))
            for p in loads
        ]
        found["ram"] = max(map(sum, [*peaks, *loading]), default=0) / GB or None
        found["load_ram"] = max(map(sum, loading), default=0) / GB or None
        found["checkpoint"] = loads[-1].get("checkpoint_bytes", 0) / GB or None if loads else None
        found["weights"] = loads[-1].get("weights_bytes", 0) / GB or None if loads else None
        return found

    def measured(self, model: int) -> list[dict[str, Any]]:
        """The standard measure that counts, in a list; an empty one where there is none."""
        return clean(self.measures[model])[-1:]

    def ends(self, model: int) -> tuple[int, int, int]:
        """Of all it was asked, by the newest attempt: how many answers it gave, of how many, and
        how many of these were cut short."""
        mine = [a for a in self.answers.values() if a["model"] == model]
        newest = {(a["key"], a["asked"]): a for a in mine}
        told = [a["figures"] for a in newest.values() if "figures" in a]
        cut = sum(figures["finish"] in ("length", "repetition") for figures in told)
        return len(told), len(newest), cut

    def money(self, id_: int) -> float | None:
        """What an answer costs whose tokens were counted; 0 where it has none."""
        answer = self.answers[id_]
        price, told = self.prices[answer["model"]], answer.get("figures")
        if price is None or told is None:
            return None if price is None else 0.0
        known = told.get("reused", 0)
        cached = known * price.get("cached_input", price["input"])
        asked = (told["prompt_tokens"] - known) * price["input"] + cached
        return float(asked + told["output_tokens"] * price["output"]) / 1e6

    def costs(self, model: int) -> dict[str, float] | None:
        """The money for a model's answers; None where it has no price."""
        if self.prices[model] is None:
            return None
        mine = [(id_, a) for id_, a in self.answers.items() if a["model"] == model]
        total = sum(self.money(id_) or 0.0 for id_, _ in mine)
        done = [a for _, a in mine if "figures" in a]
        asked = {a["asked"] for a in done}
        return {
            "total": total,
            "per_answer": total / len(done),
            "per_100_questions": 100 * total / len(asked),
        }

    def _answered(self, model: int) -> list[dict[str, Any]]:
        return [a for a in self.answers.values() if a["model"] == model and "figures" in a]

    def _scored(self, model: int) -> list[dict[str, Any]]:
        """Its answers, but where a person chose the one of a turn only that."""
        chosen = self.chosen
        mine = [(id_, a) for id_, a in self.answers.items() if a in self._answered(model)]
        return [a for id_, a in mine if chosen.get((model, a["key"]), id_) == id_]

    def _common(self, model: int) -> list[dict[str, Any]]:
        """Its answers to the questions that every model has answered undisturbed; where there are
        none, that every model has answered."""
        everyone = [m for m in range(len(self.labels)) if any(map(is_timed, self._scored(m)))]
        for usable in (is_clean, is_timed):
            asked = [{a["key"] for a in self._scored(m) if usable(a)} for m in everyone]
            common = set.intersection(*asked) if asked else set()
            if common:
                return [a for a in self._scored(model) if usable(a) and a["key"] in common]
        return []

    def _text_speed(self, model: int) -> float | None:
        """Characters over seconds."""
        mine = self._common(model)
        ms = sum(a["figures"]["e2e_ms"] for a in mine)
        return sum(len(a["text"]) for a in mine) / ms * 1000 if ms else None


def has_text(answer: dict[str, Any]) -> bool:
    """Whether there is anything to read."""
    return bool(answer["text"].strip())


def has_thought(answer: dict[str, Any]) -> bool:
    """Whether it thought before it answered."""
    return bool(answer["figures"].get("thought_tokens"))


def is_timed(answer: dict[str, Any]) -> bool:
    """Whether it has a text, and took a time that is known."""
    return has_text(answer) and bool(answer["figures"].get("e2e_ms"))


def is_clean(answer: dict[str, Any]) -> bool:
    """Whether it had its cores for itself as well."""
    return is_timed(answer) and not answer["figures"].get("contended")


def clean(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are not contended, all where there are no others."""
    return [p for p in payloads if not p.get("contended")] or payloads


def values(answers: list[dict[str, Any]], name: str) -> list[float]:
    """The values of a field where it was measured, one of each question: the mean over its turns of
    the mean of their answers."""
    known = [a for a in answers if a["figures"].get(name) is not None]
    turns: dict[Any, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    for a in [a for a in known if not a["figures"].get("contended")] or known:
        question, turn = a["key"]
        turns[question][turn].append(a["figures"][name])
    return [fmean(map(fmean, of_turns.values())) for of_turns in turns.values()]


def middle(found: list[float]) -> float | None:
    """The median; None of nothing."""
    return median(found) if found else None


if __name__ == "__main__":
    again = Again(Path(sys.argv[1]))
    rows = {label: again.figures(model) for model, label in enumerate(again.labels)}
    print(json.dumps(rows, indent=1, ensure_ascii=False))
