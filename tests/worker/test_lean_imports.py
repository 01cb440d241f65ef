"""What transformers brings along and no worker uses is not loaded, and is there when asked for."""

import json
import subprocess
import sys
from importlib.abc import Loader
from types import ModuleType

from tui.worker.lean_imports import _TransformersLoader

PROGRAM = """
import json, sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from tui.worker.process.loop import import_libraries

import_libraries()
import torch, transformers
from transformers.utils import import_utils

loaded = sorted(sys.modules)
models = Path(transformers.__file__).parent / "models"
spec = PathFinder.find_spec(import_utils.__name__, transformers.utils.__path__)
usual = module_from_spec(spec)
spec.loader.exec_module(usual)
same = import_utils.define_import_structure(models) == usual.define_import_structure(models)
compiled = torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist()
print(json.dumps([loaded, same, compiled, torch._dynamo.is_compiling()]))
"""
LEFT_OUT = {"scipy", "sympy", "torch._dynamo.convert_frame", "torch.distributed.tensor"}


def test_a_worker_loads_no_compiler_before_one_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    loaded, same, compiled, is_compiling = json.loads(done.stdout.splitlines()[-1])
    assert {"torch", "transformers.modeling_utils"} <= set(loaded)
    assert LEFT_OUT & set(loaded) == set()
    assert same, "the names in the files of transformers, read once"
    assert (compiled, is_compiling) == ([2.0, 2.0], False)


REST = """
import json, sys, threading
from tui.worker.process.loop import import_libraries, import_the_rest

import_libraries()
import_the_rest()
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

before = set(sys.modules)
with torch.device("meta"):
    AutoModelForCausalLM.from_config(Qwen2Config(num_hidden_layers=1))
print(json.dumps([sorted(set(sys.modules) - before), threading.active_count()]))
"""


def test_what_a_first_model_brings_along_is_there_before_workers_are_forked() -> None:
    """Each would import it anew; and only with one thread is a copy of a process whole."""
    done = subprocess.run([sys.executable, "-c", REST], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    brought, threads = json.loads(done.stdout.splitlines()[-1])
    assert all(name.startswith("transformers.models.qwen2") for name in brought), brought
    assert threads == 1


def test_a_transformers_that_reads_its_files_otherwise_is_imported_too() -> None:
    class Empty(Loader):
        def exec_module(self, module: ModuleType) -> None:
            """There is no name in it."""

    module = ModuleType("transformers.utils.import_utils")
    _TransformersLoader(Empty()).exec_module(module)
    assert not module.is_torch_distributed_available()
