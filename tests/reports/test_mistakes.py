import base64
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from PIL import Image

from pipeline import DigitTable, Predictions, Predictor, Run, Source, evaluate, label_errors, score
from pipeline.reports.corruptions import CORRUPTIONS
from pipeline.reports.evaluate import validation_rows
from pipeline.reports.mistakes import MOST_MISTAKES, write_page


class Page(HTMLParser):
    """What a page holds: every tag with its attributes, and its text by section."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.cards: dict[str, list[str]] = {}
        self.images: dict[str, list[str]] = {}
        self.section = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag in ("header", "footer", "section", "title", "style"):
            self.section = attributes.get("id") or tag
        if attributes.get("class") == "card":
            self.cards.setdefault(self.section, []).append("")
        if tag == "img":
            self.images.setdefault(self.section, []).append(attributes["src"] or "")

    def handle_data(self, data: str) -> None:
        self.text[self.section] = self.text.get(self.section, "") + " ".join(data.split()) + " "
        if self.section in self.cards:
            self.cards[self.section][-1] += " ".join(data.split()) + " "

    def pixels(self, section: str) -> np.ndarray:
        """Return the images of a section as pixels."""
        return np.array([np.asarray(png(source)) for source in self.images[section]])


def png(source: str) -> Image.Image:
    """Return the PNG that an address holds."""
    kind, data = source.split(",")
    assert kind == "data:image/png;base64"
    image = Image.open(BytesIO(base64.b64decode(data, validate=True)))
    image.load()
    assert image.format == "PNG"
    return image


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Run:
    """A copy of the finished run, to leave pages in, with a name that is hard on HTML."""
    copy = tmp_path_factory.mktemp("pages") / "<b>&\"it's"
    shutil.copytree(run.folder, copy)
    return Run(copy)


@pytest.fixture(scope="module")
def asked(practice: Source) -> DigitTable:
    """The practice set's test part, with 20 of its labels flipped."""
    test = practice.read_test()
    labels = test.known_labels.copy()
    labels[::25] = (labels[::25] + 3) % 10
    return DigitTable(test.pixels, labels)


@pytest.fixture(scope="module")
def predictions(run: Run, asked: DigitTable) -> Predictions:
    return Predictor.load(run.folder).predict(asked.pixels)


@pytest.fixture(scope="module")
def page(strange: Run, asked: DigitTable, predictions: Predictions) -> Page:
    """The page of these rows."""
    path = write_page(strange, asked, "<i>mine</i>.csv")
    assert path == strange.folder / "mistakes.html"
    return Page(path)


def test_every_mistake_is_on_the_page_the_surest_first(page: Page, asked: DigitTable, predictions: Predictions) -> None:
    rows = np.flatnonzero(predictions.digits != asked.known_labels)
    rows = rows[np.argsort(-predictions.confidence[rows], kind="stable")]
    assert len(rows) >= 15
    assert np.array_equal(page.pixels("mistakes"), asked.pixels[rows])
    for card, row in zip(page.cards["mistakes"], rows, strict=True):
        assert f"{asked.known_labels[row]} → {predictions.digits[row]} " in card
        assert f"row {row + 1} " in card
        assert float(card.split("%")[0].split()[-1]) == pytest.approx(100 * predictions.confidence[row], abs=0.1)
        assert ("not a digit?" in card) == (not predictions.is_digit[row])


def test_the_heading_says_what_was_read_by_what_and_how_well(
    page: Page, asked: DigitTable, predictions: Predictions
) -> None:
    worth = score(predictions.digits, asked.known_labels, predictions.probabilities)
    heading = page.text["header"]
    assert f"{500 - worth.correct} of 500 digits misread" in heading
    assert "recipe fast , of <i>mine</i>.csv" in heading
    for accuracy, (low, high) in (
        (worth.accuracy, worth.interval),
        (worth.parity.accuracy, worth.parity.interval),
    ):
        assert f"{accuracy:.2%} 95% interval {low:.2%} to {high:.2%}" in heading
    assert f"Calibration error {worth.calibration_error:.2%}" in heading
    assert f"Refused as no digit {(~predictions.is_digit).sum()} " in heading


def test_labels_that_are_probably_wrong_are_on_the_page(
    page: Page, asked: DigitTable, predictions: Predictions
) -> None:
    suspects = label_errors(predictions.probabilities, asked.known_labels)
    assert sum(each.row % 25 == 0 for each in suspects) >= 15
    assert np.array_equal(page.pixels("labels"), asked.pixels[[each.row for each in suspects]])
    assert f"Labels that are probably wrong: {len(suspects)}" in page.text["labels"]
    for card, each in zip(page.cards["labels"], suspects, strict=True):
        assert f"{asked.known_labels[each.row]} → {each.suggested}?" in card


def test_confused_pairs_are_on_the_page_with_examples(page: Page, asked: DigitTable, predictions: Predictions) -> None:
    pair = score(predictions.digits, asked.known_labels).confused_pairs[0]
    assert f"{pair.low} and {pair.high}: {pair.count}" in page.text["pairs"]
    wrong = np.flatnonzero(predictions.digits != asked.known_labels)
    of_pair = [row for row in wrong if {asked.known_labels[row], predictions.digits[row]} == {pair.low, pair.high}]
    assert any(np.array_equal(page.pixels("pairs")[0], asked.pixels[row]) for row in of_pair)


def test_every_corruption_is_on_the_page_with_the_accuracy_at_each_step(
    page: Page, strange: Run, asked: DigitTable, predictions: Predictions
) -> None:
    untouched = score(predictions.digits, asked.known_labels).accuracy
    alts = [attributes["alt"] or "" for tag, attributes in page.tags if tag == "img"]
    for corruption in CORRUPTIONS:
        (words,) = [alt for alt in alts if alt.startswith(f"Accuracy by {corruption.name}, in {corruption.unit}: ")]
        assert words.count("%") == len(corruption.severities)
        assert f"{100 * untouched:.1f}% at 0" in words
    assert len(page.images["corruptions"]) == sum(1 + len(corruption.severities) for corruption in CORRUPTIONS)
    with Image.open(strange.folder / "figures" / "corruptions.png") as image:
        assert min(image.size) > 100


def test_the_page_holds_all_that_it_shows_and_asks_for_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "a")
        assert {"href", "srcset", "action", "poster"}.isdisjoint(attributes)
        assert not any(name.startswith("on") for name in attributes)
        if "src" in attributes:
            png(attributes["src"] or "")
    assert page.images["reliability"]
    style = page.text["style"]
    assert "url(" not in style
    assert "@import" not in style


def test_names_are_escaped(page: Page) -> None:
    assert "<b>&\"it's" in page.text["header"], "as text"
    assert not {"b>&", "i"} & {tag for tag, _ in page.tags}
    assert "<i>mine" not in page.source
    assert "--on <i>mine</i>.csv" in page.text["footer"]


def test_rows_set_aside_are_named_by_their_place_in_the_table(strange: Run, practice: Source) -> None:
    aside = validation_rows(strange, practice)
    labels = (aside.known_labels + 1) % 10
    cards = Page(write_page(strange, DigitTable(aside.pixels, labels, aside.numbers), "validation"))
    train = practice.read_train().pixels
    rows = [int(card.split("row ")[1].split()[0].replace(",", "")) for card in cards.cards["mistakes"]]
    assert len(rows) > 100
    assert np.array_equal(cards.pixels("mistakes"), train[np.array(rows) - 1])
    assert "the rows set aside in its training" in cards.text["header"]


def test_very_many_mistakes_are_cut_short_and_the_page_says_so(
    strange: Run, asked: DigitTable, predictions: Predictions
) -> None:
    nothing_right = DigitTable(asked.pixels, (predictions.digits + 1) % 10)
    page = Page(write_page(strange, nothing_right, "mine.csv"))
    assert len(page.cards["mistakes"]) == MOST_MISTAKES
    assert f"Shown are the first {MOST_MISTAKES} of 500." in page.text["mistakes"]


def test_a_page_without_mistakes_says_so(strange: Run, asked: DigitTable, predictions: Predictions) -> None:
    page = Page(write_page(strange, DigitTable(asked.pixels[:20], predictions.digits[:20]), "mine.csv"))
    assert "No mistakes: 20 of 20 digits read rightly" in page.text["header"]
    assert "Labels that are probably wrong: none" in page.text["labels"]
    assert {"mistakes", "pairs"}.isdisjoint(page.text)


def test_images_that_the_run_was_trained_on_are_told(strange: Run, digits: DigitTable) -> None:
    page = Page(write_page(strange, digits.select(np.arange(40)), "train.csv"))
    assert "It was trained on 40 of these images: every figure here flatters it." in page.text["header"]
    assert "errors there stay hidden" in page.text["labels"]


def test_evaluate_writes_the_page_and_names_it(
    command: Callable[..., Outcome], strange: Run, digits: DigitTable
) -> None:
    (strange.folder / "mistakes.html").unlink(missing_ok=True)
    Path("mine.csv").write_text(csv_text(digits.select(np.arange(20))))
    evaluate(strange, digits.select(np.arange(20)), "mine.csv")
    assert not (strange.folder / "mistakes.html").exists(), "a training's report does without"
    ended = command("evaluate", strange.folder, "--on", "mine.csv")
    assert ended.status == 0
    assert f"{strange}/mistakes.html" in ended.out
    assert (strange.folder / "mistakes.html").exists()
