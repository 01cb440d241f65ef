"""`duibi run` on a checkpoint that is published reduced, and on a mixture of experts."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from tests.support.commands import in_this_process
from tests.support.mixtures import write_mixture
from tests.support.stored_quantisation import reduce_folder

OPTIONS = ("--questions", "smoke", "--max-new-tokens", "5", "--greedy", "--json")


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reduced")
    whole = tiny.write_llama(place / "whole", stop=319, dtype="float16")
    reduce_folder(whole, place / "awq", "awq")
    return place / "awq"


def test_reduced_and_mixed_models_answer(reduced: Path, tmp_path: Path) -> None:
    mixture = write_mixture(tmp_path / "mixture", "qwen3_moe")
    status, out, err = in_this_process("run", str(reduced), f"{mixture}@int4", *OPTIONS)
    assert status == 0, err
    models: list[dict[str, Any]] = json.loads(out)["models"]
    assert [one["dtype"] for one in models] == ["int4", "int4"], "4 bits are computed in 4 bits"
    assert [one["stored"] for one in models] == ["awq-int4", "bf16"]
    for one in models:
        assert one["error"] is None and len(one["answers"]) == 3
        assert all(answer["output_tokens"] > 0 for answer in one["answers"])


def test_a_quantiser_that_is_not_read_is_named(reduced: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hqq"
    folder.mkdir()
    for file in reduced.iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((reduced / "config.json").read_text())
    (folder / "config.json").unlink()
    config["quantization_config"] = {"quant_method": "hqq"}
    (folder / "config.json").write_text(json.dumps(config))
    status, _, err = in_this_process("run", str(folder), *OPTIONS)
    assert status == 2
    assert "quantised by hqq, which is not read" in err and "Traceback" not in err
