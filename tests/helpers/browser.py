"""The page in a browser: open it, draw on its pad, find its result."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Locator, Page

from demo.strokes import strokes_of


@contextmanager
def opened(context: BrowserContext, address: str) -> Iterator[Page]:
    """Open the page; at the end assert that it logged no error and sent no request to another host."""
    tab = context.new_page()
    tab.set_default_timeout(30_000)
    faults: list[str] = []
    tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: faults.append(str(error)))
    allowed = (f"{address}/", "data:", f"blob:{address}/")
    tab.on("request", lambda request: None if request.url.startswith(allowed) else faults.append(request.url))
    tab.goto(address)
    tab.locator("#pad canvas").wait_for()
    yield tab
    tab.close()
    assert faults == []


def result(tab: Page) -> Locator:
    """Return the element that shows the number."""
    return tab.locator(".number:visible")


def draw(tab: Page, text: str) -> None:
    """Draw a number with the mouse."""
    for points in on_pad(tab, text):
        tab.mouse.move(*points[0])
        tab.mouse.down()
        for point in points[1:]:
            tab.mouse.move(*point, steps=3)
        tab.mouse.up()


def on_pad(tab: Page, text: str) -> list[list[tuple[float, float]]]:
    """Return the strokes of a number, in pixels of the window."""
    box = tab.locator(".pad canvas").bounding_box()
    assert box
    unit = min(box["height"] * 0.06, box["width"] / (9 * len(text) + 1))
    return [
        [(box["x"] + unit * (1 + x), box["y"] + box["height"] * 0.2 + unit * y) for x, y in stroke]
        for stroke in strokes_of(text)
    ]
