"""The page on screens of every size, with keyboards and screen readers, and as a link that people send."""

import base64
import re
from io import BytesIO

import httpx
import pytest
from helpers.browser import draw, opened, result
from helpers.page import Page, draw_number, encode_image
from helpers.paths import PROJECT
from PIL import Image
from playwright.sync_api import Browser, Locator, expect
from playwright.sync_api import Page as Tab

SCREENS = [(360, 640), (390, 664), (740, 360), (768, 1024), (1024, 768)]
GIVE = """([kind, name, content]) => {
  const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  const options = { bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data };
  document.body.dispatchEvent(kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options));
}"""
"""Pastes or drops a file."""
SIZES = """() => {
  const used = { text: [], radius: [] };
  for (const element of document.querySelectorAll("body *")) {
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const writes = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (writes || element.matches("input, textarea")) used.text.push(style.fontSize);
    const { borderTopLeftRadius: radius, borderTopWidth: border, backgroundColor: colour } = style;
    const isSeen = border !== "0px" || colour !== "rgba(0, 0, 0, 0)" || element.tagName === "IMG";
    if (radius !== "0px" && isSeen) used.radius.push(radius);
  }
  return used;
}"""
"""Returns the sizes of visible text and the radii of visible corners."""


def is_in_sight(element: Locator, size: tuple[int, int]) -> bool:
    """Return whether all of an element is in a window of this size."""
    box = element.bounding_box()
    assert box
    inside = box["x"] >= 0 and box["y"] >= 0
    return inside and box["x"] + box["width"] <= size[0] and box["y"] + box["height"] <= size[1]


def test_number_parity_and_pad_are_in_sight_on_every_screen_and_six_digits_fit(browser: Browser, page: Page) -> None:
    width, height = SCREENS[0]
    phone = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, reduced_motion="reduce")
    with opened(phone, page.address) as tab:
        draw(tab, "204913")
        expect(result(tab).locator(".read")).to_have_text("204913")
        for size in SCREENS:
            tab.set_viewport_size({"width": size[0], "height": size[1]})
            tab.wait_for_timeout(200)  # until the layout has changed
            for part in (".number .read", ".number .chip", ".paper"):
                assert is_in_sight(tab.locator(part).locator("visible=true"), size), (size, part)
            assert tab.evaluate("[scrollY, document.documentElement.scrollWidth]") == [0, size[0]]
            button = tab.locator(".open-inside").locator("visible=true").bounding_box()
            assert button
            assert button["x"] + button["width"] <= size[0], size
            expect(result(tab).locator(".read")).to_have_text("204913")
    phone.close()


def give(tab: Tab, kind: str, name: str, content: bytes) -> None:
    """Paste or drop a file."""
    tab.evaluate(GIVE, [kind, name, base64.b64encode(content).decode()])


def test_a_picture_is_read_wherever_it_is_pasted_or_dropped(tab: Tab) -> None:
    give(tab, "paste", "2025.png", encode_image(draw_number("2025")))
    expect(result(tab).locator(".read")).to_have_text("2025")
    tab.get_by_role("button", name="Another picture").click()
    expect(tab.get_by_role("button", name="Choose a picture")).to_be_focused()
    tab.get_by_role("tab", name="Draw").click()
    give(tab, "drop", "42.avif", encode_image(draw_number("42"), "avif"))
    expect(result(tab).locator(".read")).to_have_text("42")
    give(tab, "drop", "photo.jpg", b"\0\0\0\x18ftypheic" + bytes(1000))
    expect(result(tab)).to_contain_text("photo.jpg is a HEIC photo; save it as JPEG")
    assert tab.locator("#photo input[capture=environment]").count() == 1


def test_a_figure_opens_to_fit_the_screen_and_a_phone_shows_the_accuracy(tab: Tab) -> None:
    tab.emulate_media(color_scheme="dark")
    tab.get_by_role("tab", name="Models").click()
    figure = tab.locator(".figures img").first
    expect(figure).to_be_visible()
    shape = "element => [element.clientWidth / element.clientHeight, element.naturalWidth / element.naturalHeight]"
    shown, natural = figure.evaluate(shape)
    assert shown == pytest.approx(natural, rel=0.02), "there are bands beside the figure"
    figure.click()
    opened_figure = tab.locator("dialog.figure img")
    assert is_in_sight(opened_figure, (1280, 900))
    assert opened_figure.evaluate("element => Math.max(element.clientWidth / 1280, element.clientHeight / 900)") > 0.9
    tab.keyboard.press("Escape")
    expect(opened_figure).to_be_hidden()
    tab.set_viewport_size({"width": 390, "height": 664})
    assert is_in_sight(tab.locator(".runs td", has_text="99.63 % of MNIST's 10,000 test images").first, (390, 664))
    tab.set_viewport_size({"width": 1280, "height": 900})


def test_arrow_keys_move_between_the_tabs(tab: Tab) -> None:
    tab.get_by_role("tab", name="Draw").focus()
    for key, name in (("ArrowRight", "Upload"), ("End", "Use it from code"), ("ArrowRight", "Draw")):
        tab.keyboard.press(key)
        expect(tab.get_by_role("tab", name=name)).to_be_focused()
        expect(tab.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_on_any_tab(tab: Tab, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    tab.set_viewport_size({"width": width, "height": 800})
    tab.reload()
    tab.locator("#pad canvas").wait_for()
    draw(tab, "7")
    expect(tab.locator(".card")).to_have_count(1)
    for name in ("Draw", "Upload", "Models", "Use it from code"):
        tab.get_by_role("tab", name=name).click()
        found = axe.run(tab)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"


def test_a_link_to_the_page_has_a_preview_and_icons_of_its_own(page: Page) -> None:
    html = httpx.get(page.address).text
    named = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)"', html))
    assert named["og:title"] == "Digit Recognizer"
    assert named["og:url"] == f"{page.address}/"
    assert named["twitter:card"] == "summary_large_image"
    assert "radio" not in " ".join(named.values())
    picture = httpx.get(named["og:image"])
    assert Image.open(BytesIO(picture.content)).size == (1200, 630)
    assert len(picture.content) < 300_000
    icons = re.findall(r'<link rel="(?:icon|apple-touch-icon)" href="([^"]+)"', html)
    assert len(icons) == 3
    for icon in icons:
        answer = httpx.get(f"{page.address}/{icon}")
        assert answer.is_success
        assert answer.headers["content-type"].startswith("image/")
    own = (PROJECT / "demo" / "static" / "favicon.ico").read_bytes()
    assert httpx.get(f"{page.address}/favicon.ico").content == own


def test_pad_and_answer_fill_the_first_screen_of_a_desktop_and_every_card_of_a_year_is_in_sight(
    browser: Browser, page: Page
) -> None:
    width, height = 1440, 900
    desktop = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    with opened(desktop, page.address) as tab:
        expect(result(tab)).to_contain_text("Your number appears here")
        pad, answer = tab.locator(".paper").bounding_box(), result(tab).bounding_box()
        assert pad
        assert answer
        assert pad["y"] + pad["height"] > 0.75 * height
        assert answer["height"] == pytest.approx(pad["height"], abs=2)
        assert answer["x"] + answer["width"] > 0.95 * width
        draw(tab, "2025")
        expect(tab.locator(".card")).to_have_count(4)
        for card in tab.locator(".card").all():
            assert is_in_sight(card, (width, height))
            assert card.evaluate("element => element.clientWidth") >= 240
        assert tab.locator(".paper").bounding_box() == pad
    desktop.close()


def test_text_and_corners_have_the_few_sizes_of_one_system_on_every_tab(tab: Tab) -> None:
    system = (PROJECT / "demo" / "static" / "tokens.css").read_text().partition("@media")[0]
    draw(tab, "2025")
    expect(tab.locator(".card")).to_have_count(4)
    tab.locator(".open-inside").first.click()
    expect(tab.locator(".logits button").first).to_be_visible()
    for name in ("Draw", "Upload", "Models", "Use it from code"):
        tab.get_by_role("tab", name=name).click()
        for kind, used in tab.evaluate(SIZES).items():
            number = {tab.locator(".read").first.evaluate("element => getComputedStyle(element).fontSize")}
            known = set(re.findall(rf"--{kind}-\w+: (\d+px)", system)) | (number if kind == "text" else set())
            assert set(used) <= known, (name, kind)


def test_styles_take_spaces_from_one_system() -> None:
    for path in (PROJECT / "demo" / "static").glob("*.css"):
        for rule in re.findall(r"\s((?:(?:row-|column-)?gap|(?:padding|margin)[\w-]*): [^;]+);", path.read_text()):
            lengths = map(float, re.findall(r"([\d.]+)px", rule))
            assert all(length <= 7 for length in lengths), (path.name, rule)  # small ones align lines and boxes
