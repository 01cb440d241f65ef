"""Looks for models on this machine, for the start and the models screen.

Its imports take 70 ms: it is imported in a thread after the first paint.
"""

from tui.app.screens.model_rows import ModelSurvey
from tui.app.screens.start import ModelOffer
from tui.app.style.messages import Messages
from tui.host import filesystem, memory
from tui.models import demo
from tui.models.caches import modelscope_caches
from tui.models.catalogue import suggestions
from tui.models.discover import find_demo
from tui.models.inventory import find_models
from tui.settings import Settings
from tui.text.units import format_memory


def load_offers(settings: Settings, say: Messages) -> list[ModelOffer]:
    """The models that the start screen offers to open: the demo, then complete checkpoints."""
    remark = say("start.demo_here" if demo.is_present() else "start.demo_fetch")
    offers = [ModelOffer(("demo@bf16", "demo@fp32"), say("start.demo"), remark)]
    for one in find_models(settings.aliases, settings.model_folders, settings.run.services):
        if one.reference != "demo" and one.state == "complete":
            words = "  ".join(
                part for part in (one.family, one.dtype, format_memory(one.size)) if part
            )
            offers.append(ModelOffer((one.reference,), one.label, words))
    return offers


def survey_models(settings: Settings) -> ModelSurvey:
    """What the models screen shows; takes up to seconds on a network disk.

    Raises:
        UserError: the memory limit in the environment is no size.
    """
    found = find_models(settings.aliases, settings.model_folders, settings.run.services)
    if not demo.is_present():
        found.insert(0, find_demo())
    known = {one.reference.lower() for one in found}
    return ModelSurvey(
        found,
        [one for one in suggestions() if one.reference.lower() not in known],
        memory.read_memory().free,
        filesystem.free_bytes(modelscope_caches()[0]),
    )
