"""A visitor of the page, a picture that is not theirs, a browser, and the files of a Space."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from helpers.browser import opened
from helpers.page import Page, draw_number, encode_image
from helpers.paths import PROJECT
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from playwright.sync_api import Page as Tab

from demo.predictors import PredictorPool


@pytest.fixture(scope="module")
def pool() -> PredictorPool:
    """Return a predictor pool with the run that ships with the project."""
    return PredictorPool(PROJECT / "checkpoints" / "sketchpad")


@pytest.fixture(scope="module")
def client(page: Page) -> Iterator[httpx.Client]:
    """Yield a visitor of the page."""
    with httpx.Client(base_url=page.address, timeout=60) as client:
        client.get("/")
        yield client


@pytest.fixture(scope="module")
def private(page: Page) -> Path:
    """Return a picture on this machine that nobody uploaded."""
    path = page.folder / "private.png"
    path.write_bytes(encode_image(draw_number("7")))
    (page.folder / "empty.png").touch()
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield Debian's Chromium; skip the test if it is not installed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; run: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Yield a desktop browser, which caches the page's scripts between tests."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext, page: Page) -> Iterator[Tab]:
    """Yield the page in a desktop browser."""
    with opened(context, page.address) as tab:
        yield tab


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files from which a Space is assembled, and a folder with notes."""
    folder = tmp_path / "check out"
    for name in ("pipeline", "demo", "checkpoints/sketchpad"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.txt", "LICENSE"):
        shutil.copy(PROJECT / name, folder)
    for name in ("my", "space"):
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("mine")
    return folder
