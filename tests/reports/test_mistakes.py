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

from pipeline import DigitTable, Predictions, Predictor, Recipe, Run, Source, evaluate, label_errors, score
from pipeline.models import build
from pipeline.reports.corruptions import CORRUPTIONS
from pipeline.reports.evaluate import validation_rows
from pipeline.reports.mistakes import CORRUPTION_FLOPS, MAX_MISTAKES, write_page


class Page(HTMLParser):
    """A parsed page: its tags with their attributes, and its text, cards and images by section."""

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
        return np.array([np.asarray(decode_png(source)) for source in self.images[section]])


def decode_png(source: str) -> Image.Image:
    """Return the image of a data URL with a PNG."""
    kind, data = source.split(",")
    assert kind == "data:image/png;base64"
    image = Image.open(BytesIO(base64.b64decode(data, validate=True)))
    image.load()
    assert image.format == "PNG"
    return image


@pytest.fixture(scope="module")
def copied_run(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Run:
    """Return a copy of the finished run with HTML characters in its name; the tests write pages to it."""
    copy = tmp_path_factory.mktemp("pages") / "<b>&\"it's"
    shutil.copytree(run.folder, copy)
    return Run(copy)


@pytest.fixture(scope="module")
def table(practice: Source) -> DigitTable:
    """Return the practice test set with 20 wrong labels."""
    test = practice.read_test()
    labels = test.known_labels.copy()
    labels[::25] = (labels[::25] + 3) % 10
    return DigitTable(test.pixels, labels)


@pytest.fixture(scope="module")
def predictions(run: Run, table: DigitTable) -> Predictions:
    return Predictor.load(run.folder).predict(table.pixels)


@pytest.fixture(scope="module")
def page(copied_run: Run, table: DigitTable, predictions: Predictions) -> Page:
    """Return the page of these rows."""
    path = write_page(copied_run, table, "<i>mine</i>.csv")
    assert path == copied_run.folder / "mistakes.html"
    return Page(path)


def test_all_mistakes_are_on_the_page_most_confident_first(
    page: Page, table: DigitTable, predictions: Predictions
) -> None:
    rows = np.flatnonzero(predictions.digits != table.known_labels)
    rows = rows[np.argsort(-predictions.confidence[rows], kind="stable")]
    assert len(rows) >= 15
    assert np.array_equal(page.pixels("mistakes"), table.pixels[rows])
    for card, row in zip(page.cards["mistakes"], rows, strict=True):
        assert f"{table.known_labels[row]} → {predictions.digits[row]} " in card
        assert f"row {row + 1} " in card
        assert float(card.split("%")[0].split()[-1]) == pytest.approx(100 * predictions.confidence[row], abs=0.1)
        assert ("not a digit?" in card) == (not predictions.is_digit[row])


def test_the_heading_gives_the_run_the_rows_and_the_score(
    page: Page, table: DigitTable, predictions: Predictions
) -> None:
    result = score(predictions.digits, table.known_labels, predictions.probabilities)
    heading = page.text["header"]
    assert f"{500 - result.correct} of 500 digits misclassified" in heading
    assert "recipe fast , on <i>mine</i>.csv" in heading
    for accuracy, (low, high) in (
        (result.accuracy, result.interval),
        (result.parity.accuracy, result.parity.interval),
    ):
        assert f"{accuracy:.2%} 95% interval {low:.2%} to {high:.2%}" in heading
    assert f"Calibration error {result.calibration_error:.2%}" in heading
    assert f"Rejected as non-digits {(~predictions.is_digit).sum()} " in heading


def test_probable_label_errors_are_on_the_page(page: Page, table: DigitTable, predictions: Predictions) -> None:
    suspects = label_errors(predictions.probabilities, table.known_labels)
    assert sum(each.row % 25 == 0 for each in suspects) >= 15
    assert np.array_equal(page.pixels("labels"), table.pixels[[each.row for each in suspects]])
    assert f"Probable label errors: {len(suspects)}" in page.text["labels"]
    for card, each in zip(page.cards["labels"], suspects, strict=True):
        assert f"{table.known_labels[each.row]} → {each.suggested}?" in card


def test_confused_pairs_are_on_the_page_with_examples(page: Page, table: DigitTable, predictions: Predictions) -> None:
    pair = score(predictions.digits, table.known_labels).confused_pairs[0]
    assert f"{pair.low} and {pair.high}: {pair.count}" in page.text["pairs"]
    wrong = np.flatnonzero(predictions.digits != table.known_labels)
    of_pair = [row for row in wrong if {table.known_labels[row], predictions.digits[row]} == {pair.low, pair.high}]
    assert any(np.array_equal(page.pixels("pairs")[0], table.pixels[row]) for row in of_pair)


def test_every_corruption_is_on_the_page_with_the_accuracy_at_each_severity(
    page: Page, copied_run: Run, table: DigitTable, predictions: Predictions
) -> None:
    uncorrupted = score(predictions.digits, table.known_labels).accuracy
    alts = [attributes["alt"] or "" for tag, attributes in page.tags if tag == "img"]
    for corruption in CORRUPTIONS:
        (alt,) = [alt for alt in alts if alt.startswith(f"Accuracy by {corruption.name} ({corruption.unit}): ")]
        assert alt.count("%") == len(corruption.severities)
        assert f"{100 * uncorrupted:.1f}% at 0" in alt
    assert len(page.images["corruptions"]) == sum(1 + len(corruption.severities) for corruption in CORRUPTIONS)
    with Image.open(copied_run.folder / "figures" / "corruptions.png") as image:
        assert min(image.size) > 100


def test_the_page_embeds_its_images_and_loads_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "a")
        assert {"href", "srcset", "action", "poster"}.isdisjoint(attributes)
        assert not any(name.startswith("on") for name in attributes)
        if "src" in attributes:
            decode_png(attributes["src"] or "")
    assert page.images["reliability"]
    style = page.text["style"]
    assert "url(" not in style
    assert "@import" not in style


def test_names_are_escaped(page: Page) -> None:
    assert "<b>&\"it's" in page.text["header"], "as text"
    assert not {"b>&", "i"} & {tag for tag, _ in page.tags}
    assert "<i>mine" not in page.source
    assert "--on <i>mine</i>.csv" in page.text["footer"]


def test_validation_rows_have_their_row_numbers_in_the_source(copied_run: Run, practice: Source) -> None:
    validation = validation_rows(copied_run, practice)
    labels = (validation.known_labels + 1) % 10
    cards = Page(write_page(copied_run, DigitTable(validation.pixels, labels, validation.numbers), "validation"))
    train = practice.read_train().pixels
    rows = [int(card.split("row ")[1].split()[0].replace(",", "")) for card in cards.cards["mistakes"]]
    assert len(rows) > 100
    assert np.array_equal(cards.pixels("mistakes"), train[np.array(rows) - 1])
    assert "its validation rows" in cards.text["header"]


def test_the_page_limits_the_number_of_mistakes_and_gives_the_total(
    copied_run: Run, table: DigitTable, predictions: Predictions
) -> None:
    all_wrong = DigitTable(table.pixels, (predictions.digits + 1) % 10)
    page = Page(write_page(copied_run, all_wrong, "mine.csv"))
    assert len(page.cards["mistakes"]) == MAX_MISTAKES
    assert f"The first {MAX_MISTAKES} of 500 are shown." in page.text["mistakes"]


def test_a_page_without_mistakes(copied_run: Run, table: DigitTable, predictions: Predictions) -> None:
    page = Page(write_page(copied_run, DigitTable(table.pixels[:20], predictions.digits[:20]), "mine.csv"))
    assert "No mistakes: 20 of 20 digits correct" in page.text["header"]
    assert "Probable label errors: none" in page.text["labels"]
    assert {"mistakes", "pairs"}.isdisjoint(page.text)


def test_an_overlap_with_the_training_set_is_reported(copied_run: Run, digits: DigitTable) -> None:
    page = Page(write_page(copied_run, digits.select(np.arange(40)), "train.csv"))
    assert (
        "The run was trained on 40 of these images: all figures on this page are too optimistic." in page.text["header"]
    )
    assert "their label errors can stay hidden" in page.text["labels"]


def test_the_evaluate_command_writes_the_page_and_prints_its_path(
    command: Callable[..., Outcome], copied_run: Run, digits: DigitTable
) -> None:
    (copied_run.folder / "mistakes.html").unlink(missing_ok=True)
    Path("mine.csv").write_text(csv_text(digits.select(np.arange(20))))
    evaluate(copied_run, digits.select(np.arange(20)), "mine.csv")
    assert not (copied_run.folder / "mistakes.html").exists(), "the report after training has no page"
    ended = command("evaluate", copied_run.folder, "--on", "mine.csv")
    assert ended.status == 0
    assert f"{copied_run}/mistakes.html" in ended.out
    assert (copied_run.folder / "mistakes.html").exists()


def test_a_large_network_is_scored_under_corruptions_on_fewer_rows(
    copied_run: Run, table: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(copied_run)
    predictions = sum(len(corruption.severities) for corruption in CORRUPTIONS)
    monkeypatch.setattr("pipeline.reports.mistakes.MIN_CORRUPTED_ROWS", 30)
    for rows, expected in ((50, 50), (1, 30)):
        monkeypatch.setattr(predictor, "count_flops", lambda rows=rows: int(CORRUPTION_FLOPS / predictions / rows))
        page = Page(write_page(copied_run, table, "mine.csv", predictor))
        assert f"A stratified sample of {expected} rows" in page.text["corruptions"]


def test_the_operations_of_a_network_are_those_of_its_layers() -> None:
    recipe = Recipe.load("light-cnn")
    multiplications = 26**2 * 32 * 9 + 24**2 * 64 * 32 * 9 + 9216 * 128 + 128 * 10
    assert Predictor(build(recipe), recipe).count_flops() == 2 * multiplications


def test_the_page_can_be_left_out(
    command: Callable[..., Outcome], run: Run, digits: DigitTable, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run.folder, tmp_path / "copy"))
    (copy / "mistakes.html").unlink(missing_ok=True)
    (tmp_path / "mine.csv").write_text(csv_text(digits.select(np.arange(20))))
    ended = command("evaluate", copy, "--on", "mine.csv", "--no-mistakes")
    assert (ended.status, ended.err) == (0, "")
    assert "mistakes.html" not in ended.out
    assert not (copy / "mistakes.html").exists()
