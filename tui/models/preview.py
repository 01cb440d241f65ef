"""What a model is fed for a question, made by the worker's own code in a child process."""

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.host import child_process
from tui.host.errors import UserError

PREVIEW_TURNS = (("user", "你好"),)
"""The conversation whose prompt `preview_prompt` shows."""
_SAID = "duibi: "
"""How the worker's checks begin what they say."""


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """The prompt of `PREVIEW_TURNS`, its ids, and what the chat format remarks: how the model
    thinks, for one."""

    text: str
    ids: list[int]
    remarks: list[str] = field(default_factory=list)


def preview_prompt(path: Path) -> PromptPreview:
    """The prompt of `PREVIEW_TURNS`, made by the worker's own code in a child process: of a folder,
    or by llama.cpp of a GGUF file.

    Raises:
        UserError: the tokenizer or the chat template cannot be used.
    """
    asked = [[{"role": role, "content": content} for role, content in PREVIEW_TURNS]]
    text, ids, remarks = _run_worker_check("preview", path, asked)[0]
    return PromptPreview(str(text), list(ids), [str(one) for one in remarks])


def _run_worker_check(verb: str, path: Path, rows: list[Any]) -> list[Any]:
    variables = child_process.with_own_modules(child_process.environment())
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        done = child_process.run(
            child_process.module_command("tui.worker.check", verb, str(path)),
            variables | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
            input=json.dumps(rows),
            stdout=subprocess.PIPE,
            # A file: why llama.cpp refuses one is read back from it.
            stderr=errors,
        )
        errors.seek(0)
        lines = errors.read().splitlines()
    if done.returncode:
        # Libraries may have spoken before.
        unsaid = f"{verb} failed"
        if done.returncode < 0:
            unsaid = f"{verb} was ended by {child_process.signal_name(-done.returncode)}"
        said = next((line for line in lines if line.startswith(_SAID)), unsaid)
        raise UserError(said.removeprefix(_SAID))
    result: list[Any] = json.loads(done.stdout)
    return result
