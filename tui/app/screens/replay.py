"""A recorded session in the same panes, with a transport bar."""

import math
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.pane.conversation import MARKDOWN
from tui.app.screens import board_screen
from tui.app.screens.judging import JudgingScreen, view_bindings
from tui.app.screens.navigation import FirstModel, Introduction, OpenLibrary
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.lines import Lines
from tui.app.widgets.transport import TransportBar
from tui.events import Judgement
from tui.host.errors import UserError
from tui.sessions.annotate import AnnotatedPlayer
from tui.sessions.player import SPEEDS, Player
from tui.text.sanitise import one_line
from tui.text.units import format_clock, format_duration, format_size, parse_clock

_SEEK_US = 5_000_000
_FRAME_S = 1 / 80
"""Between two frames at least, so that tokens which come together are drawn together."""
_SETTLE_S = 0.2
_MAX_SINGLE_EVENTS = 60
"""Events a second that are each drawn when they are due; above, text flows by intervals."""


class ReplayScreen(JudgingScreen):
    """Plays a session; shows the question that is being answered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "key.play", id="replay.toggle"),
        Binding("left", "seek(-1)", "key.seek_back", id="replay.back"),
        Binding("right", "seek(1)", "key.seek", id="replay.forward"),
        Binding("right_square_bracket", "mark(1)", "key.seek_next", show=False, id="replay.next"),
        Binding(
            "left_square_bracket", "mark(-1)", "key.seek_previous", show=False, id="replay.previous"
        ),
        *view_bindings("left_curly_bracket", "right_curly_bracket"),
        Binding("greater_than_sign", "faster(1)", "key.faster", id="replay.faster"),
        Binding("less_than_sign", "faster(-1)", "key.slower", id="replay.slower"),
        Binding("full_stop", "token(1)", "key.token", show=False, id="replay.token"),
        Binding("comma", "token(-1)", "key.token_back", show=False, id="replay.token_back"),
        Binding("colon", "time", "key.time", show=False, id="replay.time"),
        Binding("0,m", "at_once", "key.at_once", id="replay.at_once"),
        Binding("l", "library", "key.library", show=False, id="replay.library"),
        Binding("f", "fetch", "key.get", id="replay.fetch"),
        Binding("escape,backspace", "leave", "key.leave", show=False, id="replay.leave"),
    ]

    def __init__(
        self,
        appearance: Appearance,
        player: Player,
        path: Path,
        sessions_dir: Path,
        joined: Sequence[Path] = (),
        introduction: Introduction | None = None,
    ) -> None:
        """``joined`` are further sessions that ``player`` plays together with ``path``;
        ``introduction`` stands above the first recording that somebody sees."""
        self.annotated = AnnotatedPlayer(player, path, sessions_dir)
        super().__init__(
            appearance, self.annotated, path, sessions_dir, appearance.say("pane.hint_replay")
        )
        self.player, self._joined = player, tuple(joined)
        self.transport = TransportBar(appearance, id="transport")
        self._introduction = introduction
        self._first_model: FirstModel | None = None
        self._about = Lines(appearance, id="introduction")
        self._is_question_pinned = self._had_events = self._is_early_tick_set = False
        self._drawn_at = 0.0

    def parts(self) -> Iterable[Widget]:
        """Also what stands above a first recording."""
        if self._introduction is not None:
            yield self._about
        yield from super().parts()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A model is fetched from here only where the first recording says so."""
        if action == "fetch" and self._first_model is None:
            return False
        return super().check_action(action, parameters)

    def action_fetch(self) -> None:
        """Fetch a model to begin with."""
        if self._introduction is not None and self._first_model is not None:
            self._introduction.fetch(self._first_model.reference)

    def _find_first_model(self, about: Introduction) -> None:
        found = about.find_model()
        self.app.call_from_thread(self._introduce, found)

    def _introduce(self, model: FirstModel | None) -> None:
        self._first_model, say = model, self.appearance.say
        keys = say("intro.keys")
        if model is not None:
            size, time = format_size(model.download_bytes), format_duration(model.seconds)
            keys = say("intro.fetch", name=model.title, size=size, time=time)
        self._about.show([[(f" {say('intro.what')}", "accent")], [(f" {keys}", "")]])
        self.refresh_bindings()

    def extra_widgets(self) -> Iterable[Widget]:
        """The transport bar."""
        yield self.transport

    def save_status(self) -> StyledText:
        """Which recording this is."""
        return one_line(self.path.name), "muted"

    def record(self, body: Judgement) -> None:
        """Appended to the recording."""
        if self._joined:
            raise UserError(self.appearance.say("judge.one_session"))
        self.annotated.judge(body)
        self.path = self.annotated.path

    def report_sessions(self) -> Sequence[Path]:
        """All that are played."""
        return [self.path, *self._joined]

    def on_mount(self) -> None:
        """Import the Markdown layout before the first token, so that no token waits for it."""
        super().on_mount()
        self.set_timer(_SETTLE_S, MARKDOWN.start)
        if self._introduction is not None:
            self._introduce(None)
            find = partial(self._find_first_model, self._introduction)
            self.run_worker(find, thread=True, exit_on_error=False)

    def on_unmount(self) -> None:
        """Let go of the recording."""
        self.annotated.close()

    def tick(self) -> None:
        """The position moves also where nothing happens; and what comes before the next
        interval is drawn when it is due."""
        self._had_events = False
        super().tick()
        if self._had_events:
            self._drawn_at = time.monotonic()
        self._show_transport()
        due = self.player.next_due_s
        if self._is_early_tick_set or due is None or due >= board_screen.TICK_S or self._is_dense:
            return
        self._is_early_tick_set = True
        rest = self._drawn_at + _FRAME_S - time.monotonic()
        self.set_timer(max(due, rest, 0.001), self._tick_early)

    @property
    def _is_dense(self) -> bool:
        """Whether events come too densely to be drawn one by one."""
        player = self.player
        return math.isinf(player.speed) or player.due_within(1.0) > _MAX_SINGLE_EVENTS

    def _tick_early(self) -> None:
        self._is_early_tick_set = False
        self.tick()

    def after_events(self) -> None:
        """Follow the question that is being worked on, unless a person went elsewhere."""
        self._had_events = True
        playing = self.player.question
        if playing is None or self._is_question_pinned:
            return
        if not any(a.is_open and a.question == self.question for a in self.board.answers.values()):
            self.question = playing

    def show(self) -> None:
        """The panes and the position."""
        super().show()
        self._show_transport()

    def _show_transport(self) -> None:
        player = self.player
        self.transport.show_position(
            player.position_us,
            player.duration_us,
            player.speed,
            player.is_playing,
            player.has_ended,
            player.longest_wait_s,
            player.shows_live,
        )

    def _show_after_seek(self) -> None:
        self._drain()
        self._is_question_pinned = False
        self.question = self.player.question or self.question
        self.show()

    @property
    def _is_all_played(self) -> bool:
        """Whether everything there is has been played: then one looks around in it."""
        return self.player.position_us >= self.player.duration_us

    def action_mark(self, step: int) -> None:
        """Go to where the next or the previous question was asked."""
        if self.player.step_question(step) is not None:
            self._show_after_seek()

    def action_step(self, step: int) -> None:
        """The next or the previous question: where it was asked, or after the end its end."""
        if not self._is_all_played and self.player.step_question(step) is not None:
            self._show_after_seek()
        else:
            super().action_step(step)
            self._is_question_pinned = True

    def action_jump(self, number: int) -> None:
        """The question of a number: where it was asked, or after the end its end."""
        if not 0 < number <= len(self.board.questions):
            return
        if self._is_all_played:
            super().action_jump(number)
            self._is_question_pinned = True
            return
        wanted, was = self.board.questions[number - 1].id, self.player.position_us
        self.player.seek(0)
        while (found := self.player.step_question(1)) is not None and found != wanted:
            pass
        if found is None:
            self.player.seek(was)
            self.show_notice(self.appearance.say("replay.not_asked", number=number), "warning")
        self._show_after_seek()

    def action_play(self) -> None:
        """Play, pause, or play again from the beginning."""
        self.player.toggle()
        self._show_after_seek()

    def action_seek(self, direction: int) -> None:
        """Five seconds back or on."""
        self.player.seek(self.player.position_us + direction * _SEEK_US)
        self._show_after_seek()

    def action_faster(self, step: int) -> None:
        """The next higher or lower speed."""
        finite = [speed for speed in SPEEDS if not math.isinf(speed)]
        now = min(self.player.speed, finite[-1])
        at = min(range(len(finite)), key=lambda i: abs(finite[i] - now))
        self.player.set_speed(finite[max(0, min(len(finite) - 1, at + step))])
        self._show_transport()

    def action_token(self, step: int) -> None:
        """Pause, and one token further or back."""
        self.player.step_token(step)
        self._show_after_seek()

    def action_time(self) -> None:
        """Type a time to go to."""
        self.ask_for_text(
            self.appearance.say("replay.time"),
            format_clock(self.player.position_us),
            self._go_to_time,
            is_suggestion=True,
        )

    def _go_to_time(self, text: str) -> None:
        wanted = parse_clock(text)
        if wanted is None:
            self.show_notice(self.appearance.say("replay.no_time", text=text), "warning")
            return
        self.player.seek(wanted)
        self._show_after_seek()

    def action_at_once(self) -> None:
        """Everything at once."""
        self.player.set_speed(math.inf)
        self.player.play()
        self._drain()
        self.show()

    def action_library(self) -> None:
        """All sessions; back to them where this one was opened from there."""
        self.post_message(OpenLibrary(self._sessions_dir))

    def action_leave(self) -> None:
        """End a search, else close this screen."""
        if not self.end_search():
            self.go_back()
