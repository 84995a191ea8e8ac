"""The page's main way in Debian's Firefox."""

import shutil
from pathlib import Path

import pytest
from helpers.firefox import Firefox, opened_firefox
from helpers.page import Page
from helpers.waiting import wait_until

from demo.strokes import strokes_of

NUMBER = "document.querySelector('.number .read')?.textContent"
FAULTS = "window.faults = []; for (const kind of ['error', 'unhandledrejection']) addEventListener(kind, (event) => \
faults.push(event.message ?? String(event.reason)))"


def draw(firefox: Firefox, text: str) -> None:
    """Draw a number with the mouse."""
    left, top, width, height = firefox.evaluate(
        "(({ x, y, width, height }) => [x, y, width, height])"
        "(document.querySelector('.pad canvas').getBoundingClientRect())"
    )
    unit = min(height * 0.06, width / (9 * len(text) + 1))
    for stroke in strokes_of(text):
        firefox.drag([(left + unit * (1 + x), top + height * 0.2 + unit * y) for x, y in stroke])


@pytest.mark.skipif(
    not shutil.which("firefox-esr"), reason="firefox-esr is not installed; run: apt install firefox-esr"
)
def test_a_number_is_drawn_read_looked_into_and_still_there_after_a_reload(page: Page, tmp_path: Path) -> None:
    with opened_firefox(tmp_path) as firefox:
        firefox.run("Navigate", url=page.address)
        firefox.run("ExecuteScript", script=FAULTS, args=[])
        wait_until(lambda: firefox.evaluate("!!document.querySelector('#pad canvas')"), "Gradio's page does not appear")
        draw(firefox, "42")
        wait_until(lambda: firefox.evaluate(NUMBER) == "42", "the number is not read")
        assert firefox.evaluate("document.querySelectorAll('.card').length") == 2
        firefox.evaluate("document.querySelector('.open-inside').click()")
        best = "document.querySelector('.inside .logits .best b')?.textContent"
        wait_until(lambda: firefox.evaluate(best) == "2", "the layers do not appear")
        assert firefox.evaluate("faults") == []
        firefox.run("Refresh")
        wait_until(lambda: firefox.evaluate(NUMBER) == "42", "the drawing is lost")
