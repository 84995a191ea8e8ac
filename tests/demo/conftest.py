"""A visitor of the page, and a picture that is not theirs."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from helpers.page import Page, draw_number, encode_image
from helpers.paths import PROJECT

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
