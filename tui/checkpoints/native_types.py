"""Which model types the installed transformers can run as text models, read from its source:
importing it takes seconds.

Tables: ``CONFIG_MAPPING_NAMES`` and ``SPECIAL_MODEL_TYPE_TO_MODULE_NAME`` (types, and the module
of each), ``MODEL_FOR_CAUSAL_LM_MAPPING_NAMES`` (types with a class that writes text), and of those
that also see or hear ``MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES`` and
``MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES``, of ``transformers/models/auto``.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_WHOLES = ("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES")
"""Tables of the types that also see or hear, and the class of each."""


def has_native_class(model_type: str) -> bool:
    """Whether the installed transformers knows a model type and has a class that writes text for
    it."""
    return is_known_type(model_type) and model_type in _table("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")


@cache
def text_model_class(whole: str, text: str) -> str:
    """``MODULE.CLASS`` of the text model of a type that also sees or hears, where transformers has
    no class of the text half's own type that writes text: empty where there is none, or where the
    class of the whole makes more of what the text model says than a `Head` does."""
    config, module = _table("CONFIG_MAPPING_NAMES").get(text), _module(text)
    if has_native_class(text) or not config or head_of(whole) is None:
        return ""
    for made in _classes(_modeling(text)):
        if made.name.endswith("TextModel") and config in _configs(made):
            return f"{module}.{made.name}"
    return ""


@dataclass(frozen=True, slots=True)
class Head:
    """How a class makes logits of what its text model says: by a linear head, whose values are
    multiplied with a number, divided by one, and capped by one, where these names of the text
    half's configuration are not empty."""

    factor: str = ""
    divisor: str = ""
    cap: str = ""


@cache
def head_of(whole: str) -> Head | None:
    """The head of the class of a type that also sees or hears; None where there is no class, or
    more is done to the logits than a `Head` says."""
    known = _table(_WHOLES[0]) | _table(_WHOLES[1])
    name = known.get(whole, "")
    # Some types have the class of another.
    kinds = [kind for kind, found in known.items() if found == name]
    forward = next(
        (
            step
            for kind in kinds
            for made in _classes(_modeling(kind))
            if made.name == name
            for step in made.body
            if isinstance(step, ast.FunctionDef) and step.name == "forward"
        ),
        None,
    )
    steps = (
        [ast.unparse(step) for step in ast.walk(forward) if _sets_logits(step)] if forward else []
    )
    found = _HEAD.fullmatch("\n".join(steps))
    return Head(*(found[part] or "" for part in ("factor", "divisor", "cap"))) if found else None


_NUMBER = r"self\.(?:config\.)?(?:text_config\.)?"
_HEAD = re.compile(
    r"logits = self\.lm_head\((?:[^()]|\([^()]*\))*\)"
    rf"(?:\nlogits = logits \* {_NUMBER}(?P<factor>\w+))?"
    rf"(?:\nlogits = logits / {_NUMBER}(?P<divisor>\w+))??"
    rf"(?:\nlogits = logits / {_NUMBER}(?P<cap>\w+)\nlogits = torch\.tanh\(logits\)"
    rf"\nlogits = logits \* {_NUMBER}(?P=cap))?"
)
"""All that is done to the logits, a line each."""


def _sets_logits(step: ast.AST) -> bool:
    if not isinstance(step, ast.Assign | ast.AugAssign):
        return False
    places = step.targets if isinstance(step, ast.Assign) else [step.target]
    return any(ast.unparse(place).partition("[")[0] == "logits" for place in places)


def _classes(source: str) -> list[ast.ClassDef]:
    return [made for made in ast.parse(source).body if isinstance(made, ast.ClassDef)]


def _configs(made: ast.ClassDef) -> set[str]:
    """The classes of configurations that a class says it is made of."""
    fields = [line for line in made.body if isinstance(line, ast.AnnAssign)]
    found = {ast.unparse(one.annotation) for one in fields if ast.unparse(one.target) == "config"}
    for step in made.body:
        if isinstance(step, ast.FunctionDef) and step.name == "__init__":
            given = [one for one in step.args.args if one.arg == "config" and one.annotation]
            found |= {ast.unparse(one.annotation) for one in given if one.annotation}
    return found


def is_known_type(model_type: str) -> bool:
    """Whether the installed transformers has a configuration for a model type."""
    return model_type in _table("CONFIG_MAPPING_NAMES")


@dataclass(frozen=True, slots=True)
class ModuleNames:
    """Names of the parts of a type's modules: ``tables`` of rows that are looked up, and ``others``
    that are neither these nor linear layers which are only called. ``marks_experts``: transformers
    marks how its experts lie (``use_experts_implementation``); ``fuses_experts``: they are
    parameters and no linear layers."""

    tables: frozenset[str]
    others: frozenset[str]
    marks_experts: bool
    fuses_experts: bool


READ = re.compile(r"self\.(\w+)\.(?:weight|bias)\b(?!\.(?:dtype|device|shape)\b|\[)")
"""Where a module computes with the numbers of a layer of its own, and not by calling it. Rows cut
out of it are Bloom's, whose code for several devices is never run."""
NOT_RUN = re.compile(r"__init__|_?init_|cuda_")
"""Beginnings of the names of methods that no answer by the CPU runs."""
_EXPERT_PARAMETERS = ("gate_up_proj", "up_proj", "down_proj")


@cache
def module_names(model_type: str) -> ModuleNames:
    """Names of the parts of the modules of a type's text model."""
    source = _modeling(model_type)
    linear, tables, others, read, fuses = set(), set(), set(), set(), False
    for made in _classes(source):
        if "Vision" in made.name or "Audio" in made.name:
            continue
        for name, value in _assigned(made):
            if "nn.Linear(" in value:
                linear.add(name)
            elif re.match(r"[\w.]*Embedding\(", value):
                tables.add(name)
            elif "(" in value:
                others.add(name)
                fuses |= name in _EXPERT_PARAMETERS and value.startswith("nn.Parameter(")
        read |= _read_by(made)
    rest = frozenset((others - linear - tables) | read)
    return ModuleNames(frozenset(tables), rest, "use_experts_implementation" in source, fuses)


def _assigned(made: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The attributes that a class gives its instances when they are made, and of what."""
    for step in made.body:
        if isinstance(step, ast.FunctionDef) and step.name == "__init__":
            for line in ast.walk(step):
                if isinstance(line, ast.Assign):
                    value = ast.unparse(line.value)
                    for place in map(ast.unparse, line.targets):
                        if place.startswith("self.") and place.count(".") == 1:
                            yield place.removeprefix("self."), value


def _read_by(made: ast.ClassDef) -> set[str]:
    """The layers whose numbers the methods of a class compute with."""
    steps = [one for one in made.body if isinstance(one, ast.FunctionDef)]
    run = [ast.unparse(one) for one in steps if not NOT_RUN.match(one.name)]
    return {name for text in run for name in READ.findall(text)}


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
    for made in _classes(source):
        if made.name == name:
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
    """The entries of ``NAME = OrderedDict([(key, value), ...])`` that stand there themselves, empty
    where there is no such table."""
    for file in ("auto/auto_mappings.py", "auto/configuration_auto.py", "auto/modeling_auto.py"):
        _, found, behind = _source(file).partition(f"\n{name} = OrderedDict(\n")
        if found:
            listed: Any = ast.parse(behind.partition("\n)")[0].strip(), mode="eval").body
            return dict(ast.literal_eval(one) for one in listed.elts if isinstance(one, ast.Tuple))
    return {}


@cache
def _source(file: str) -> str:
    spec = importlib.util.find_spec("transformers")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "models" / file
        if path.is_file():
            return path.read_text("utf-8")
    return ""
