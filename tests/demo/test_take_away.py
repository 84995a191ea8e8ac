"""Links, pictures and files to take away, and the game, in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import draw, on_pad, opened, result
from helpers.page import Page
from helpers.waiting import wait_until
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab

from demo.static_files import URL_PATH
from pipeline import CsvFile

MODULE = f"import(new URL('{URL_PATH}/link.js', document.baseURI))"
"""The module of links, in the page."""


@pytest.fixture(scope="module")
def sharer(browser: Browser) -> Iterator[BrowserContext]:
    """Yield a browser with a clipboard."""
    permissions = ["clipboard-read", "clipboard-write"]
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce", permissions=permissions
    )
    yield context
    context.close()


def test_a_link_opens_with_the_same_drawing(sharer: BrowserContext, page: Page) -> None:
    with opened(sharer, page.address) as tab:
        draw(tab, "42")
        expect(result(tab).locator(".read")).to_have_text("42")
        tab.get_by_role("button", name="Copy link").click()
        expect(tab.get_by_text("Link copied")).to_be_visible()
        link = tab.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{page.address}/#drawing=")
    assert len(link) < 1000
    with opened(sharer, page.address) as tab:
        tab.goto("about:blank")
        tab.goto(link)
        expect(result(tab).locator(".read")).to_have_text("42")
        assert "#" not in tab.url


def test_a_damaged_link_is_no_drawing(tab: Tab) -> None:
    decode = f"(text) => {MODULE}.then((link) => link.decode(text))"
    for text in ("", "?", "AAAA", "AtYP", "A" * 100_000):
        assert tab.evaluate(decode, text) is None


def test_a_drawing_too_long_for_a_link_is_not_shared_in_silence(tab: Tab) -> None:
    stroke = {"points": [[x % 2, x / 30_000] for x in range(30_000)], "width": 0.04, "erases": False}
    encode = (
        f"(stroke) => import(new URL('{URL_PATH}/link.js', document.baseURI)).then((link) => link.encode(2, [stroke]))"
    )
    assert tab.evaluate(encode, stroke) is None
    stroke["points"] = stroke["points"][:100]
    assert len(tab.evaluate(encode, stroke)) > 100


def test_the_card_and_the_digits_are_files(tab: Tab, tmp_path: Path) -> None:
    draw(tab, "17")
    expect(result(tab).locator(".read")).to_have_text("17")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Save picture").first.click()
    assert download.value.suggested_filename == "17.png"
    download.value.save_as(tmp_path / "17.png")
    assert Image.open(tmp_path / "17.png").size == (1200, 630)
    tab.get_by_role("button", name="Keep digits").first.click()
    expect(tab.get_by_text("2 digits kept")).to_be_visible()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "digits.csv")
    assert CsvFile(tmp_path / "digits.csv").read(labels_required=True).known_labels.tolist() == [1, 7]


INK = """() => {
  const canvas = document.querySelector(".paper canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const places = [...Array(canvas.width * canvas.height).keys()].filter((place) => data[4 * place + 3] > 64);
  const { left, top } = canvas.getBoundingClientRect();
  const across = places.map((place) => place % canvas.width), down = places.map((place) => place / canvas.width);
  const ends = (values, start) => [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))]
    .map((each) => start + each / devicePixelRatio);
  return [...ends(across, left), ...ends(down, top)];
}"""
"""Returns the bounds of the ink on the pad: left, right, top, bottom, in pixels of the window."""


def edges_of_boxes(tab: Tab) -> list[list[float]]:
    """Return left, right, top and bottom of each digit's box on the pad, in pixels of the window."""
    edges: list[list[float]] = tab.evaluate(
        "[...document.querySelectorAll('.paper .split span')].map((box) => box.getBoundingClientRect())"
        ".map(({ left, right, top, bottom }) => [left, right, top, bottom])"
    )
    return edges


def ends_of_boxes(tab: Tab) -> list[float]:
    """Return left, right, top and bottom of all boxes together, within padding and border."""
    lefts, rights, tops, bottoms = zip(*edges_of_boxes(tab), strict=True)
    return [min(lefts) + 7, max(rights) - 7, min(tops) + 7, max(bottoms) - 7]


def test_the_boxes_of_the_digits_lie_around_their_ink(tab: Tab) -> None:
    draw(tab, "71")
    boxes = tab.locator(".paper .split span")
    expect(boxes).to_have_text(["7", "1"])
    edges = [(left, right) for left, right, _, _ in edges_of_boxes(tab)]
    for (left, right), stroke in zip(edges, on_pad(tab, "71"), strict=True):
        ink = [x for x, _ in stroke]
        assert left < min(ink) < max(ink) < right
        assert right - left < max(ink) - min(ink) + 60
    for size in ((700, 900), (1024, 500)):
        tab.set_viewport_size({"width": size[0], "height": size[1]})
        wait_until(lambda: ends_of_boxes(tab) == pytest.approx(tab.evaluate(INK), abs=6), f"{size}: beside their ink")
    tab.keyboard.press("Delete")
    expect(boxes.first).to_be_hidden()


def test_the_game_says_what_is_read_and_counts(tab: Tab) -> None:
    tab.get_by_role("button", name="Can you fool it?").click()
    expect(tab.locator(".game")).to_contain_text("1 of 9 Draw a 7 with a bar.")
    draw(tab, "7")
    expect(tab.locator(".game .answer")).to_have_text("It reads 7: right.")
    tab.get_by_role("button", name="Next").click()
    for place in range(2, 10):
        expect(tab.locator(".game")).to_contain_text(f"{place} of 9")
        expect(result(tab).locator(".read")).to_have_count(0)
        draw(tab, "1")
        expect(tab.locator(".game .answer")).to_contain_text("It reads 1")
        tab.get_by_role("button", name="Next").click()
    expect(tab.locator(".game")).to_contain_text("It read 2 of 9.")
    tab.get_by_role("button", name="Stop").click()
    expect(tab.locator(".game")).to_be_hidden()
