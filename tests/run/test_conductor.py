"""A run with real threads, a real journal and engines without weights."""

import threading
import time
from dataclasses import replace

import pytest

from tests.support.bodies import expect
from tests.support.engines import EchoEngine
from tests.support.runs import MB, RunStage, answers_of, board_of, finished, resolved
from tests.support.waiting import until
from tui import events as ev
from tui.board import fold
from tui.host import cpu, memory
from tui.host.errors import UserError
from tui.options import RunOptions
from tui.run import remaining, results, setup
from tui.sessions import lines
from tui.sessions.reader import read


def test_every_question_is_answered_by_every_model_and_is_in_the_file(stage: RunStage) -> None:
    run = stage(EchoEngine(), EchoEngine())
    run.ask_all()
    board = finished(run)
    for model in (0, 1):
        said = [(a.question, a.turn, a.text, a.state) for a in answers_of(board, model)]
        assert said == [
            ("a", 0, "first of a ", "answered"),
            ("a", 1, "second of a ", "answered"),
            ("b", 0, "only b ", "answered"),
            ("c", 0, "only c ", "answered"),
        ]
    run.close("done")
    reading = read(run.path)
    assert reading.verdict == "complete"
    assert isinstance(reading.events[-1].body, ev.End)


def test_what_is_drained_is_already_in_the_file_and_in_its_order(stage: RunStage) -> None:
    run = stage(EchoEngine(), EchoEngine())
    run.ask_all()
    seen: list[ev.Event] = []
    while not run.wait(0.01) or not seen:
        reset, new = run.drain()
        assert not reset
        on_disk = {event.seq for event in read(run.path).events}
        assert {event.seq for event in new} <= on_disk
        seen += new
    seen += run.drain()[1]
    assert [event.seq for event in seen] == list(range(len(seen)))
    assert seen[0].body.kind == "session"


def test_a_further_turn_is_given_the_conversation_and_the_system_prompt(stage: RunStage) -> None:
    engine = EchoEngine()
    run = stage(engine)
    run.ask("a")
    assert run.wait(60)
    run.ask("a", again=True)
    assert run.wait(60)
    run.ask("a", text="and then?")
    run.ask(None, text="something else")
    board = finished(run)
    sent = [[(m.role, m.content) for m in request.messages] for request in engine.requests]
    assert sent == [
        [("system", "be brief"), ("user", "first of a")],
        [("system", "be brief"), ("user", "first of a")],
        [
            ("system", "be brief"),
            ("user", "first of a"),
            ("assistant", "first of a "),
            ("user", "and then?"),
        ],
        [("user", "something else")],
    ]
    assert [(a.question, a.turn) for a in answers_of(board)] == [
        ("a", 0),
        ("a", 0),
        ("a", 1),
        ("free-1", 0),
    ]


def test_asking_goes_on_with_the_next_turn_and_then_has_nothing_to_do(stage: RunStage) -> None:
    run = stage(EchoEngine())
    asked = []
    for _ in range(3):
        asked.append(len(run.ask("a")))
        assert run.wait(60)
    assert asked == [1, 1, 0]
    assert [a.turn for a in answers_of(board_of(run))] == [0, 1]


def test_what_a_person_asks_goes_before_the_background(stage: RunStage) -> None:
    engine = EchoEngine(load_s=0.1)
    run = stage(engine)
    run.ask_all()
    run.ask(None, text="now please")
    run.ask("c")
    board = finished(run)
    order = [request.messages[-1].content for request in engine.requests]
    assert order[:2] == ["only c", "now please"]
    assert len(answers_of(board)) == 5, "a queued question is moved forward, not asked twice"


def test_cancelling_keeps_what_came_and_empties_the_queue_of_that_model_only(
    stage: RunStage,
) -> None:
    slow, other = EchoEngine(token_s=0.05), EchoEngine()
    run = stage(slow, other)
    run.ask(None, text="one two three four five six seven eight nine ten")
    run.ask_all()
    until(lambda: any(a.tokens > 1 for a in answers_of(board_of(run), 0)))
    run.cancel(0)
    board = finished(run)
    states = [a.state for a in answers_of(board, 0)]
    assert states == ["cancelled"] * 5
    assert answers_of(board, 0)[0].text.startswith("one two")
    assert {a.state for a in answers_of(board, 1)} == {"answered"}


def test_a_model_that_cannot_be_loaded_fails_alone_and_loads_when_asked_again(
    stage: RunStage,
) -> None:
    run = stage(EchoEngine(failing_loads=1), EchoEngine(), start=False)
    run.ask_all()
    run.start()
    board = finished(run)
    assert board.models[0].state == "failed"
    assert board.models[0].failure and board.models[0].failure.message.startswith("shard 2 of 3")
    assert {a.state for a in answers_of(board, 0)} == {"failed"}
    assert {a.state for a in answers_of(board, 1)} == {"answered"}
    run.reload(0)
    run.ask("b")
    board = finished(run)
    assert board.models[0].state == "ready"
    assert answers_of(board, 0)[-1].text == "only b "


def test_a_lost_worker_is_loaded_again_for_the_next_question(stage: RunStage) -> None:
    engine = EchoEngine(crash_after=1)
    run = stage(engine)
    run.ask("a")
    run.ask("b")
    board = finished(run)
    assert [a.state for a in answers_of(board)] == ["failed", "answered"]
    assert engine.loads == 2


def test_a_turn_without_the_turns_before_it_is_not_asked_out_of_context(stage: RunStage) -> None:
    engine = EchoEngine(crash_after=1)
    run = stage(engine)
    run.ask_all()
    board = finished(run)
    assert [(a.question, a.turn, a.state) for a in answers_of(board)] == [
        ("a", 0, "failed"),
        ("a", 1, "failed"),
        ("b", 0, "answered"),
        ("c", 0, "answered"),
    ]
    assert "first of a" not in str(engine.requests[1:])


def test_an_error_of_the_program_in_one_model_leaves_the_others_alone(stage: RunStage) -> None:
    bad = EchoEngine()
    bad.answer = lambda requests: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    run = stage(bad, EchoEngine())
    run.ask("b")
    board = finished(run)
    failure = answers_of(board, 0)[0].failure
    assert failure is not None and failure.cause == "internal"
    assert answers_of(board, 1)[0].state == "answered"


def test_threads_follow_who_computes_and_contention_is_marked(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    long = EchoEngine(token_s=0.02)
    short, remote = EchoEngine(token_s=0.02), EchoEngine(uses_local_cores=False)
    run = stage(long, short, remote)
    assert run.wait(60)
    long.threads.clear()
    run.ask(None, text="one two three four five six seven eight", models=[0])
    run.ask(None, text="one two", models=[1])
    run.ask(None, text="one", models=[2])
    board = finished(run)
    assert long.threads == [4, 2, 4] or long.threads == [2, 4]
    assert remote.threads == []
    marked = [answers_of(board, i)[0].figures for i in range(3)]
    assert [f.contended for f in marked if f] == [True, True, False]
    run.ask("b", models=[0])
    assert not expect(ev.Answered, answers_of(finished(run), 0)[-1].figures).contended


def test_a_load_beside_another_is_marked(stage: RunStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    run = stage(
        *(EchoEngine(load_s=0.5) for _ in range(2)),
        EchoEngine(uses_local_cores=False),
        settings=RunOptions(schedule="together"),
    )
    board = finished(run)
    assert [m.loaded.contended for m in board.models if m.loaded] == [True, True, False]
    (shown,) = results.figure_tables(board)
    assert [row[2] for row in shown] == ["LOAD s", "0.5*", "0.5*", "-"]
    run.reload(0)
    loaded = finished(run).models[0].loaded
    assert loaded and not loaded.contended


def test_no_more_models_compute_than_there_are_cores(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 2)
    watch: list[tuple[str, int, float]] = []
    engines = [EchoEngine(name=i, watch=watch) for i in range(4)]
    run = stage(*engines, settings=RunOptions(schedule="together"))
    run.ask_all()
    finished(run)
    now = most = 0
    for what, _, _ in sorted(watch, key=lambda row: row[2]):
        now += {"answer": 1, "done": -1}.get(what, 0)
        most = max(most, now)
    assert most == 2


def test_models_that_do_not_fit_together_take_turns(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "read_memory", lambda: memory.MemoryReading(9_000 * MB, 0, "test"))
    watch: list[tuple[str, int, float]] = []
    engines = [EchoEngine(name=i, watch=watch) for i in range(3)]
    run = stage(*engines, parameters=2_000 * MB, start=False)
    run.ask_all()
    run.start()
    board = finished(run)
    assert all(a.state == "answered" for a in board.answers.values())
    assert len(board.answers) == 12
    assert "take turns" in board.notes[0].text
    inside: set[int] = set()
    for what, name, _ in watch:
        if what == "load":
            inside.add(name)
        elif what == "close":
            inside.discard(name)
        assert len(inside) <= 1, "two models of 4.6 GB in 9 GB"
    assert [name for what, name, _ in watch if what == "load"] == [0, 1, 2]
    waits = [e.body for e in read(run.path).events if isinstance(e.body, ev.Load)]
    assert "waiting for memory: after m0" in [wait.stage for wait in waits]


def test_one_at_a_time_is_never_contended(stage: RunStage) -> None:
    run = stage(EchoEngine(), EchoEngine(), settings=RunOptions(schedule="one-at-a-time"))
    run.ask_all()
    board = finished(run)
    assert len(board.answers) == 8
    assert not any(a.figures.contended for a in board.answers.values() if a.figures)
    assert not any(model.loaded.contended for model in board.models if model.loaded)


def test_nobody_is_put_out_of_memory_for_a_model_that_was_not_asked(stage: RunStage) -> None:
    first, second = EchoEngine(load_s=0.05), EchoEngine()
    run = stage(first, second, settings=RunOptions(schedule="one-at-a-time"))
    run.ask("b", models=[0])
    assert finished(run).models[1].state == "waiting"
    assert (first.loads, second.loads) == (1, 0)
    run.ask("b", models=[1])
    board = finished(run)
    assert (board.models[0].state, board.models[1].state) == ("unloaded", "ready")


def test_what_does_not_fit_alone_is_refused_with_the_arithmetic(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        memory, "read_memory", lambda: memory.MemoryReading(16_000 * MB, 4_000 * MB, "x")
    )
    with pytest.raises(UserError) as caught:
        stage(EchoEngine(), parameters=7_000 * MB)
    assert caught.value.exit_code == 4
    assert "needs 15.0 GB" in caught.value.message
    assert "11.5 of 16.0 GB can be used" in caught.value.message
    assert not list(stage.folder.glob("*")), "a refused run leaves no session"
    stage(EchoEngine(), parameters=7_000 * MB, settings=RunOptions(schedule="together"))


def test_memory_is_told_when_it_changes_and_not_otherwise(stage: RunStage) -> None:
    run = stage(EchoEngine())
    until(lambda: board_of(run).memory_limit > 0 and board_of(run).models[0].private > 0)
    count = sum(isinstance(e.body, ev.Memory) and e.model == 0 for e in read(run.path).events)
    time.sleep(0.6)
    after = [e.body for e in read(run.path).events if isinstance(e.body, ev.Memory)]
    assert count <= 1
    assert len([body for body in after if body.private]) == 1


@pytest.mark.parametrize("when", ["loading", "answering", "waiting"])
def test_closing_ends_everything_within_a_second(stage: RunStage, when: str) -> None:
    before = threading.active_count()
    run = stage(
        EchoEngine(token_s=3600, load_s=3600 if when == "loading" else 0),
        EchoEngine(load_s=3600 if when == "loading" else 0),
        settings=RunOptions(schedule="one-at-a-time" if when == "waiting" else "auto"),
    )
    run.ask_all()
    if when != "loading":
        until(lambda: any(a.state == "prefill" for a in answers_of(board_of(run))))
    run.close("interrupted")
    reading = read(run.path)
    assert reading.verdict == "complete"
    board = fold(reading.events)
    assert not board.open_answers()
    assert board.end and board.end.status == "interrupted"
    until(lambda: threading.active_count() <= before)
    run.close("again")
    assert read(run.path).events == reading.events


def test_a_resumed_run_asks_only_what_is_missing(stage: RunStage) -> None:
    first = stage(EchoEngine(crash_after=2))
    first.ask("a")
    first.ask("b")
    assert first.wait(60)
    first.close("interrupted")
    reading = read(first.path)
    engine = EchoEngine()
    run = setup.resume(
        first.path, reading.events, [resolved("m0")], RunOptions(), lambda _model, _threads: engine
    )
    stage.runs.append(run)
    run.start()
    run.ask_all()
    board = finished(run)
    asked = [request.messages[-1].content for request in engine.requests]
    assert asked == ["first of a", "second of a", "only c"]
    events = read(run.path).events
    assert [event.seq for event in events] == list(range(len(events)))
    times = [event.t_us for event in events]
    assert times[len(reading.events)] >= reading.events[-1].t_us
    (resumed,) = [event.body for event in events if isinstance(event.body, ev.Resumed)]
    assert resumed.host["cpu"]["cores"] and board.hosts == [reading.header.host, resumed.host]
    assert len(board.answers) == 5


def test_a_resumed_run_loads_no_model_that_has_nothing_left_to_answer(stage: RunStage) -> None:
    """Its load would be timed anew, and stand for the model in the report."""
    first = stage(EchoEngine(), EchoEngine(crash_after=2))
    first.ask_all()
    assert first.wait(60)
    first.close("done")
    engines = [EchoEngine(), EchoEngine()]
    models, waiting = [resolved("m0"), resolved("m1")], list(engines)
    events = read(first.path).events
    run = setup.resume(first.path, events, models, RunOptions(), lambda *_: waiting.pop(0))
    stage.runs.append(run)
    run.ask_all()
    run.start()
    board = finished(run)
    assert remaining.is_complete(board, 1) and not remaining.is_complete(board, 2)
    assert engines[0].requests == [] and engines[1].requests
    assert [engine.loads for engine in engines] == [0, 1]
    assert len(board.models[0].loads) == 1


def test_a_resumed_column_is_called_as_it_was(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolved again it may have another name: an alias that led to it, its own label."""
    monkeypatch.setattr(memory, "read_memory", lambda: memory.MemoryReading(9_000 * MB, 0, "test"))
    first = stage(EchoEngine(), EchoEngine(), parameters=2_000 * MB, start=False)
    first.close("interrupted")
    models = [resolved(name, 2_000 * MB) for name in ("other0", "other1")]
    events = read(first.path).events
    run = setup.resume(first.path, events, models, RunOptions(), lambda *_: EchoEngine())
    stage.runs.append(run)
    run.start()
    run.ask_all()
    board = finished(run)
    waits = {e.body.stage for e in read(run.path).events if isinstance(e.body, ev.Load)}
    assert waits & {f"waiting for memory: after {name}" for name in ("m0", "m1")}
    assert not any("other" in one for one in waits)
    assert [model.label for model in board.models] == ["m0", "m1"]


def test_a_resumed_screen_asks_only_what_was_asked_and_not_answered(stage: RunStage) -> None:
    first = stage(EchoEngine(crash_after=2))
    first.ask("a")
    first.ask(None, text="of my own")
    assert first.wait(60)
    first.close("interrupted")
    engine = EchoEngine()
    run = setup.resume(
        first.path, read(first.path).events, [resolved("m0")], RunOptions(), lambda *_: engine
    )
    stage.runs.append(run)
    run.start()
    assert len(run.ask_missing()) == 1
    assert [a.state for a in finished(run).conversation(0, "a")] == ["answered"]
    assert [request.messages[-1].content for request in engine.requests] == ["first of a"]
    assert run.ask_missing() == []


def test_a_full_session_ends_answers_with_a_word_and_can_be_read(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the largest file that is read back, nothing said could be seen again."""
    monkeypatch.setattr(lines, "MAX_FILE", (1 << 20) + 6_000)
    run = stage(EchoEngine())
    run.ask(None, text="word " * 300)
    board = finished(run)
    run.close("done")
    (answer,) = answers_of(board)
    assert answer.state == "failed" and answer.failure is not None
    assert answer.failure.message == "the session is full: 0.0 GB can be read back"
    assert "duibi run" in answer.failure.next_step
    assert 0 < len(answer.text.split()) < 300
    assert read(run.path).verdict == "complete"


def test_repeats_are_separate_conversations(stage: RunStage) -> None:
    engine = EchoEngine()
    run = stage(engine)
    run.ask_all(repeats=2)
    board = finished(run)
    assert [(a.question, a.turn, a.repeat) for a in answers_of(board)][:6] == [
        ("a", 0, 0),
        ("a", 1, 0),
        ("b", 0, 0),
        ("c", 0, 0),
        ("a", 0, 1),
        ("a", 1, 1),
    ]
    second = [r for r in engine.requests if r.messages[-1].content == "second of a"]
    assert [len(request.messages) for request in second] == [4, 4]


def test_nonsense_is_refused(stage: RunStage) -> None:
    run = stage(EchoEngine())
    for question, text in ((None, None), (None, "  "), ("nowhere", None)):
        with pytest.raises(UserError):
            run.ask(question, text)
    assert not board_of(run).answers


def test_the_header_tells_the_machine_but_not_whose_it_is(stage: RunStage) -> None:
    run = stage(EchoEngine(), settings=replace(RunOptions(), seed=7, system="s"))
    header = read(run.path).header
    assert header.settings["seed"] == 7
    assert header.host["memory_limit"] == memory.limit()
    assert header.host["cpu"]["cores"] == cpu.cores()
    assert "torch" in header.host["packages"]
    assert header.questions["questions"][0]["id"] == "a"


def test_a_busy_neighbour_is_left_its_core(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda self, own: 1.0 if own else 0.0)
    engine = EchoEngine(token_s=0.05)
    run = stage(engine)
    run.ask(None, text="word " * 100)
    until(lambda: engine.threads[-1:] == [3])
    run.cancel(0)
    finished(run)
