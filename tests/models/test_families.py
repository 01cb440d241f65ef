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


@pytest.mark.parametrize(
    ("name", "licence", "context"),
    [
        ("Qwen2.5-Coder-1.5B-Instruct-Q4_K_M.gguf", "Apache-2.0", "32K"),
        ("ms:Qwen/Qwen2.5-Coder-3B-Instruct", "Qwen Research", "32K"),
        ("ollama:qwen2.5:72b", "Qwen", "128K"),
        ("qwen2_5-7b-instruct", "Apache-2.0", "128K"),
        ("ms:Qwen/Qwen-14B-Chat", "Tongyi Qianwen", "8K"),
        ("ms:Qwen/Qwen-7B-Chat", "Tongyi Qianwen", "32K"),
        (
            "ms:ZhipuAI/chatglm3-6b",
            "ChatGLM3-6B Model License",
            "8K; 32K and 128K as models of their own",
        ),
        ("demo", "Apache-2.0", "8K"),
    ],
)
def test_of_a_size_only_its_own_facts_are_told(name: str, licence: str, context: str) -> None:
    found = find_family([name])
    assert found is not None and (found.licence, found.context) == (licence, context)
