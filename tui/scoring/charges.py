"""What answers cost in money, by the price that stands in a session's header.

An answer's charge is `tui.prices.Price.charge` of the tokens that the service counted. Where it
counted none they are estimated, and so are those of an answer that broke off.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui.board import Answer
from tui.prices import Price
from tui.text.token_estimate import estimate_whole


@dataclass(frozen=True, slots=True)
class Charge:
    """The money for answers of one model, in one currency. ``total`` is for all of them, also those
    that broke off; ``complete`` for the ``answers`` to ``questions`` (each repeat is one) that are
    complete. ``is_estimated``: some of the tokens were not counted."""

    currency: str
    total: float = 0.0
    complete: float = 0.0
    answers: int = 0
    questions: int = 0
    is_estimated: bool = False
    prices: tuple[Price, ...] = ()

    @property
    def per_answer(self) -> float | None:
        """The mean of the complete answers."""
        return self.complete / self.answers if self.answers else None

    @property
    def per_100_questions(self) -> float | None:
        """What a hundred questions cost at the mean of those that were answered."""
        return 100 * self.complete / self.questions if self.questions else None

    def to_json(self) -> dict[str, Any]:
        """The form of `duibi run --json`."""
        return {
            "currency": self.currency,
            "total": self.total,
            "per_answer": self.per_answer,
            "per_100_questions": self.per_100_questions,
            "estimated": self.is_estimated,
        }


def price_of(head: Mapping[str, Any]) -> Price | None:
    """The price in a model's entry of a header."""
    return Price.from_json(head.get("price"))


def charge_of(answer: Answer, price: Price) -> tuple[float, bool]:
    """The money for an answer, and whether it rests on estimated tokens."""
    figures = answer.figures
    if figures is None:
        if not answer.tokens:
            return 0.0, False  # nothing came: nothing is asked for it
        return price.charge(estimate_whole(answer.prompt), 0, answer.tokens), True
    is_estimated = figures.token_source == "estimate" or not figures.prompt_tokens
    prompt = figures.prompt_tokens or estimate_whole(answer.prompt)
    return price.charge(prompt, figures.reused, figures.output_tokens), is_estimated


def to_row(answer: Answer, price: Price | None) -> dict[str, Any]:
    """The charge of an answer as columns of a row of data."""
    if price is None:
        return {"cost": None, "currency": None, "cost_estimated": None}
    money, is_estimated = charge_of(answer, price)
    return {"cost": money, "currency": price.currency, "cost_estimated": is_estimated}


def sum_charges(parts: Iterable[tuple[Price | None, Sequence[Answer]]]) -> Charge | None:
    """The charge of one model, whose sessions may have had other prices; None where one had
    none, or they are of several currencies."""
    found = [(price, answers) for price, answers in parts if answers]
    prices = tuple(dict.fromkeys(price for price, _ in found if price is not None))
    if len({price.currency for price in prices}) != 1 or any(price is None for price, _ in found):
        return None
    total, complete = 0.0, 0.0
    done, is_estimated = 0, False
    questions: set[tuple[int, str, int]] = set()
    for number, (price, answers) in enumerate(found):
        assert price is not None
        for answer in answers:
            money, estimated = charge_of(answer, price)
            total += money
            is_estimated |= estimated
            if answer.state == "answered":
                complete += money
                done += 1
                questions.add((number, answer.question, answer.repeat))
    currency = prices[0].currency
    return Charge(currency, total, complete, done, len(questions), is_estimated, prices)
