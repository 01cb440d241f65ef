"""Which model types the installed transformers can run as text models, read from its source:
importing it takes seconds.

Tables: ``CONFIG_MAPPING_NAMES`` and ``SPECIAL_MODEL_TYPE_TO_MODULE_NAME`` (types, and the module
of each) and ``MODEL_FOR_CAUSAL_LM_MAPPING_NAMES`` (types with a class that writes text) of
``transformers/models/auto``.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

SAME_OF_TEXT = {"glm4v_text": "glm4", "glm4v_moe_text": "glm4_moe"}
"""Text halves that have no class to write text with, and the type whose class computes the same:
the parts of a head are turned by different positions where an image is seen, and by one in a text.
"""


def has_native_class(model_type: str) -> bool:
    """Whether the installed transformers knows a model type and has a class that writes text for
    it."""
    written = SAME_OF_TEXT.get(model_type, model_type)
    return is_known_type(model_type) and written in _table("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")


def is_known_type(model_type: str) -> bool:
    """Whether the installed transformers has a configuration for a model type."""
    return model_type in _table("CONFIG_MAPPING_NAMES")


@cache
def reaches_experts(model_type: str) -> bool:
    """Whether int8 and int4 reach the experts of a mixture of this type: those whose modules
    transformers marks with how their weights lie (``use_experts_implementation``)."""
    return "use_experts_implementation" in _modeling(model_type)


@cache
def reaches_layers(model_type: str) -> bool:
    """Whether int8 and int4 reach the layers of this type: those of GPT-2's time are no linear ones
    to torch."""
    return " Conv1D(" not in _modeling(model_type)


@cache
def transposes_experts(model_type: str) -> bool:
    """Whether experts of this type are stored as (inputs, outputs): they are copied to be computed
    in bf16, where other weights lie in the mapped file."""
    return "is_transposed=True" in _modeling(model_type)


@cache
def may_be_encoder(model_type: str) -> bool:
    """Whether models of this type write text only where their configuration says so
    (``is_decoder``): BERT and its like."""
    module = _module(model_type)
    source = _source(f"{module}/configuration_{module}.py") if module.isidentifier() else ""
    return "is_decoder:" in source


def _modeling(model_type: str) -> str:
    """The source of a type's classes, empty where there is none."""
    module = _module(model_type)
    return _source(f"{module}/modeling_{module}.py") if module.isidentifier() else ""


@cache
def default_sizes(model_type: str) -> dict[str, Any]:
    """The values that the configuration class of a type has where a config.json says nothing;
    only numbers, empty for a type that is not known."""
    name = _table("CONFIG_MAPPING_NAMES").get(model_type)
    module = _module(model_type)
    source = _source(f"{module}/configuration_{module}.py") if module.isidentifier() else ""
    found: dict[str, Any] = {}
    for made in ast.parse(source).body:
        if isinstance(made, ast.ClassDef) and made.name == name:
            for line in made.body:
                if (
                    isinstance(line, ast.AnnAssign)
                    and isinstance(line.target, ast.Name)
                    and isinstance(line.value, ast.Constant)
                    and type(line.value.value) is int
                ):
                    found[line.target.id] = line.value.value
    return found


def _module(model_type: str) -> str:
    """The folder of a type's module."""
    special = _table("SPECIAL_MODEL_TYPE_TO_MODULE_NAME")
    return str(special.get(model_type, model_type)).replace("-", "_").replace(".", "_")


@cache
def _table(name: str) -> dict[str, Any]:
    """The entries of ``NAME = OrderedDict([(key, value), ...])``, empty where there is none."""
    for file in ("auto/auto_mappings.py", "auto/configuration_auto.py", "auto/modeling_auto.py"):
        _, found, behind = _source(file).partition(f"\n{name} = OrderedDict(\n")
        if found:
            return dict(ast.literal_eval(behind.partition("\n)")[0].strip()))
    return {}


@cache
def _source(file: str) -> str:
    spec = importlib.util.find_spec("transformers")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "models" / file
        if path.is_file():
            return path.read_text("utf-8")
    return ""
