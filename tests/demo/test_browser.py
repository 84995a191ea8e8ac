"""The page in Debian's Chromium."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import draw, on_pad, opened, result
from helpers.page import Page, draw_number, serve_page
from helpers.paths import PROJECT
from helpers.waiting import wait_until
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab

from demo.predictors import PredictorPool
from pipeline import DigitTable, Run, Source
from pipeline.reports.mistakes import write_page


def test_an_empty_pad_shows_the_invitation_and_no_number(tab: Tab) -> None:
    expect(result(tab)).to_contain_text("Your number appears here")
    expect(tab.locator(".card")).to_have_count(0)


def test_a_digit_is_read_with_its_parity(tab: Tab) -> None:
    draw(tab, "7")
    expect(result(tab).locator(".read")).to_have_text("7")
    expect(result(tab).locator(".chip")).to_have_text("odd")
    expect(tab.locator(".card")).to_have_count(1)
    expect(tab.locator(".bars li")).to_have_count(10)


def test_a_number_is_read_during_a_stroke(tab: Tab) -> None:
    (points,) = on_pad(tab, "1")
    tab.mouse.move(*points[0])
    tab.mouse.down()
    tab.mouse.move(*points[1], steps=4)
    tab.wait_for_timeout(200)  # longer than the pause between two sent pictures
    tab.mouse.move(*points[-1], steps=4)
    expect(tab.locator(".card")).to_have_count(1)
    tab.mouse.up()


def test_undo_redo_and_clear(tab: Tab) -> None:
    draw(tab, "142")
    expect(result(tab).locator(".read")).to_have_text("142")
    expect(result(tab).locator(".chip")).to_have_text("even")
    tab.keyboard.press("Control+z")
    expect(tab.locator(".card")).to_have_count(2)
    tab.get_by_role("button", name="Redo").click()
    expect(result(tab).locator(".read")).to_have_text("142")
    tab.keyboard.press("Delete")
    expect(result(tab)).to_contain_text("Your number appears here")
    expect(tab.locator(".card")).to_have_count(0)
    draw(tab, "2")
    expect(result(tab).locator(".read")).to_have_text("2")
    tab.get_by_role("button", name="Undo").click()
    tab.get_by_role("button", name="Undo").click()
    expect(result(tab).locator(".read")).to_have_text("142")


def test_a_pad_that_is_erased_by_hand_is_empty_and_the_pen_is_back(tab: Tab) -> None:
    draw(tab, "7")
    expect(result(tab).locator(".read")).to_have_text("7")
    tab.get_by_role("button", name="Eraser").click()
    draw(tab, "7")
    expect(result(tab)).to_contain_text("Your number appears here")
    expect(tab.locator(".invitation")).to_be_visible()
    expect(tab.get_by_role("button", name="Eraser")).to_have_attribute("aria-pressed", "false")
    draw(tab, "7")
    expect(result(tab).locator(".read")).to_have_text("7")


@pytest.mark.parametrize("example", ["7", "42", "2025"])
def test_an_example_draws_itself(tab: Tab, example: str) -> None:
    tab.get_by_role("button", name=f"Draw {example}").click()
    expect(result(tab).locator(".read")).to_have_text(example)


def test_it_shows_a_saliency_map(tab: Tab) -> None:
    draw(tab, "4")
    tab.get_by_label("Show saliency map").first.check()
    expect(tab.locator(".looked")).to_have_count(1)
    tab.get_by_label("Show saliency map").first.uncheck()
    expect(tab.locator(".looked")).to_have_count(0)


def test_a_picture_is_read_and_its_digits_boxed(tab: Tab, tmp_path: Path) -> None:
    draw_number("2025").save(tmp_path / "2025.png")
    (tmp_path / "list.png").write_text("eggs, milk")
    tab.get_by_role("tab", name="Upload").click()
    file = tab.locator("#photo input[name=picture]")
    file.set_input_files(tmp_path / "2025.png")
    expect(result(tab).locator(".read")).to_have_text("2025")
    expect(tab.locator(".boxed span")).to_have_text(["2", "0", "2", "5"])
    tab.get_by_role("button", name="Another picture").click()
    expect(result(tab)).to_contain_text("Upload a photo")
    file.set_input_files(tmp_path / "list.png")
    expect(result(tab)).to_contain_text("list.png is not a picture")


def test_a_drawing_is_corrected_once_also_when_its_digits_were_not_told_apart(tab: Tab, page: Page) -> None:
    folder = page.folder / "data" / "corrections"
    earlier = len(list(folder.glob("*.png")))
    draw(tab, "17")
    expect(result(tab).locator(".read")).to_have_text("17")
    correct_number = tab.get_by_label("Correct number").first
    correct_number.fill("123")
    tab.get_by_role("button", name="Save", exact=True).first.click()
    expect(tab.get_by_text("Saved as 123. Its digits could not be told apart")).to_be_visible()
    correct_number.fill("14")
    correct_number.press("Enter")
    expect(tab.get_by_text("Saved as 14. Thank you")).to_be_visible()
    wait_until(lambda: len(list(folder.glob("*.png"))) == earlier + 3, "the drawing and two frames are not saved")
    (table,) = folder.glob("*.csv")
    with table.open(newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    assert labels[-2:] == ["1", "4"]
    assert "123" not in labels
    assert correct_number.evaluate("element => element.inputMode") == "decimal"
    draw(tab, "7")
    expect(correct_number).to_have_value("")


def test_another_run_is_chosen_for_this_browser_only(tab: Tab, context: BrowserContext, page: Page) -> None:
    tab.get_by_role("tab", name="Models").click()
    expect(tab.locator(".runs td", has_text="sketchpad")).to_be_visible()
    expect(tab.locator("#figures img")).to_have_count(7)
    tab.locator("#run input").click()
    tab.get_by_role("option", name="twin").click()
    tab.get_by_role("tab", name="Draw").click()
    draw(tab, "7")
    expect(result(tab).locator(".read")).to_have_text("7")
    with opened(context, page.address) as other:
        other.get_by_role("tab", name="Models").click()
        expect(other.locator("#run input")).to_have_value("sketchpad")


def test_the_code_examples_contain_the_address_of_the_page(tab: Tab, page: Page) -> None:
    tab.get_by_role("tab", name="Use it").click()
    for code in tab.locator(".usage pre").all():
        expect(code).to_contain_text(page.address)
        expect(code).not_to_contain_text("ADDRESS")


def test_a_finger_draws_on_a_phone_and_does_not_scroll(browser: Browser, page: Page) -> None:
    phone = browser.new_context(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    with opened(phone, page.address) as tab:
        touch = phone.new_cdp_session(tab)
        (points,) = on_pad(tab, "1")

        def at(kind: str, *points: tuple[float, float]) -> None:
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

        at("touchStart", points[0])
        for point in points[1:]:
            at("touchMove", point)
        at("touchEnd")
        expect(result(tab).locator(".read")).to_have_text("1")
        assert tab.evaluate("scrollY") == 0
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
    phone.close()


def test_dark_mode_has_light_ink_and_the_same_readings(browser: Browser, page: Page) -> None:
    dark = browser.new_context(color_scheme="dark")
    with opened(dark, page.address) as tab:
        draw(tab, "42")
        expect(result(tab).locator(".read")).to_have_text("42")
        pixels = "document.querySelector('#pad canvas').getContext('2d').getImageData(0, 0, 999, 300).data"
        assert tab.evaluate(f"{pixels}.reduce((one, other) => Math.max(one, other))") > 200
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 20)"
    dark.close()


def test_names_of_files_and_runs_are_escaped(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "<img src=x onerror=document.title='hole'>"
    run = tmp_path / "checkpoints" / name
    shutil.copytree(PROJECT / "checkpoints" / "sketchpad", run)
    (run / "figures" / f"{name}.png").write_bytes((run / "figures" / "confusion.png").read_bytes())
    (tmp_path / f"{name}.png").write_text("eggs, milk")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    with serve_page(PredictorPool(run), corrections=tmp_path / name) as address, opened(context, address) as tab:
        tab.get_by_role("tab", name="Models").click()
        expect(tab.locator(".runs td", has_text=name)).to_be_visible()
        expect(tab.locator("#figures img")).to_have_count(8)
        tab.get_by_role("tab", name="Upload").click()
        tab.locator("#photo input[name=picture]").set_input_files(tmp_path / f"{name}.png")
        expect(result(tab)).to_contain_text("is not a picture")
        draw_number("7").save(tmp_path / f"{name}.png")
        tab.reload()
        tab.get_by_role("tab", name="Upload").click()
        tab.locator("#photo input[name=picture]").set_input_files(tmp_path / f"{name}.png")
        tab.get_by_placeholder("Not right?").locator("visible=true").fill(name)
        tab.get_by_role("button", name="Save", exact=True).click()
        expect(tab.locator(".note.problem", has_text=name)).to_be_visible()
        assert tab.locator("img[src=x]").count() == 0
        assert tab.title() == "Digit Recognizer"
    context.close()


def test_with_a_password_the_page_opens_after_the_login(browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    with serve_page(PredictorPool(PROJECT / "checkpoints" / "sketchpad"), "ada:lovelace") as address:
        tab = context.new_page()
        refused: list[str] = []
        tab.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
        tab.goto(address)
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
        assert axe.run(tab).violations_count == 0
        tab.get_by_label("username").fill("ada")
        tab.get_by_label("password").fill("wrong")
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_role("alert")).to_have_text("The username or the password is wrong.")
        refused.clear()
        tab.get_by_label("password").fill("lovelace")
        tab.get_by_role("button", name="Sign in").click()
        tab.locator("#pad canvas").wait_for()
        draw(tab, "7")
        expect(result(tab).locator(".read")).to_have_text("7")
        assert refused == []
        tab.get_by_role("link", name="Sign out").click()
        expect(tab.get_by_label("password")).to_have_attribute("autocomplete", "current-password")
    context.close()


def test_the_page_of_mistakes_fits_any_window_and_shows_every_image(
    browser: Browser, run: Run, practice: Source, tmp_path: Path
) -> None:
    copy = Run(Path(shutil.copytree(run.folder, tmp_path / "copy")))
    rows = practice.read_test().select(np.arange(30))
    address = write_page(copy, DigitTable(rows.pixels, (rows.known_labels + 1) % 10), "mine.csv").as_uri()
    for width, scheme, ground in ((1280, "light", "rgb(246, 244, 239)"), (390, "dark", "rgb(18, 18, 20)")):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        tab = context.new_page()
        faults: list[str] = []
        tab.on("console", lambda message, faults=faults: faults.append(message.text))
        tab.goto(address)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == ground
        assert tab.locator("#mistakes .card").count() == 30
        assert tab.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
        assert faults == []
        context.close()
