"""One to six panes in every room from 40x12 on: all of them can be reached and read."""

import pytest

from tests.support.stage import comparing


@pytest.mark.parametrize("count", range(1, 7))
async def test_every_pane_can_be_read_in_every_room(count: int) -> None:
    async with comparing(*(f"model-{n}" for n in range(count)), size=(80, 24)) as it:
        grid = it.screen.grid
        assert grid is not None
        for model in range(count):
            it.run.asked(model, model, "logic")
            it.run.tokens(model, model, [f"the answer of {model}"])
        await it.beat()
        for columns, rows in ((40, 12), (80, 24), (99, 30), (120, 36), (240, 60)):
            await it.pilot.resize_terminal(columns, rows)
            await it.beat()
            seen: set[int] = set()
            for _ in range(count + 1):  # the panes and the prompt
                for pane in grid.visible_panes():
                    text = "\n".join(it.pane(pane.index))
                    assert f"the answer of {pane.index}" in text, (columns, rows)
                    region = pane.region
                    assert region.right <= columns and region.bottom <= rows
                    seen.add(pane.index)
                if len(seen) == count:
                    break
                await it.press("tab")
            assert seen == set(range(count)), (columns, rows)
            status = it.screen.status_bar.region
            assert status.height == 1 and status.bottom <= rows
            assert it.screen.prompt.region.bottom <= rows and it.screen.question_bar.region.y == 0
            assert "? help  q quit" in it.screen.keys_bar.text or it.screen.prompt.has_focus
            assert it.screen.keys_bar.region.bottom <= rows
