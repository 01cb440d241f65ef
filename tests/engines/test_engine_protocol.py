"""`Engine` declares all that a run uses of a model."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tui.run
from tests.support.engines import EchoEngine
from tui.engines.base import Engine
from tui.engines.endpoint import EndpointEngine
from tui.engines.local import LocalEngine
from tui.engines.pasted import PastedEngine
from tui.engines.recorded import RecordedEngine
from tui.services import known_services

RUN = Path(tui.run.__file__).parent
MEMBERS = {name for name in {*vars(Engine), *Engine.__annotations__} if not name.startswith("_")}


def engines(folder: Path) -> list[Engine]:
    """One of each class. A type checker compares each with the protocol here."""
    local: Engine = LocalEngine(folder, "bf16", 1, folder / "log")
    endpoint: Engine = EndpointEngine(known_services({})["openai"], "m")
    pasted: Engine = PastedEngine({})
    recorded: Engine = RecordedEngine([], 0)
    echo: Engine = EchoEngine()
    return [local, endpoint, pasted, recorded, echo]


def is_engine(node: ast.expr) -> bool:
    return "engine" in ast.unparse(node).lower()


def calls() -> Iterator[tuple[str, ast.Call]]:
    for file in sorted(RUN.glob("**/*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                yield f"{file.name}:{node.lineno}", node


def test_every_engine_has_all_members(tmp_path: Path) -> None:
    for engine in engines(tmp_path):
        missing = [name for name in MEMBERS if not hasattr(engine, name)]
        assert not missing, (type(engine).__name__, missing)


def test_a_run_does_not_ask_what_kind_of_engine_it_has() -> None:
    asked = [
        place
        for place, call in calls()
        if isinstance(call.func, ast.Name)
        and call.func.id in ("getattr", "hasattr", "isinstance", "issubclass", "type")
        and any(map(is_engine, call.args))
    ]
    assert asked == []


def test_a_run_uses_only_what_the_protocol_declares() -> None:
    used = {
        (file.name, node.attr)
        for file in sorted(RUN.glob("**/*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).rpartition(".")[2] == "engine"
        and ast.unparse(node.value) not in ("model", "tui.engine")
    }
    assert {"trouble", "paste", "abort"} <= {name for _, name in used}
    assert {name for _, name in used} <= MEMBERS


@pytest.mark.parametrize("member", ["concurrency", "interactive_slots", "has_process", "pid"])
def test_the_members_a_run_asks_for_are_declared(member: str) -> None:
    assert member in MEMBERS
