"""What may be loaded when, and who imports whom: no circles, no heavy library too early."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.imports import (
    by_room,
    circles,
    foreign_packages,
    function_level_imports,
    import_graph,
    packages,
)

HEAVY = {
    "textual",
    "torch",
    "transformers",
    "modelscope_hub",
    "sentencepiece",
    "tiktoken",
    "httpx2",
    "numpy",
}


def loaded_after(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_the_command_line_starts_light() -> None:
    assert loaded_after("import tui.cli") & HEAVY == set()


@pytest.mark.parametrize(
    "room",
    [
        "board",
        "settings",
        "run.conductor",
        "run.setup",
        "engines.local",
        "sessions.reader",
        "cli.commands.doctor",
        "cli.support.live_run",
    ],
)
def test_nothing_outside_the_worker_loads_torch_and_nothing_outside_app_textual(room: str) -> None:
    assert loaded_after(f"import tui.{room}") & HEAVY == set()


def test_the_screen_runs_without_torch() -> None:
    assert loaded_after("import tui.app.main, tui.app.app") & (HEAVY - {"textual"}) == set()


def test_no_module_and_no_room_imports_itself_by_way_of_others() -> None:
    """Imports within functions and those for type checkers count."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    graph = import_graph()
    assert len(graph) > 200 and sum(map(len, graph.values())) > 1000
    assert circles(graph) == []
    rooms = {package: by_room(graph, package) for package in packages(graph)}
    assert {"tui", "tui.app", "tui.worker"} <= rooms.keys()
    assert {package: found for package, inner in rooms.items() if (found := circles(inner))} == {}


def test_only_the_command_line_sees_all_settings() -> None:
    rooms = by_room(import_graph(), "tui")
    assert [name for name, targets in rooms.items() if "tui.settings" in targets] == ["tui.cli"]


def test_every_import_within_a_function_is_listed_with_its_reason() -> None:
    path = Path(__file__).parent / "data" / "function_level_imports.toml"
    groups = tomllib.loads(path.read_text("utf-8"))["group"]
    assert all(group["reason"].strip() for group in groups)
    listed = [one for group in groups for one in group["imports"]]
    assert len(listed) == len(set(listed))
    found = function_level_imports()
    new, gone = sorted(found - set(listed)), sorted(set(listed) - found)
    assert not new, f"to the top of the module, or into {path.name} with a reason: {new}"
    assert not gone, f"no longer there, remove from {path.name}: {gone}"


def _project_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_every_package_that_the_program_imports_is_declared() -> None:
    """Also one that another package brings along: that one may leave it out some day."""
    path = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    extras = [one for of in project["optional-dependencies"].values() for one in of]
    declared = {_project_name(one) for one in [*project["dependencies"], *extras]}
    owners = metadata.packages_distributions()
    undeclared = {
        name: owners[name]
        for name in foreign_packages()
        if name in owners and not declared & {_project_name(owner) for owner in owners[name]}
    }
    assert undeclared == {}


def test_every_package_of_the_core_and_of_extras_has_a_use_and_bounds() -> None:
    """Nothing is declared that the program does not import, but for what brings a command."""
    path = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["local"], *extras["gguf"], *extras["docx"]]
    owners = metadata.packages_distributions()
    used = {_project_name(one) for name in foreign_packages() for one in owners.get(name, ())}
    unused = {_project_name(one) for one in declared} - used
    assert unused <= {"modelscope", "xllamacpp"}, unused
    assert [one for one in declared if ">=" not in one] == []
