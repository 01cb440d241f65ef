"""What answers cost: the same amount wherever it is shown."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.fault_server import FaultServer, Received, Reply, good_answer
from tests.support.endpoints import clear_proxies
from tui import prices
from tui.board import Answer
from tui.cli import run_command_line as run
from tui.events import Answered
from tui.host import paths
from tui.host.errors import EXIT_BUDGET, UserError
from tui.prices import Price, find_price
from tui.scoring.charges import charge_of, sum_charges
from tui.text.units import format_money

PRICE = Price(2.0, 8.0, 0.5, currency="CNY", as_of="2026-11-01", source="a list")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUIBI_API_KEY", raising=False)


def answer(id_: int, state: str = "answered", tokens: int = 0, **figures: Any) -> Answer:
    told = Answered(id_, "stop", **figures) if state == "answered" else None
    return Answer(
        id_, 0, f"q{id_ // 2}", id_ % 2, "four", 0, state=state, tokens=tokens, figures=told
    )


def own_prices(url: str, text: str = 'currency = "CNY"') -> None:
    paths.config_dir().mkdir(parents=True, exist_ok=True)
    entry = f'[prices."{url}#*"]\ninput = 2000\noutput = 8000\ncached_input = 500\n{text}\n'
    (paths.config_dir() / "duibi.toml").write_text(entry)


def test_cached_tokens_have_a_price_of_their_own() -> None:
    whole = answer(0, prompt_tokens=1000, output_tokens=100, token_source="usage")
    cached = answer(1, prompt_tokens=1000, output_tokens=100, reused=800, token_source="usage")
    assert [charge_of(one, PRICE)[1] for one in (whole, cached)] == [False, False]
    assert charge_of(whole, PRICE)[0] == pytest.approx(0.0028)
    assert charge_of(cached, PRICE)[0] == pytest.approx(0.0016)
    assert charge_of(cached, Price(2.0, 8.0))[0] == pytest.approx(0.0028)
    assert Price.from_json(PRICE.to_json()) == PRICE
    assert Price.from_json({"input": -1, "output": 2}) is Price.from_json("no") is None


def test_what_broke_off_costs_what_came_and_counts_for_no_question() -> None:
    done = answer(0, prompt_tokens=1000, output_tokens=100, token_source="usage")
    cut, never = answer(2, "failed", tokens=50), answer(4, "failed")
    made = sum_charges([(PRICE, [done, cut, never])])
    assert made is not None and made.is_estimated
    assert made.complete == made.per_answer == pytest.approx(0.0028)
    assert made.per_100_questions == pytest.approx(0.28)
    assert made.total == pytest.approx(0.0028 + (1 * 2.0 + 50 * 8.0) / 1e6)
    # Two turns of one question are one question.
    turns = [answer(n, prompt_tokens=1000, output_tokens=100) for n in (0, 1)]
    both = sum_charges([(PRICE, turns)])
    assert both is not None and (both.answers, both.questions) == (2, 1)
    assert sum_charges([(PRICE, turns), (None, turns)]) is None
    assert sum_charges([(PRICE, turns), (Price(1.0, 1.0), turns)]) is None


def test_the_published_prices_have_a_date_and_a_source() -> None:
    for _, _, price in prices._published():
        assert price.as_of and price.source.startswith("https://") and price.output > 0
    found = find_price({}, (), "deepseek", "deepseek-flash")
    assert found is not None and (found.currency, found.output) == ("CNY", 8.0)
    assert find_price({}, (), "", "deepseek-flash") is None  # at another address
    assert find_price({}, (), "openai", "gpt-9") is None
    own = {"openai:*": {"input": 1, "output": 2}, "openai:gpt-4o": {"input": 3, "output": 4}}
    assert find_price(own, ("openai:gpt-4o",), "openai", "gpt-4o") == Price(3.0, 4.0)
    with pytest.raises(UserError, match=r"prices.a has no output"):
        prices.check_table({"a": {"input": 1}})
    with pytest.raises(UserError, match="unknown field 'outptu'") as caught:
        prices.check_table({"a": {"input": 1, "outptu": 1}})
    assert "did you mean output?" in caught.value.next_step


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "$0.00"), (1.984, "$1.98"), (0.0042, "$0.00420"), (0.0995, "$0.0995"), (1e-20, "$0.00")],
)
def test_small_amounts_keep_three_digits(amount: float, shown: str) -> None:
    assert format_money(amount, "USD") == shown
    assert format_money(2, "CHF") == "2.00 CHF"


def test_table_json_csv_and_report_show_the_same_cost(capsys: pytest.CaptureFixture[str]) -> None:
    def cached(reply: Reply, _: Received) -> None:
        reply.head()
        reply.token("yes")
        reply.finish()
        details = {"prompt_tokens_details": {"cached_tokens": 80}}
        counts = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 130}
        reply.data({"choices": [], "usage": counts | details})
        reply.done()

    with FaultServer(cached) as server:
        own_prices(server.url)
        assert run(["run", f"{server.url}#m", "--questions", "smoke", "--out", "o.json"]) == 0
    # 20 of the prompt, 80 cached, and all that is not prompt: 30.
    each = (20 * 2000 + 80 * 500 + 30 * 8000) / 1e6
    out = capsys.readouterr()
    assert "¥0.96 " in out.out and "¥0.32 " in out.out and "¥32.00" in out.out
    assert "¥2000.00 (¥500.00 cached) + ¥8000.00 per million tokens" in out.err
    (model,) = json.loads(Path("o.json").read_text())["models"]
    assert model["cost"]["total"] == pytest.approx(3 * each)
    assert model["cost"]["per_100_questions"] == pytest.approx(100 * each)
    assert [a["cost"] for a in model["answers"]] == [pytest.approx(each)] * 3
    assert {a["currency"] for a in model["answers"]} == {"CNY"}
    assert run(["report", "last", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["cost"]) for row in rows] == [pytest.approx(each)] * 3
    assert run(["report", "last"]) == 0
    report = capsys.readouterr().out
    assert "¥0.32" in report and "¥32.00" in report and "cost per 100 questions" in report


def test_a_budget_is_never_passed_and_the_rest_is_asked_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("many.txt").write_text("".join(f"{n}?\n" for n in range(40)))
    flags = ["--max-new-tokens", "10", "--json"]
    with FaultServer(good_answer("a", "b", prompt=10)) as server:
        own_prices(server.url)
        model = f"{server.url}#m"
        each = (10 * 2000 + 2 * 8000) / 1e6
        most = (18 * 2000 + 10 * 8000) / 1e6  # as many tokens as bytes, and 16 around them
        assert (
            run(["run", model, "--questions", "many.txt", "--budget", "0.5", *flags]) == EXIT_BUDGET
        )
        out = capsys.readouterr()
        made = json.loads(out.out)["models"][0]
        done = server.asked
        assert made["cost"]["total"] == pytest.approx(done * each) and done * each <= 0.5
        assert done * each + most > 0.5, "it stopped though there was money"
        assert {a["cause"] for a in made["answers"]} == {None, "budget"}
        assert "budget of ¥0.50, of which" in out.err
        assert run(["run", "--resume", "last", "--budget", "9CNY", "--json"]) == 0
        assert server.asked == 40
    made = json.loads(capsys.readouterr().out)["models"][0]
    assert made["cost"]["total"] == pytest.approx(40 * each)


def test_a_budget_needs_prices_and_an_amount_of_each_currency(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI", "DEEPSEEK"):
        monkeypatch.setenv(f"{name}_API_KEY", "k")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    flags = ["--questions", "smoke", "--budget"]
    for models, amount, told in (
        (["openai:gpt-9"], "1", "what openai:gpt-9 costs is not known"),
        (["http://gpu-box.invalid/v1#m"], "1", "costs is not known"),
        (["openai:gpt-4o", "deepseek:deepseek-flash"], "1", "paid in CNY and USD"),
        (["deepseek:deepseek-flash"], "1USD", "paid in CNY, for which the budget has no amount"),
        (["openai:gpt-4o"], "-1", "an amount of money"),
        (["openai:gpt-4o"], "1,2", "an amount of money"),
    ):
        assert run(["run", *models, *flags, amount]) == 2
        assert told in capsys.readouterr().err
    assert not list(paths.sessions_dir().iterdir())
