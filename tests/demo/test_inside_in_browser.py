"""Looking inside a network, in a browser."""

from helpers.browser import draw, on_pad, opened, result
from helpers.page import Page
from playwright.sync_api import Browser, BrowserContext, Locator, expect
from playwright.sync_api import Page as Tab


def panel(tab: Tab) -> Locator:
    return tab.locator(".inside:visible")


def updates(tab: Tab) -> int:
    """Return how often the panel has shown new values."""
    return int(panel(tab).get_attribute("data-updates") or 0)


def test_nothing_is_loaded_or_computed_before_a_visitor_looks_inside(tab: Tab) -> None:
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    draw(tab, "4")
    expect(result(tab).locator(".read")).to_have_text("4")
    assert not [url for url in requests if "inside" in url]
    tab.get_by_role("button", name="Look inside").first.click()
    expect(panel(tab).locator(".stage")).to_have_count(10)  # the ink, eight layers and the logits
    assert [url for url in requests if url.endswith("/run/inside")]


def test_the_layers_follow_a_stroke_and_the_largest_logit_is_the_answer(tab: Tab) -> None:
    draw(tab, "7")
    tab.get_by_role("button", name="Look inside").first.click()
    expect(panel(tab).locator(".logits .best b")).to_have_text("7")
    tops = "items => new Set(items.map(item => item.getBoundingClientRect().top)).size"
    assert panel(tab).locator(".logits li").evaluate_all(tops) == 1, "the bars have different grounds"
    tab.keyboard.press("Delete")
    (points,) = on_pad(tab, "1")
    before = updates(tab)
    tab.mouse.move(*points[0])
    tab.mouse.down()
    for x, y in points[1:]:
        tab.mouse.move(x, y, steps=8)
        tab.wait_for_timeout(150)
    assert updates(tab) > before  # before the stroke ends
    tab.mouse.up()
    expect(panel(tab).locator(".logits .best b")).to_have_text("1")


def test_a_value_is_explained_by_mouse_and_keyboard(tab: Tab) -> None:
    draw(tab, "42")
    tab.get_by_role("button", name="Look inside").first.click()
    expect(panel(tab).locator(".logits .best b")).to_have_text("2")
    panel(tab).get_by_role("button", name="Digit 1").click()
    expect(panel(tab).locator(".logits .best b")).to_have_text("4")
    panel(tab).locator(".sheet canvas").first.click(position={"x": 20, "y": 20})
    cell = panel(tab).locator(".cell")
    expect(cell).to_contain_text("Convolution 1, map 1, row 11, column 11")
    expect(cell.locator(".square")).to_have_count(2)
    expect(panel(tab).locator(".links path")).to_have_count(1)
    panel(tab).locator(".sheet canvas").first.press("ArrowDown")
    expect(cell).to_contain_text("row 12, column 11")
    panel(tab).locator(".logits button").nth(4).click()
    logit = panel(tab).locator(".logits .best small").inner_text()
    expect(cell).to_contain_text(f"The logit of 4 is {logit}")
    sure = panel(tab).locator(".logits .best").get_attribute("title") or ""
    expect(cell.locator(".softmax")).to_contain_text(f"{sure.removeprefix('4: ')}probability (softmax)=")
    panel(tab).press("Escape")
    expect(cell).to_be_hidden()


def test_slow_motion_is_stepped_through_without_motion_if_the_visitor_prefers_that(tab: Tab) -> None:
    draw(tab, "7")
    tab.get_by_role("button", name="Look inside").first.click()
    panel(tab).get_by_role("button", name="Step through").click()
    expect(panel(tab).locator(".stage.now")).to_contain_text("Ink")
    for _ in range(9):
        panel(tab).get_by_role("button", name="Next").click()
    expect(panel(tab).locator(".stage.now")).to_contain_text("Logits")
    panel(tab).get_by_role("button", name="Done").click()
    expect(panel(tab).locator(".stage.now")).to_have_count(0)
    panel(tab).get_by_role("button", name="Close", exact=True).click()
    expect(tab.locator(".card")).to_be_visible()


def test_slow_motion_plays_and_stops(browser: Browser, page: Page) -> None:
    context: BrowserContext = browser.new_context(viewport={"width": 390, "height": 844})
    with opened(context, page.address) as tab:
        draw(tab, "7")
        tab.get_by_role("button", name="Look inside").first.click()
        panel(tab).get_by_role("button", name="Slow motion").click()
        expect(panel(tab).locator(".stage.now")).to_contain_text("Convolution 1")
        panel(tab).get_by_role("button", name="Stop").click()
        expect(panel(tab).locator(".stage.now")).to_have_count(0)
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
