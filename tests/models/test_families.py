"""What is published of well-known models, found by what a model is called."""

import pytest

from tui.models.families import find_family
from tui.reports.overview import LANGUAGES


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("demo", "SmolLM2"),
        ("demo@int8", "SmolLM2"),
        ("/models/Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf", "Qwen2.5-Coder"),
        ("ms:Qwen/Qwen2.5-3B-Instruct", "Qwen2.5"),
        ("ollama:qwen2.5:0.5b", "Qwen2.5"),
        ("ms:Qwen/Qwen3-0.6B", "Qwen3"),
        ("ms:Qwen/Qwen-7B-Chat", "Qwen"),
        ("ms:ZhipuAI/chatglm3-6b", "ChatGLM3"),
    ],
)
def test_a_model_is_found_by_its_name(name: str, title: str) -> None:
    found = find_family([name])
    assert found is not None
    assert found.title == title
    assert found.source.startswith("https://")
    assert set(found.languages) <= set(LANGUAGES)
    assert all((found.developer, found.developer_zh, found.licence, found.sizes, found.context))


@pytest.mark.parametrize(
    "name",
    [
        *("my-demonstration", "ms:Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-7B-Instruct-1M"),
        *("Qwen3-4B-Instruct-2507", "Qwen3-30B-A3B", "Qwen3-Coder-30B-A3B", "democracy-7b", ""),
    ],
)
def test_models_of_other_facts_are_not_taken_for_it(name: str) -> None:
    assert find_family([name]) is None
