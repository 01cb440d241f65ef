"""A model that can be loaded or asked, as `tui.models.resolve` finds it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.checkpoints.fingerprint import fingerprint
from tui.host.paths import portable
from tui.models import arrival
from tui.prices import Price

LOCAL = "local"
"""The engine of a model whose weights are here."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that can be loaded.

    ``name`` is the reference as given, ``label`` what its pane is headed with, ``engine``
    what runs it, ``checkpoint`` a folder as published or a GGUF file (of a split model the first).
    ``parameters``, ``context`` (tokens) and ``family`` are 0 and empty where only the
    loaded model can tell; ``checkpoint_bytes`` is the size of the weights on disk.

    A model that holds no weights here has an ``engine`` of its own: ``endpoint``
    (``service``, ``base_url`` and the ``model``'s name there), ``recorded`` (``checkpoint``
    is the session, ``model`` the label there) or ``pasted`` (``model`` is its name).
    """

    name: str
    label: str
    engine: str
    checkpoint: Path
    dtype: str
    family: str = ""
    parameters: int = 0
    checkpoint_bytes: int = 0
    context: int = 0
    remote_code: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each Python file of the checkpoint that a person agreed to run."""
    mixture: str = ""
    """Of a GGUF file, how many tensors are stored how (`GgufHeader.mixture`)."""
    licence: str = ""
    """What a GGUF file says of it."""
    has_default_dtype: bool = False
    """Whether ``dtype`` is this program's choice (`tui.models.default_dtype`)."""
    stored: str = ""
    """What the files hold most weights as, where that is known (`tui.models.inspect`)."""
    service: str = ""
    base_url: str = ""
    model: str = ""
    price: Price | None = None
    """What its service asks for tokens, where that is known."""
    adapter: Path | None = None
    """The folder of a LoRA adapter that is merged into the weights of ``checkpoint``."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of this column alone (`tui.models.column`), by name."""

    @property
    def weights_key(self) -> tuple[object, ...] | None:
        """The same for models that one worker can answer for; None: it holds no weights here."""
        if self.engine != LOCAL:
            return None
        code = tuple(sorted(self.remote_code.items()))
        return self.checkpoint, self.dtype, self.adapter, code

    def to_json(self) -> dict[str, Any]:
        """The model as it stands in a session's header; never with a key."""
        own = {"settings": self.settings} if self.settings else {}
        if self.engine != LOCAL:
            return self._remote_json() | own
        return {
            "name": self.name,
            "label": self.label,
            "engine": self.engine,
            "checkpoint": portable(self.checkpoint),
            "dtype": self.dtype,
            "family": self.family,
            "parameters": self.parameters,
            "checkpoint_bytes": self.checkpoint_bytes,
            "context": self.context,
            "fingerprint": fingerprint(self.checkpoint),
            **({"mixture": self.mixture} if self.mixture else {}),
            **({"licence": self.licence} if self.licence else {}),
            **self._adapter_json(),
            **({"fetched": fetched} if (fetched := arrival.recall(self.checkpoint)) else {}),
            **own,
        }

    def _adapter_json(self) -> dict[str, Any]:
        if self.adapter is None:
            return {}
        told = fingerprint(self.adapter)
        return {"adapter": portable(self.adapter), "adapter_fingerprint": told}

    def _remote_json(self) -> dict[str, Any]:
        known: dict[str, Any] = {
            "service": self.service,
            "base_url": self.base_url,
            "model": self.model,
            "session": portable(self.checkpoint) if self.engine == "recorded" else "",
            "dtype": self.dtype,
            "family": self.family,
            "parameters": self.parameters,
            "checkpoint_bytes": self.checkpoint_bytes,
            "context": self.context,
            "price": self.price.to_json() if self.price else None,
        }
        given = {name: value for name, value in known.items() if value}
        return {"name": self.name, "label": self.label, "engine": self.engine, **given}
