"""Reduced weights are found, and removed, by the checkpoint they were made of."""

import json
from pathlib import Path

import pytest

from tui.checkpoints import build_cache, quantised_cache
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.host.errors import UserError
from tui.models import remove
from tui.models.reference import parse_reference


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(tmp_path / "cache"))
    made = tmp_path / "Qwen"
    made.mkdir()
    (made / "config.json").write_text("{}")
    return made


def keep(source: Path, dtype: str) -> Path:
    place = quantised_cache.root() / f"{source.name}-{dtype}"
    place.mkdir(parents=True)
    said = {"source": str(source.resolve()), "dtype": dtype}
    (place / build_cache.MANIFEST).write_text(json.dumps(said))
    return place


def test_what_was_made_of_a_persons_folder_is_removed_without_it(folder: Path) -> None:
    with pytest.raises(UserError, match="a folder of yours"):
        remove.removable_paths(parse_reference(str(folder)))
    places = [keep(folder, dtype) for dtype in QUANTISED_DTYPES]
    other = keep(folder.with_name("Qwen-2"), "int8")
    found = remove.removable_paths(parse_reference(str(folder)))
    assert sorted(found) == sorted(places)
    remove.remove(found)
    assert [one.folder for one in quantised_cache.entries()] == [other]
    assert folder.is_dir()


def test_a_broken_manifest_is_nobodys(folder: Path) -> None:
    (keep(folder, "int8") / build_cache.MANIFEST).write_text("[]")
    assert not list(quantised_cache.entries())
