from pathlib import Path

import pytest

from tests.support.cloned_folder import SECRETS
from tests.support.endpoints import clear_proxies


@pytest.fixture(autouse=True)
def cloned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which somebody else filled; secrets are in the environment."""
    clear_proxies(monkeypatch)
    for name in ("OPENAI", "DEEPSEEK", "DASHSCOPE"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    folder = tmp_path / "cloned"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
