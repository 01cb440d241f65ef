"""`duibi bench` on a tiny checkpoint, through the real worker."""

import json
from pathlib import Path

import pytest

from tests.support import tiny
from tui.cli import call as run


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(tmp_path / "cache"))
    folder = tiny.llama(tmp_path / "tiny")
    (folder / "generation_config.json").write_text("{}")
    return str(folder)


def test_figures_of_each_batch_as_json(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--prompt", "100", "--new", "12", "--repeat", "2", "--batch", "1,3", "--json"]
    assert run(["bench", f"{model}@int8", *given]) == 0
    found = json.loads(capsys.readouterr().out)
    one, three = found["results"]
    assert (one["batch"], three["batch"]) == (1, 3)
    assert 60 < one["prompt_tokens"] < 140
    assert one["new_tokens"] == three["new_tokens"] == 12
    for each in (one, three):
        assert each["decode_tok_s"] > 0 and each["prefill_tok_s"] > 0 and each["ttft_ms"] > 0
        assert each["all_tok_s"] < 3 * each["decode_tok_s"]
        assert 0 < each["bandwidth_share"] < 1
        # Every weight is read once a step, but the embedding, which is looked up.
        assert 100_000 < each["bytes_read"] < 400_000
    assert found["read_bytes_s"] > 1e8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "which models?"),
        (["demo", "--batch", "1,x"], "'1,x' is no list"),
        (["demo", "--batch", "0"], "'0' is no list"),
        (["pasted:me"], "is not computed here"),
    ],
)
def test_nonsense_is_refused(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *given]) == 2
    assert said in capsys.readouterr().err
