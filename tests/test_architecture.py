"""ARCHITECTURE.md names every folder of the program, and none that is not there; files of others
are opened in one place."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows_of_the_map() -> dict[str, str]:
    """What the map says of each folder."""
    found = re.findall(r"^\| `(\S+)/` \| (.+) \|$", section("Map"), re.MULTILINE)
    assert len(found) == len({folder for folder, _ in found})
    return dict(found)


def folders_with_modules() -> set[str]:
    return {str(path.parent.relative_to(ROOT)) for path in (ROOT / "tui").rglob("*.py")}


def test_the_map_names_every_folder_with_modules() -> None:
    assert folders_with_modules() - rows_of_the_map().keys() == set()


def test_every_folder_of_the_map_is_there() -> None:
    assert rows_of_the_map().keys() - folders_with_modules() == set()


def test_the_map_names_the_modules_that_are_rooms_of_their_own() -> None:
    rooms = {path.name for path in (ROOT / "tui").glob("*.py") if not path.name.startswith("__")}
    assert rooms - set(re.findall(r"`(\w+\.py)`", rows_of_the_map()["tui"])) == set()


def test_the_floors_are_those_of_the_contract() -> None:
    """Line by line, as import-linter is told in pyproject.toml."""
    drawn = [
        frozenset(re.findall(r"\w+", re.split(r"\s{4,}", line.strip())[0]))
        for line in section("Floors").splitlines()
        if line.startswith("    ")
    ]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (floors,) = (c for c in contracts["importlinter"]["contracts"] if c["type"] == "layers")
    told = [frozenset(re.findall(r"\w+", layer)) for layer in floors["layers"]]
    assert drawn == told


OWN_FILES = {
    "app/app.py": "the log",
    "checkpoints/build_cache.py": "the cache of built weights",
    "checkpoints/native_types.py": "the source of the installed transformers",
    "cli/support/logs.py": "the log",
    "engines/worker_process.py": "the worker's log",
    "host/agreements.py": "what a person agreed to",
    "host/cgroup.py": "the kernel's",
    "host/filesystem.py": "the kernel's",
    "host/foreign_files.py": "the opener",
    "host/format_speeds.py": "what this program measured",
    "host/kernel_compiler.py": "comes with the program, and what was compiled of it",
    "host/kernel_library.py": "what was compiled here",
    "host/owned_file.py": "what was compiled here, after it was checked",
    "host/page_cache.py": "asks the kernel about what the opener has seen",
    "host/save_file.py": "a new file",
    "host/system.py": "the kernel's, and a socket of our own",
    "host/terminal.py": "/dev/null",
    "models/catalogue.py": "comes with the program",
    "models/families.py": "comes with the program",
    "models/consent.py": "what this program remembers",
    "models/demo.py": "what was downloaded here",
    "models/net.py": "what is downloaded here, and a file:// that the user's pip names",
    "models/package_index.py": "a file:// that the user's pip names",
    "models/hub.py": "the log",
    "models/caches.py": "which revision a hub's own tools took",
    "models/huggingface.py": "what was downloaded, and which revision that is",
    "reports/html.py": "comes with the program",
    "reports/pdf.py": "the page and the PDF in a folder of its own",
    "prices.py": "comes with the program",
    "services/__init__.py": "comes with the program",
    "sessions/staging.py": "the local copy of a session",
    "sessions/storage.py": "new files, and folders",
    "text/messages.py": "comes with the program",
    "worker/gguf/llama_server.py": "a socket that llama.cpp made here",
    "worker/kernels/abi.py": "what was compiled here",
    "worker/quant/aligned_safetensors.py": "a new file",
    "worker/quant/calibrate.py": "comes with the program",
}
"""The modules that open files by themselves, and whose files these are."""


def opens_a_file(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "open"
    if not isinstance(node.func, ast.Attribute):
        return False
    owner = node.func.value
    is_os = isinstance(owner, ast.Name) and owner.id == "os"
    mode = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
    is_open = node.func.attr == "open" and (is_os or mode[:1] in (["rb"], ["r"], ["w"], ["wb"]))
    is_read = node.func.attr in ("read_text", "read_bytes")
    return is_open or (is_read and not (isinstance(owner, ast.Name) and owner.id in READERS))


READERS = ("foreign_files", "cgroup", "reader")
"""Modules of ours with a function of such a name."""


def test_every_other_module_opens_files_by_the_one_opener() -> None:
    root = ROOT / "tui"
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if any(map(opens_a_file, ast.walk(ast.parse(path.read_text("utf-8")))))
    }
    assert found <= set(OWN_FILES), "open it with tui.host.foreign_files"


def asks_which_system(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return (node.value.id, node.attr) in {("sys", "platform"), ("os", "name"), ("os", "uname")}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        owner = node.args[0]
        return node.func.id in ("getattr", "hasattr") and ast.unparse(owner) in LIBRARIES
    return False


LIBRARIES = ("os", "resource", "select", "signal", "socket", "time")
"""What has parts on some systems only."""


def is_a_path_of_the_kernel(node: ast.AST) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and text.lstrip("/").startswith(("proc/", "sys/"))


def test_what_differs_between_systems_stands_in_one_module() -> None:
    """What reads the kernel's files stands beside it, and is told there whether they are."""
    root = ROOT / "tui"
    asking, reading = set(), set()
    for path in root.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        asking |= {str(path.relative_to(root)) for node in nodes if asks_which_system(node)}
        reading |= {path.parent.name for node in nodes if is_a_path_of_the_kernel(node)}
    # The first module says that there is no Windows, before it imports another.
    assert asking == {"__init__.py", "host/system.py"}
    assert reading == {"host"}
