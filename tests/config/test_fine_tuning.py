"""Settings of fine-tuning."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.commands import Outcome

from pipeline import Recipe, UserError
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import load_recipe


def test_even_odd_has_the_original_projects_settings() -> None:
    recipe = load_recipe("even-odd")
    assert isinstance(recipe, FineTuning)
    assert (recipe.dataset, recipe.validation_fraction, recipe.seed) == ("mnist", 0.1, 42)
    assert (recipe.pretrained, recipe.labels, recipe.image_size) == ("microsoft/resnet-18", ("even", "odd"), 224)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.weight_decay) == (3, 32, 2e-5, 0.01)
    assert (recipe.eval_strategy, recipe.eval_steps, recipe.save_strategy, recipe.save_steps) == (
        *("steps", 500),
        *("steps", 500),
    )
    assert recipe.save_total_limit == 2


def test_a_saved_recipe_loads_unchanged(tmp_path: Path) -> None:
    recipe = load_recipe("even-odd", ["pretrained=null", "labels=[gerade, ungerade]"])
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_a_parity_recipe_is_rejected_if_digits_are_needed() -> None:
    with pytest.raises(UserError, match="even-odd: predicts parity only, not digits; use one that predicts digits"):
        Recipe.load("even-odd")


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("epoch=3", 'unknown key "epoch"; did you mean "epochs"?'),
        ("learning_rate=0", "learning_rate: 0 is not valid"),
        ("seed=4294967296", "seed: 4294967296 is not valid"),
        ("validation_fraction=0", "validation_fraction: 0 is not valid"),
        ("trainer=transformer", "trainer: 'transformer' is not valid"),
        ("save_strategy=epoch", "only an evaluated checkpoint can be the best; set it to the value of eval_strategy"),
        ("save_steps=1000", "every evaluation needs its checkpoint, because it may be the best; set it to eval_steps"),
        ("labels=[odd, odd]", "the two names must differ"),
        ("labels=[odd]", "labels: ['odd'] is not valid"),
        ("save_dir=figures", "the run uses that folder for other files"),
        ("save_dir=checkpoints", "the run uses that folder for other files"),
        ("output_dir=../elsewhere", "output_dir: '../elsewhere' is not valid"),
    ],
)
def test_an_invalid_setting_is_rejected_with_its_reason(override: str, fault: str) -> None:
    with pytest.raises(UserError) as refusal:
        load_recipe("even-odd", [override])
    assert str(refusal.value).startswith(f"--set {override}: ")
    assert fault in str(refusal.value)


def test_invalid_yaml_is_reported_with_its_file_and_line(command: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "training.yaml").write_text("name: mine\ntrainer: transformers\n  epochs: 3\nbatch_size: 32\n")
    outcome = command("train", "training.yaml")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith("error: training.yaml, line 3, column 9: not valid YAML (")
    assert outcome.err.endswith("correct that line\n")
