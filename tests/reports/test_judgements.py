"""What several people and judges say of answers, and how far they agree."""

from dataclasses import replace
from pathlib import Path

from tests.support.made_session import Made, sentence
from tui import events as ev
from tui.events import RUN


def test_two_raters_are_told_apart_and_compared(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    given = {"李": ([5, 4, 5, 4, 5, 4, 5, 4], [3] * 8), "wang": ([4] * 8, [3, 3, 3, 3, 2, 2, 2, 2])}
    for rater, by_model in given.items():
        for model, stars in enumerate(by_model):
            made.events += [
                (RUN, ev.Rated(made.id(model, q), "d", n, rater)) for q, n in enumerate(stars)
            ]
        made.events.append((RUN, ev.Voted("q0", 0, 8, "left" if rater == "李" else "tie", rater)))
    document = made.document()
    text = sentence(document.conclusion, "Most stars: alpha")
    # Per question: means 4.5 and 4 against 3 and 2.5, all by 1.5 or 1.
    assert "with 4.25 on average, against 2.75 of beta, over 8 common questions" in text
    assert "a clear difference (+1.50" in text
    (table,) = [t for t in document.comparison if t.title.startswith("Stars per model")]
    assert table.notes[0] == "Raters: 李 (16 answers), wang (16 answers)."
    # krippendorff 0.9.0, ordinal, of both raters' sixteen stars
    assert table.notes[1].startswith("Krippendorff's alpha of the stars: 0.80 over 16")
    assert document.sections[0].verdicts == (
        "Vote of 李: alpha is better than beta.",
        "Vote of wang: alpha and beta are equally good.",
    )
    assert "★★★★★ (李)" in document.sections[0].turns[0].cards[0].lines[1]


def test_a_judge_with_flips_and_a_panel(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for q in range(8):
        both = (made.id(0, q), made.id(1, q))
        steady, flipped = ["left", "left"], ["left", "right"]
        for judge, said in (("one", flipped if q < 2 else steady), ("two", steady), ("3", flipped)):
            choice = said[0] if said[0] == said[1] else "tie"
            made.events.append((RUN, ev.Judged(f"q{q}", *both, choice, judge, said)))
    document = made.document()
    one = sentence(document.conclusion, "The judge one preferred alpha on 6 and beta on 0 of 8")
    assert "a clear difference (100% of the decided ones" in one and "p = 0.031" in one
    assert "none of 8 questions was decided" in sentence(document.conclusion, "The judge 3")
    # Two of three say left on six questions; on the others one says left, two a tie.
    panel = sentence(document.conclusion, "The panel of judges preferred alpha on 6 and beta on 0")
    assert "a clear difference" in panel
    tables = [t for t in document.comparison if "judge" in t.title]
    assert [t.title for t in tables][-1].startswith("The panel of 3 judges")
    (listed,) = [n for n in tables[0].notes if n.startswith("To read")]
    assert "decided on question 1 (alpha, beta); question 2 (alpha, beta)." in listed


def test_a_judge_that_nobody_could_read_concludes_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for q in range(8):
        both = (made.id(0, q), made.id(1, q))
        made.events.append((RUN, ev.Judged(f"q{q}", *both, "none", "j", ["none"] * 2)))
    document = made.document()
    (table,) = [t for t in document.comparison if "judge" in t.title]
    assert table.rows == () and table.notes == ("No verdict could be read, so none counts: 8.",)
    told = [text for text in document.conclusion if "judge" in text]
    assert told == ["The judge j gave no verdict that could be read on 8 pairs of answers."]
    assert not [t for t in document.comparison if t.title.startswith("Where they differ")]


def test_verdicts_of_any_type_end_in_words(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=4).all_answered()
    odd: list[list[object]] = [[1, {}], [["left"], None], [], [{"a": 1}, "left", 3]]
    for q, said in enumerate(odd):
        both = (made.id(0, q), made.id(1, q))
        event = ev.Judged(f"q{q}", *both, "left", "j", said, said, False, {"d": said, "e": 3})  # type: ignore[arg-type]
        made.events.append((RUN, event))
    document = made.document()
    assert "no verdict that could be read on 4" in sentence(document.conclusion, "The judge j")
    assert all(section.verdicts for section in document.sections)


def test_judge_and_stars_speak_of_the_same_dimensions(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for q in range(8):
        said = {"幽默感": ["left", "left"], "回答逻辑": ["right", "right" if q else "left"]}
        both = (made.id(0, q), made.id(1, q))
        event = ev.Judged(f"q{q}", *both, "tie", "j", ["tie", "tie"], dimensions=said)
        made.events.append((RUN, replace(event, plain_text=True)))
    document = made.document()
    (table,) = [t for t in document.comparison if "judge" in t.title]
    assert table.title == "Verdicts of the judge j (without Markdown), pair by pair"
    (note,) = [n for n in table.notes if n.startswith("By dimension")]
    assert "Humour alpha 8 : 0 beta; Logic alpha 0 : 7 beta" in note


def test_a_judge_that_knows_people_is_corrected(tmp_path: Path) -> None:
    """People prefer each one on half of 40 questions; the judge says alpha too often."""
    made = Made(tmp_path, questions=40).all_answered()
    for q in range(40):
        both = (made.id(0, q), made.id(1, q))
        person = "left" if q % 2 else "right"
        judge = "left" if person == "left" or q % 8 == 0 else "right"
        made.events.append((RUN, ev.Voted(f"q{q}", *both, person)))
        made.events.append((RUN, ev.Judged(f"q{q}", *both, judge, "j", [judge] * 2)))
    (table,) = [t for t in made.document().comparison if "judge" in t.title]
    (note,) = [n for n in table.notes if n.startswith("Corrected")]
    assert "on 40 questions, alpha would win 50% of the decided ones against beta" in note


def test_of_two_families_it_is_not_said_which_one_the_judge_is_of(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.header.models[1]["family"] = "qwen2"
    made.all_answered()
    judged = ev.Judged("q0", made.id(0, 0), made.id(1, 0), "left", "big", ["left", "left"])
    made.events.append((RUN, replace(judged, same_family=True)))
    (table,) = [t for t in made.document().comparison if t.title.startswith("Verdicts")]
    assert any("of the family of one at least of alpha, beta" in note for note in table.notes)
