"""What a cloned folder or a session that was sent may cost: no more than by oneself."""

import re
from pathlib import Path

import pytest

from benchmarks.support.fault_server import (
    FaultServer,
    good_answer,
)
from tests.support.cloned_folder import says, sent_session, service
from tui import settings, trust
from tui.cli import run_command_line as run
from tui.host import paths


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("openai", "body = { max_completion_tokens = 100000 }"),
        ("openai", 'body = { service_tier = "priority" }'),
        ("openai", "body = { web_search_options = {} }"),
        ("openai", 'think = "on"'),
        ("quick", 'like = "dashscope"\nbody = { enable_thinking = true }'),
        ("quick", 'like = "dashscope"\nbody = { enable_search = true }'),
        ("quick", 'like = "dashscope"\nthink = "on"\nthinking_on = { thinking_budget = 99999 }'),
        ("dashscope", 'max_tokens_field = "unheard_of"'),
        ("dashscope", "include_usage = false"),
        ("dashscope", 'budget_field = "max_tokens"'),
        ("openrouter", 'effort_field = "service_tier"'),
        ("box", 'base_url = "http://box:1/v1"\nkey_variable = "BOX_KEY"'),
    ],
)
def test_requests_that_cost_more_are_made_after_an_agreement_that_shows_them(
    name: str, entry: str, cloned: Path
) -> None:
    """The last one takes away the limit that the person's own entry names."""
    own = service("http://box:1/v1", "BOX_KEY", "box") + 'max_tokens_field = "num_predict"\n'
    (paths.config_dir() / "duibi.toml").write_text(own)
    says(cloned, f"[services.{name}]\n{entry}\n")
    found = settings.load()
    assert found.folder_file is not None
    (claim,) = trust.needed_claims(found.folder_file, [f"{name}:m"])
    field = "max_tokens_field" if name == "box" else re.findall(r"(\w+) = ", entry)[-1]
    assert f'{field}": ' in claim.says
    kept = {"box": {"base_url", "key_variable", "max_tokens_field"}}.get(name, set())
    assert set(found.run.services.get(name, ())) == kept
    claim.agree()
    assert name in settings.load().run.services
    # What else it adds is another matter.
    says(cloned, f"[services.{name}]\n{entry}\nthinking_off = {{ more = true }}\n")
    assert trust.needed_claims(settings.load().folder_file, [f"{name}:m"])


def test_an_agreement_shows_all_of_a_request_or_says_that_it_does_not(cloned: Path) -> None:
    fields = ", ".join(f'a{n} = "x"' for n in range(100))
    says(cloned, f'[services.openai]\nbody = {{ {fields}, service_tier = "priority" }}\n')
    (claim,) = trust.needed_claims(settings.load().folder_file, ["openai:m"])
    assert "more than can be shown in requests" in claim.says


def test_prices_are_ones_own(cloned: Path) -> None:
    says(cloned, '[prices."openai:*"]\ninput = 0\noutput = 0\n')
    found = settings.load({}, cloned, {})
    assert found.run.prices == {} and "prices (only from your own file)" in str(found.folder_file)


@pytest.mark.parametrize(
    ("theirs", "is_in_force"),
    [
        ("1000", False),
        ("2.5", False),
        ("1CNY", False),
        ("2USD,1CNY", False),
        ("2", True),
        ("1", True),
        ("0", True),
    ],
)
def test_a_budget_is_never_raised(theirs: str, is_in_force: bool, cloned: Path) -> None:
    (paths.config_dir() / "duibi.toml").write_text('budget = "2"\n')
    says(cloned, f'budget = "{theirs}"\nseed = 3\n')
    found = settings.load()
    assert found.run.budget == {"": float(theirs)} if is_in_force else {"": 2.0}
    assert ("budget (more than your own)" in str(found.folder_file)) is not is_in_force
    assert found.run.seed == 3


def test_a_budget_that_is_higher_stops_no_command(
    cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is asked about it: one's own counts. Nothing at all is less in every currency, and an
    amount of no currency is no budget."""
    (paths.config_dir() / "duibi.toml").write_text('budget = "0.0001USD"\n')
    says(cloned, 'budget = "9USD"\n')
    with FaultServer(good_answer("Paris"), models=("m",)) as server:
        assert run(["run", f"{server.url}#m", "--questions", "smoke"]) == 0
    assert "budget (more than your own)" in capsys.readouterr().err
    says(cloned, 'budget = "0"\n')
    assert settings.load().run.budget == {"USD": 0.0}
    says(cloned, "budget = {}\n")
    assert settings.load().run.budget == {"USD": 0.0001}


@pytest.mark.parametrize(
    ("own", "theirs", "is_in_force"),
    [
        ("", 'think = "high"', False),
        ("", 'think = "low"', False),
        ("", 'think = "on"', False),
        ('think = "off"', 'think = "low"', False),
        ('think = "high"', 'think = "medium"', True),
        ('think = "on"', 'think = "off"', True),
        ("", "think_tokens = 9", False),
        ("think_tokens = 9", "think_tokens = 8", True),
        ("", "logprobs = 20", False),
        ("logprobs = 3", "logprobs = 2", True),
    ],
)
def test_no_more_is_asked_of_a_model_than_by_oneself(
    own: str, theirs: str, is_in_force: bool, cloned: Path
) -> None:
    (paths.config_dir() / "duibi.toml").write_text(own)
    mine = settings.load()
    says(cloned, f"seed = 3\n{theirs}\n")
    found, name = settings.load(), theirs.partition(" ")[0]
    assert (found.value_of(name) == mine.value_of(name)) is not is_in_force
    assert (f"{name} (more than your own)" in str(found.folder_file)) is not is_in_force
    assert found.run.seed == 3


def test_a_service_that_thinks_less_is_in_force(cloned: Path) -> None:
    box = service("http://box:1/v1", "BOX_KEY", "box") + 'thinking_on = { a = 1 }\nthink = "on"\n'
    (paths.config_dir() / "duibi.toml").write_text(box)
    says(cloned, box.replace('"on"', '"off"') + "thinking_off = { a = 0 }\n")
    found = settings.load().folder_file
    assert found is not None and found.withheld  # it adds a field that nobody knows
    says(cloned, box.replace('"on"', '""'))
    assert settings.load().run.services["box"]["think"] == ""


def test_a_session_raises_no_budget(cloned: Path) -> None:
    price = '[prices."*"]\ninput = 1000000\noutput = 1000000\n'
    says(paths.config_dir(), f'budget = "0.01"\n{price}')
    with FaultServer(good_answer("because"), models=("m",)) as server:
        name = f"{server.url}#m"
        run(["run", name, "--questions", "smoke"])  # so that its address is agreed to
        label = f"m (127.0.0.1:{server.port})"
        path = sent_session(cloned, name, label, settings={"budget": {"": 1e9}})
        assert run(["run", "--resume", str(path)]) == 5
        assert run(["run", "--resume", str(path), "--budget", "999999999"]) == 0
