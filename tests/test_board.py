"""The board: one fold gives the same picture live, in replay and after a crash."""

from benchmarks.support.scripted_run import EventScript
from tui import events as ev
from tui.board import Board, fold, last_characters
from tui.events import RUN, Body, Event
from tui.run.results import newest_answers
from tui.scoring.repeated_answers import Place, place_of, repeats

HEADER = ev.Session(
    1,
    "0.1.0",
    "2026-11-22T00:00:00Z",
    [{"name": "demo@bf16", "label": "demo@bf16"}, {"name": "demo@fp32", "label": "demo@fp32"}],
    {"name": "two", "questions": [{"id": "a", "category": "逻辑", "turns": ["甲", "乙"]}]},
)


def stream(*rows: tuple[int, int, Body]) -> list[Event]:
    return [Event(i, t_us, model, body) for i, (t_us, model, body) in enumerate(rows)]


def answered(*more: tuple[int, int, Body]) -> list[Event]:
    return stream(
        (0, RUN, HEADER),
        (10, 0, ev.Load("weights", 1, 2)),
        (20, 0, ev.Loaded(1.0, private=5, mapped=6)),
        (30, 0, ev.Asked(1, "a", "甲")),
        (1_000, 0, ev.Started(1, prompt_tokens=4)),
        (51_000, 0, ev.Delta(1, text="你")),
        (151_000, 0, ev.Delta(1, text="好")),
        (251_000, 0, ev.Delta(1, text="!")),
        *more,
    )


def test_states_of_a_model_and_its_answer_follow_the_events() -> None:
    events = answered((300_000, 0, ev.Answered(1, "stop", output_tokens=3, ttft_ms=50.0)))
    seen = []
    board = Board()
    for event in events:
        fold([event], board)
        answer = board.answers.get(1)
        seen.append((board.models and board.models[0].state, answer and answer.state))
    assert seen == [
        ("waiting", None),
        ("loading", None),
        ("ready", None),
        ("ready", "queued"),
        ("ready", "prefill"),
        ("ready", "decoding"),
        ("ready", "decoding"),
        ("ready", "decoding"),
        ("ready", "answered"),
    ]
    assert board.answers[1].text == "你好!"
    assert board.models[0].private == 5
    assert board.models[1].state == "waiting"


def test_live_figures_come_from_event_times_until_measured_ones_arrive() -> None:
    board = fold(answered())
    answer = board.answers[1]
    assert answer.ttft_ms == 50.0
    assert answer.decode_tok_s == 10.0
    fold(stream((300_000, 0, ev.Answered(1, "stop", ttft_ms=49.0, decode_tok_s=11.0))), board)
    assert (answer.ttft_ms, answer.decode_tok_s) == (49.0, 11.0)


def test_one_token_gives_no_live_speed() -> None:
    begun = answered()[:6]
    text = Event(9, 90_000, 0, ev.Delta(1, 0, "!"))
    answer = fold([*begun, text]).answers[1]
    assert (answer.tokens, answer.decode_tok_s) == (1, None)


def test_asking_again_replaces_the_turn_in_the_conversation_and_keeps_both() -> None:
    board = fold(
        answered(
            (300_000, 0, ev.Answered(1, "stop")),
            (310_000, 0, ev.Asked(2, "a", "乙", turn=1)),
            (320_000, 0, ev.Asked(3, "a", "甲", turn=0)),
        )
    )
    assert [a.id for a in board.conversation(0, "a")] == [3, 2]
    assert board.answer_ids[0, "a"] == [1, 2, 3]
    assert board.conversation(1, "a") == []


def test_a_typed_question_joins_the_list_once() -> None:
    board = fold(
        answered((1, 0, ev.Asked(5, "free-1", "为什么?")), (2, 1, ev.Asked(6, "free-1", "为什么?")))
    )
    assert [(q.id, q.is_typed) for q in board.questions] == [("a", False), ("free-1", True)]


def test_failures_and_cancels_keep_what_arrived() -> None:
    cases: list[tuple[Body, str]] = [
        (ev.Failed("crashed", "x", answer=1), "failed"),
        (ev.Cancelled(1), "cancelled"),
    ]
    for body, state in cases:
        answer = fold(answered((300_000, 0, body))).answers[1]
        assert (answer.state, answer.text, answer.is_open) == (state, "你好!", False)


def test_reasoning_stays_apart_from_the_answer() -> None:
    board = fold(answered((260_000, 0, ev.Delta(1, text="hm", reasoning=True))))
    assert (board.answers[1].text, board.answers[1].reasoning) == ("你好!", ["hm"])


def test_stars_change_and_go() -> None:
    board = fold(answered((9, RUN, ev.Rated(1, "逻辑", 4)), (9, 0, ev.Rated(1, "逻辑", 2))))
    assert board.answers[1].stars == {"逻辑": 2}
    fold(stream((9, RUN, ev.Rated(1, "逻辑", 0))), board)
    assert board.answers[1].stars == {}


def test_stars_and_votes_of_raters_stand_side_by_side() -> None:
    board = fold(
        answered(
            (9, 1, ev.Asked(2, "a", "甲")),
            (9, RUN, ev.Rated(1, "逻辑", 4, "李")),
            (9, RUN, ev.Rated(1, "逻辑", 2)),
            (9, RUN, ev.Rated(1, "逻辑", 5, "李")),
            (9, RUN, ev.Voted("a", 1, 2, "left", "李")),
            (9, RUN, ev.Voted("a", 1, 2, "tie")),
        )
    )
    answer = board.answers[1]
    assert answer.stars == {"逻辑": 5}, "the newest"
    assert answer.stars_of("") == {"逻辑": 2} and answer.stars_of("李") == {"逻辑": 5}
    assert board.votes == {("a", 1, 2): "tie"} and board.votes_of("李") == {("a", 1, 2): "left"}
    fold(
        stream((9, RUN, ev.Rated(1, "逻辑", 0, "李")), (9, RUN, ev.Voted("a", 1, 2, "none"))), board
    )
    assert answer.stars == {"逻辑": 2} and board.votes == {("a", 1, 2): "left"}


def test_the_newest_verdict_of_a_judge_counts_whichever_way_it_is_written() -> None:
    asked = (9, 1, ev.Asked(2, "a", "甲"))
    first = ev.Judged("a", 1, 2, "left", "j", ["left", "left"])
    newer, plain = (
        ev.Judged("a", 2, 1, "tie", "j", ["left", "right"]),
        ev.Judged("a", 1, 2, "none", "j", plain_text=True),
    )
    board = fold(answered(asked, (9, RUN, first), (9, RUN, newer), (9, RUN, plain)))
    assert list(board.judged.values()) == [newer, plain]


def test_judgements_that_nobody_can_have_made_do_not_count() -> None:
    asked = [(9, 1, ev.Asked(2, "a", "甲")), (9, 1, ev.Asked(3, "b", "乙"))]
    stars = [(9, RUN, ev.Rated(1, "逻辑", n)) for n in (2**62, -1, 6, 99)]
    votes = [
        (9, RUN, ev.Voted(*vote))
        for vote in (
            ("a", 1, 1, "left"),
            ("a", 1, 99, "left"),
            ("a", 1, 3, "left"),
            ("b", 1, 2, "left"),
            ("a", 1, 2, "banana"),
        )
    ]
    verdicts = [
        (9, RUN, ev.Judged(*pair, "left", "j", ["left", "left"]))
        for pair in (("a", 1, 1), ("a", 1, 99), ("a", 1, 3), ("b", 1, 2))
    ]
    board = fold(answered(*asked, *stars, *votes, *verdicts))
    assert not board.answers[1].ratings and not board.ballots and not board.judged


def test_a_judge_s_choice_is_what_its_two_orders_agree_on() -> None:
    asked = (9, 1, ev.Asked(2, "a", "甲"))
    told: list[tuple[list[str], str]] = [
        (["right", "right"], "right"),
        (["left", "right"], "tie"),
        ([], "none"),
        (["left"], "none"),
        (["left", "x"], "none"),
        (["left", "left", "left"], "none"),
    ]
    for said, choice in told:
        board = fold(answered(asked, (9, RUN, ev.Judged("a", 1, 2, "left", "j", said))))
        (judged,) = board.judged.values()
        assert judged.choice == choice, said


def test_events_nobody_introduced_are_ignored() -> None:
    board = fold(
        answered(
            (9, 7, ev.Delta(1, text="x")),
            (9, 1, ev.Delta(1, text="x")),
            (9, 0, ev.Delta(99, text="x")),
            (9, -5, ev.Delta(1, text="x")),
            (9, 0, ev.Unknown("later", {})),
            (9, RUN, ev.Rated(99, "逻辑", 3)),
        )
    )
    assert board.answers[1].text == "你好!"


def test_a_fold_in_pieces_is_the_fold_of_the_whole() -> None:
    events = answered((300_000, 0, ev.Answered(1, "length")), (310_000, RUN, ev.End("done")))
    whole = fold(events)
    pieces = Board()
    for event in events:
        fold([event], pieces)
    assert whole == pieces


def test_a_finished_answer_is_kept_in_one_piece() -> None:
    events = answered((260_000, 0, ev.Delta(1, text="hm", reasoning=True)))
    open_answer = fold(events).answers[1]
    assert len(open_answer.chunks) > 1
    assert [last_characters(open_answer.chunks, n) for n in (0, 1, 3, 9)] == [
        "",
        "!",
        "你好!",
        "你好!",
    ]
    for body in (ev.Answered(1, "stop"), ev.Failed("crashed", "x", answer=1), ev.Cancelled(1)):
        answer = fold([*events, *stream((300_000, 0, body))]).answers[1]
        assert (answer.chunks, answer.text_length, answer.reasoning_length) == (["你好!"], 3, 2)


def test_ten_thousands_of_typed_questions_are_folded_in_a_moment() -> None:
    header = ev.Session(1, "x", "y", [{"name": "m"}], {"questions": [{"id": "q5", "turns": ["?"]}]})
    asked = [ev.Event(i + 1, i, 0, ev.Asked(i, f"q{i}", "?")) for i in range(50_000)]
    board = fold([ev.Event(0, 0, RUN, header), *asked])
    assert len(board.questions) == 50_000
    assert [q.id for q in board.questions[:3]] == ["q5", "q0", "q1"]


def asked_twice() -> Board:
    script = EventScript("a", "b")
    for answer, text in enumerate(("first", "second", "first")):
        script.asked(0, answer, "logic")
        script.tokens(0, answer, [text])
        script.say(0, ev.Answered(answer, "stop"))
    return fold(script.all)


def test_of_several_answers_the_newest_counts_until_one_is_chosen() -> None:
    board = asked_twice()
    assert [one.id for one in board.conversation(0, "logic")] == [2]
    fold([Event(90, 0, RUN, ev.Chosen(1))], board)
    assert [one.id for one in board.conversation(0, "logic")] == [1]
    assert [one.id for one in newest_answers(board)] == [1]
    assert place_of(board, board.answers[1]) == Place(2, 3, 2, True)
    assert place_of(board, board.answers[2]) == Place(3, 3, 2, False)
    assert [one.id for one in repeats(board, board.answers[1])] == [0, 1, 2]
    fold([Event(91, 0, 0, ev.Asked(3, "logic", "?"))], board)
    assert [one.id for one in board.conversation(0, "logic")] == [3] and not board.chosen


def test_an_answer_on_view_does_not_count_and_is_left_when_the_conversation_goes_on() -> None:
    board = asked_twice()
    board.on_view[0, "logic", 0] = 0
    assert [one.id for one in board.conversation(0, "logic")] == [0]
    assert [one.id for one in board.counting_answers(0, "logic")] == [2]
    assert [one.id for one in newest_answers(board)] == [2]
    fold([Event(91, 0, 0, ev.Asked(3, "logic", "further", 1))], board)
    assert [one.id for one in board.conversation(0, "logic")] == [2, 3]


def test_a_choice_of_an_answer_that_is_not_known_does_nothing() -> None:
    board = asked_twice()
    fold([Event(90, 0, RUN, ev.Chosen(77))], board)
    assert [one.id for one in board.conversation(0, "logic")] == [2]
