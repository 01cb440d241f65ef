"""Names that differ from each other."""

from tui.text.unused_name import unused_name


class Counted(set[str]):
    """Names, and how often one was looked for among them."""

    looked = 0

    def __contains__(self, name: object) -> bool:
        self.looked += 1
        return super().__contains__(name)


def test_names_are_numbered_from_two_on() -> None:
    used: set[str] = set()
    for _ in range(9):
        used.add(unused_name("a", used))
    assert used == {"a", *(f"a #{n}" for n in range(2, 10))}
    assert unused_name("a", ["a", "a #2", "a #4"]) not in ("a", "a #2", "a #4")
    assert unused_name("b", used) == "b"


def test_many_equal_names_cost_no_more_than_others() -> None:
    """A template of others can have ten thousand places of one name."""
    used = Counted()
    for _ in range(2000):
        used.add(unused_name("a", used))
    assert len(used) == 2000 and used.looked < 2000 * 30
