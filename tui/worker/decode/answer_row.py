"""An answer in the making, as far as all ways to decode share it, and its figures."""

import time
from dataclasses import asdict, dataclass, field

from tui.events import Answered
from tui.metrics import answer_metrics
from tui.text.thought import AnswerSplitter
from tui.worker.decode.request import AnswerPlan
from tui.worker.lost_cores import CoreUsage, lost_cores
from tui.worker.measure import PeakMemory, major_faults


@dataclass(slots=True, eq=False, kw_only=True)
class AnswerRow:
    """``usage_before``: of the cores, when it began, by ``threads`` threads; ``waited_ns``: time
    in which the prompts of other rows were computed; ``reused``: tokens of the prompt whose keys
    and values were not computed again; ``max_batch``: the most rows it was decoded with.

    A thought is always the beginning of an answer: ``thought_tokens`` are those up to its end,
    ``forced_tokens`` of them those that ended it where its budget was used up, ``answer_ns`` is
    when the first one behind it came, ``thought_cut`` that its budget ended it.
    """

    id: int
    plan: AnswerPlan
    splitter: AnswerSplitter
    usage_before: CoreUsage
    threads: int
    major_faults_before: int = field(default_factory=major_faults)
    start_ns: int = field(default_factory=time.monotonic_ns)
    first_token_ns: int = 0
    last_token_ns: int = 0
    reused: int = 0
    max_batch: int = 1
    waited_ns: int = 0
    contended_by: str = ""
    repeats_from: int = 0
    thought_tokens: int = 0
    forced_tokens: int = 0
    answer_ns: int = 0
    thought_cut: bool = False

    @property
    def max_tokens(self) -> int:
        """How many tokens it may have, as far as that is known: a thought that ended early leaves
        the rest of its budget to nobody."""
        plan = self.plan
        if plan.think_tokens is None or self.splitter.is_thinking:
            return plan.max_new_tokens
        found = self.thought_tokens + plan.answer_tokens
        # A thought may end some tokens behind its budget, where those of a character came together.
        return found if self.thought_cut else min(plan.max_new_tokens, found)

    def split(
        self, piece: str, tokens: int, last: bool, is_forced: bool = False
    ) -> tuple[str, str, bool]:
        """Thought and text in what the newest token, number ``tokens``, made visible, and whether
        it belongs to the thought; ``is_forced``: it ends that, as its budget is used up."""
        was_thinking = self.splitter.is_thinking or is_forced
        thought, text = self.splitter.push(piece, last)
        is_thought = was_thinking or self.splitter.is_thinking
        if is_thought:
            self.forced_tokens += is_forced * (tokens - self.thought_tokens)
            self.thought_tokens = tokens
        elif not self.answer_ns:
            self.answer_ns = self.last_token_ns
        return thought, text, is_thought

    def answered(
        self,
        finish: str,
        output_tokens: int,
        usage: CoreUsage,
        peak: PeakMemory,
        guessed: int = 0,
        accepted: int = 0,
    ) -> Answered:
        """The figures of the complete answer by the formulas of `tui.metrics`, rounded;
        ``usage``: of the cores, now.

        The stop id took a step like any other, so it counts as a generated token, as in
        `generate_ids`.
        """
        prompt_tokens = len(self.plan.text_ids)
        reused = max(0, self.reused - self.plan.virtual_tokens)
        metrics = answer_metrics(
            start_ns=self.start_ns,
            first_ns=self.first_token_ns,
            end_ns=self.last_token_ns,
            prompt_tokens=prompt_tokens,
            reused=reused,
            output_tokens=output_tokens,
            characters=self.splitter.characters,
            answer_ns=self.answer_ns or None,
            waited_ns=self.waited_ns,
        )
        lost = lost_cores(self.usage_before, usage, self.threads)
        contended_by = self.contended_by or lost.by
        return Answered(
            self.id,
            finish,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            **asdict(metrics.rounded()),
            peak_private=peak.private,
            peak_mapped=peak.mapped,
            majflt=major_faults() - self.major_faults_before,
            threads=self.threads,
            batch=self.max_batch,
            guessed=guessed,
            accepted=accepted,
            reused=reused,
            repeats_from=self.repeats_from,
            waited_ms=round(self.waited_ns / 1e6, 3),
            lost=round(lost.share, 4),
            contended=bool(contended_by),
            contended_by=contended_by,
            # What was put in by the program is no thought of the model.
            thought_tokens=self.thought_tokens - self.forced_tokens,
            thought_cut=self.thought_cut,
        )
