"""The pad in Chromium: a drawing is never lost, and every stroke counts."""

import re

from helpers.browser import draw, on_pad, result
from helpers.page import Page, draw_number, encode_image, serve_page
from helpers.waiting import free_port
from playwright.sync_api import Browser, FilePayload, Locator, Route, expect
from playwright.sync_api import Page as Tab

from demo.predictors import PredictorPool

INK_BOX = """() => {
  const canvas = document.querySelector("#pad canvas");
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] < 128) continue;
    const [x, y] = [((i - 3) / 4) % width, Math.floor((i - 3) / 4 / width)];
    [left, top] = [Math.min(left, x), Math.min(top, y)];
    [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
  }
  return [(right - left) / width, (bottom - top) / height];
}"""
"""Returns the width and the height of the ink, as fractions of the pad's."""


def number(tab: Tab) -> Locator:
    """Return the number that the page shows."""
    return result(tab).locator(".read")


def stroke(tab: Tab, *points: tuple[float, float]) -> None:
    """Draw one stroke through points, given as fractions of the pad's width and height."""
    box = tab.locator(".pad canvas").bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=8)
    tab.mouse.up()


def test_a_drawing_survives_a_reload_and_back_and_can_still_be_undone(tab: Tab) -> None:
    draw(tab, "42")
    expect(number(tab)).to_have_text("42")
    tab.reload()
    expect(number(tab)).to_have_text("42")
    tab.goto("about:blank")
    tab.go_back()
    expect(number(tab)).to_have_text("42")
    tab.get_by_role("button", name="Clear").click()
    expect(result(tab)).to_contain_text("Your number appears here")
    tab.reload()
    expect(tab.locator(".invitation")).to_be_visible()
    tab.keyboard.press("Control+z")
    expect(number(tab)).to_have_text("42")


def visit(browser: Browser, pool: PredictorPool, port: int) -> Tab:
    """Return a page on which a 4 was read, and whose server has ended."""
    tab = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce").new_page()
    with serve_page(pool, port=port) as address:
        tab.goto(address)
        draw(tab, "4")
        expect(number(tab)).to_have_text("4")
    return tab


def test_while_the_server_is_away_the_page_says_so_and_afterwards_reads_the_drawing(
    browser: Browser, pool: PredictorPool
) -> None:
    port = free_port()
    tab = visit(browser, pool, port)
    tab.keyboard.press("Delete")
    draw(tab, "42")
    expect(tab.get_by_role("status").filter(has_text="The server does not answer")).to_be_visible()
    assert float(number(tab).evaluate("element => getComputedStyle(element).opacity")) < 0.5
    with serve_page(pool, port=port):
        expect(number(tab)).to_have_text("42", timeout=30_000)
        expect(tab.locator(".away-note")).to_be_hidden()
        tab.context.set_offline(True)
        tab.get_by_role("button", name="Undo").click()
        expect(tab.locator(".away-note")).to_be_visible()
        tab.context.set_offline(False)
        expect(tab.locator(".away-note")).to_be_hidden()
        expect(number(tab)).not_to_have_text("42")
    tab.context.close()


def test_a_picture_is_sent_when_the_server_answers_again(browser: Browser, pool: PredictorPool) -> None:
    port = free_port()
    tab = visit(browser, pool, port)
    tab.get_by_role("tab", name="Upload").click()
    picture: FilePayload = {"name": "25.png", "mimeType": "image/png", "buffer": encode_image(draw_number("25"))}
    tab.locator("#photo input[type=file]").first.set_input_files(picture)
    expect(tab.locator("#photo [role=alert]")).to_contain_text("The picture is sent as soon as it answers")
    with serve_page(pool, port=port):
        expect(number(tab)).to_have_text("25", timeout=30_000)
    tab.context.close()


def test_a_drawing_keeps_its_size_when_the_screen_is_rotated_again_and_again(tab: Tab) -> None:
    draw(tab, "42")
    before = tab.evaluate(INK_BOX)
    for _ in range(4):
        tab.set_viewport_size({"width": 390, "height": 664})
        tab.wait_for_function("document.querySelector('#pad canvas').clientWidth < 400")
        narrow = tab.evaluate(INK_BOX)
        assert max(now - then for now, then in zip(narrow, before, strict=True)) >= -0.02  # the frame fills one side
        tab.set_viewport_size({"width": 1280, "height": 900})
        tab.wait_for_function("document.querySelector('#pad canvas').clientWidth > 500")
    after = tab.evaluate(INK_BOX)
    assert [round(abs(one - other), 2) for one, other in zip(before, after, strict=True)] == [0, 0]
    expect(number(tab)).to_have_text("42")


def test_a_stroke_that_begins_outside_and_one_at_the_very_edge_are_read(tab: Tab) -> None:
    stroke(tab, (0.5, 1.45), (0.5, 0.2))
    expect(number(tab)).to_have_text("1")
    tab.keyboard.press("Delete")
    stroke(tab, (0.001, 0.15), (0.001, 0.85))
    expect(number(tab)).to_have_text("1")


def test_an_example_takes_one_step_to_undo(tab: Tab) -> None:
    draw(tab, "7")
    expect(number(tab)).to_have_text("7")
    tab.get_by_role("button", name="Draw 2025").click()
    expect(number(tab)).to_have_text("2025")
    tab.keyboard.press("Control+z")
    expect(number(tab)).to_have_text("7")


def test_a_button_keeps_the_focus_when_it_has_nothing_more_to_do(tab: Tab) -> None:
    draw(tab, "7")
    clear = tab.get_by_role("button", name="Clear")
    clear.focus()
    tab.keyboard.press("Enter")
    expect(clear).to_have_attribute("aria-disabled", "true")
    expect(clear).to_be_focused()


def test_ink_is_sharp_after_a_change_of_the_pixel_ratio(tab: Tab) -> None:
    draw(tab, "7")
    zoomed = {"width": 1279, "height": 900, "deviceScaleFactor": 3, "mobile": False}
    tab.context.new_cdp_session(tab).send("Emulation.setDeviceMetricsOverride", zoomed)
    tab.wait_for_function("(canvas => canvas.width === 3 * canvas.clientWidth)(document.querySelector('#pad canvas'))")
    assert tab.evaluate(INK_BOX)[1] > 0.5


def test_a_pen_draws_on_the_pad(tab: Tab) -> None:
    (points,) = on_pad(tab, "1")
    devtools = tab.context.new_cdp_session(tab)
    kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 2), "mouseReleased"]
    for kind, (x, y) in zip(kinds, points, strict=True):
        pen = {"x": x, "y": y, "button": "left", "buttons": 1, "pointerType": "pen", "clickCount": 1}
        devtools.send("Input.dispatchMouseEvent", {"type": kind, **pen})
    expect(number(tab)).to_have_text("1")


def test_one_can_draw_while_gradio_loads(browser: Browser, page: Page) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    waiting: list[Route] = []
    tab.route(re.compile("/assets/"), lambda route: waiting.append(route) if loading else route.continue_())
    loading = True
    tab.goto(page.address, wait_until="commit")
    tab.locator(".pad canvas").wait_for()
    box = tab.locator(".paper").bounding_box()
    draw(tab, "7")
    loading = False
    for route in waiting:
        route.continue_()
    expect(number(tab)).to_have_text("7")
    assert tab.locator(".paper").bounding_box() == box
    context.close()
