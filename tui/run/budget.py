"""The most money that a run may cost: nothing is asked that could pass it.

Before a question is asked, the most that its answer can cost is set aside; when it has ended, what
it did cost. So the sum of both stays within the budget, however many answers are under way.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Condition

from tui.board import Answer, Board
from tui.engines.base import Request
from tui.events import Failed
from tui.host.errors import UserError
from tui.models.resolved import ResolvedModel
from tui.prices import Price
from tui.scoring.charges import charge_of, price_of
from tui.services import Service
from tui.text.token_estimate import most_tokens
from tui.text.units import format_money

CAUSE = "budget"
"""Why an answer failed that was not asked for."""
_TOKENS_A_MESSAGE = 16
"""More than any chat template puts around a message."""


@dataclass(frozen=True, slots=True)
class HeldMoney:
    """What is set aside for one answer: the most that it can cost, and the tokens that its prompt
    can have."""

    currency: str
    amount: float
    prompt_tokens: int


@dataclass(slots=True)
class Budget:
    """``amounts`` by currency, and what of them is spent and held. A model without a price is let
    pass, and so is everything without amounts. ``changed`` guards it and is notified when an answer
    has ended."""

    amounts: Mapping[str, float]
    prices: list[Price | None]
    """By the number of the model."""
    changed: Condition
    spent: dict[str, float]
    _held: dict[int, HeldMoney] = field(default_factory=dict)
    """By answer."""
    _longest: int = 0
    """Tokens of the longest answer so far: some services do not count reasoning as a part of what
    an answer may have."""

    def hold(
        self,
        model: int,
        request: Request,
        is_stopped: Callable[[], bool],
    ) -> Failed | None:
        """Set aside what an answer can cost at most, once there is room for it, or until
        ``is_stopped``; the end of the answer where there will be none."""
        price = self.prices[model]
        if price is None or price.currency not in self.amounts:
            return None
        currency = price.currency
        prompt = sum(most_tokens(m.content) + _TOKENS_A_MESSAGE for m in request.messages)
        with self.changed:
            while not is_stopped():
                new = request.max_new_tokens + (request.think_tokens or 0)
                most = price.charge(prompt, 0, max(new, self._longest))
                held = [one.amount for one in self._held.values() if one.currency == currency]
                if self.spent.get(currency, 0.0) + sum(held) + most <= self.amounts[currency]:
                    self._held[request.answer] = HeldMoney(currency, most, prompt)
                    return None
                if not held:
                    return self._refusal(currency, request.answer)
                self.changed.wait()
        return None

    def settle(self, model: int, answer: Answer) -> None:
        """An answer has ended: what was held for it is free, what it cost is spent."""
        price = self.prices[model]
        with self.changed:
            held = self._held.pop(answer.id, None)
            if price is None or held is None:
                return
            spent, is_estimated = charge_of(answer, price)
            if is_estimated:
                spent = max(spent, price.charge(held.prompt_tokens, 0, answer.tokens))
            self.spent[held.currency] = self.spent.get(held.currency, 0.0) + spent
            self._longest = max(self._longest, answer.tokens)
            self.changed.notify_all()

    def _refusal(self, currency: str, answer: int) -> Failed:
        spent = format_money(self.spent.get(currency, 0.0), currency)
        amount = format_money(self.amounts[currency], currency)
        said = f"not asked: it could pass the budget of {amount}, of which {spent} is spent"
        step = "`duibi run --resume SESSION --budget MONEY` asks the rest"
        return Failed(CAUSE, said, step, answer)


def make_budget(
    amounts: Mapping[str, float] | None,
    prices: list[Price | None],
    board: Board,
    changed: Condition,
) -> Budget:
    """The budget of a run of models of these ``prices``; what ``board`` has of answers was spent
    before."""
    paid = [price_of(head) for head in board.header.models] if board.header else []
    spent: dict[str, float] = {}
    for answer in board.answers.values():
        if price := paid[answer.model]:
            spent[price.currency] = spent.get(price.currency, 0.0) + charge_of(answer, price)[0]
    known = [price for price in prices if price]
    return Budget(_by_currency(amounts or {}, known), prices, changed, spent)


def check_budget(amounts: Mapping[str, float] | None, models: Iterable[ResolvedModel]) -> None:
    """Whether a budget can be kept with these models.

    Raises:
        UserError: what one costs is not known, or in which currency an amount is.
    """
    if amounts is None:
        return
    prices: list[Price] = []
    for model in models:
        if model.price is not None:
            prices.append(model.price)
        elif model.engine == "endpoint" and not _is_here(model):
            raise UserError(
                f"what {model.name} costs is not known: no budget can be kept",
                f'write [prices."{model.name}"] with input and output, for a million tokens, '
                "into your duibi.toml",
            )
    _by_currency(amounts, prices)


def _is_here(model: ResolvedModel) -> bool:
    base, *others = model.base_url.split(",")
    return Service("", base_url=base, other_base_urls=tuple(others)).is_loopback


def _by_currency(amounts: Mapping[str, float], prices: Iterable[Price]) -> dict[str, float]:
    currencies = sorted({price.currency for price in prices})
    if "" in amounts and len(currencies) > 1:
        example = ",".join(f"2{currency}" for currency in currencies)
        raise UserError(
            f"the models are paid in {' and '.join(currencies)}: one amount is not enough",
            f"give one for each: --budget {example}",
        )
    found = {name or (currencies or [""])[0]: amount for name, amount in amounts.items()}
    for currency in currencies if amounts else ():
        if currency not in found:
            raise UserError(
                f"a model is paid in {currency}, for which the budget has no amount",
                f"add it: --budget 2{currency}",
            )
    return found
