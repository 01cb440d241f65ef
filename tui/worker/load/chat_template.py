"""The chat template of a checkpoint, rendered apart from this process."""

from collections.abc import Collection, Mapping, Sequence

from tui.checkpoints.errors import CheckpointError
from tui.host.sandboxed_template import SandboxedTemplate, TemplateFailedError
from tui.worker.checkpoint import Turn


class ChatTemplateError(CheckpointError):
    """A chat template that fails, takes too long or too much memory; ``raised_by_template`` where
    the template itself ended with an error."""

    def __init__(self, message: str, *, raised_by_template: bool) -> None:
        super().__init__(
            "unsupported", f"chat template: {message}", "give another one with --chat-template FILE"
        )
        self.raised_by_template = raised_by_template


class ChatTemplate:
    """One Jinja chat template (`tui.host.sandboxed_template`) with the ``variables`` that it is
    always given."""

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        self.source = source
        self._variables = dict(variables)
        self._template = SandboxedTemplate(source)

    def render(
        self,
        turns: Sequence[Turn],
        *,
        as_parts: Collection[str] = (),
        variables: Mapping[str, object] | None = None,
    ) -> str:
        """The text of a conversation with the prompt for an answer behind it; contents
        of the roles ``as_parts`` are given as a list of one part of text, ``variables`` are more
        that the template sees.

        Raises:
            ChatTemplateError: the template raised, or exceeded time, memory or size.
        """
        messages = [
            {
                "role": role,
                "content": [{"type": "text", "text": content}] if role in as_parts else content,
            }
            for role, content in turns
        ]
        given = {"add_generation_prompt": True, "tools": None, "documents": None}
        try:
            return self._template.render(
                {**given, **self._variables, **(variables or {}), "messages": messages}
            )
        except TemplateFailedError as error:
            raise ChatTemplateError(
                str(error), raised_by_template=error.raised_by_template
            ) from None

    def close(self) -> None:
        """End what renders it. Idempotent; `render` starts it again."""
        self._template.close()
