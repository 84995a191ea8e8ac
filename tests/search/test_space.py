from pathlib import Path

import pytest
from helpers.recipes import DIGIT_RECIPES

from pipeline import Recipe, UserError
from pipeline.search.space import SPACES, Range, SearchSpace


def load_space(folder: Path, text: str) -> SearchSpace:
    (folder / "space.yaml").write_text(text)
    return SearchSpace.load("fast", folder / "space.yaml")


@pytest.mark.parametrize("name", DIGIT_RECIPES)
def test_every_recipe_accepts_the_ends_of_its_space(name: str) -> None:
    recipe = Recipe.load(name)
    for key, values in SearchSpace.load(name).settings.items():
        for value in (values.low, values.high) if isinstance(values, Range) else values:
            Recipe.model_validate(recipe.model_dump() | {key: value})


def test_a_recipe_without_its_own_space_uses_the_default() -> None:
    assert SearchSpace.load("light-cnn") == SearchSpace.load("fast", SPACES / "default.yaml")
    assert SearchSpace.load("fast") != SearchSpace.load("light-cnn")


def test_values_are_converted_to_the_type_of_their_setting(tmp_path: Path) -> None:
    space = load_space(
        tmp_path, "learning_rate: {low: 1e-3, high: 1e-1, log: true}\nbatch_size: [64, 128]\npatience: [null, 3]"
    )
    assert space.settings == {
        "learning_rate": Range(low=0.001, high=0.1, log=True),
        "batch_size": (64, 128),
        "patience": (None, 3),
    }


def test_fixed_settings_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("epochs: {low: 1, high: 3}\nmomentum: {low: 0.8, high: 0.9}")
    assert set(SearchSpace.load("fast", tmp_path / "space.yaml", ["epochs"]).settings) == {"momentum"}
    with pytest.raises(UserError, match=r"space\.yaml: no setting is left to search"):
        SearchSpace.load("fast", tmp_path / "space.yaml", ["epochs", "momentum"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("learning_rat: [1, 2]", 'unknown key "learning_rat"; did you mean "learning_rate"?'),
        ("learning_rate: 3", "learning_rate: 3 is not a range"),
        ("learning_rate: {low: 0, high: 1}", "learning_rate: 0.0 is not valid: Input should be greater than 0"),
        ("learning_rate: {low: 0.1}", 'learning_rate: key "high" is missing'),
        ("learning_rate: {low: 0.1, hi: 1}", 'learning_rate: unknown key "hi"; did you mean "high"?'),
        ("learning_rate: {low: 0.1, high: 0.1}", "learning_rate: low 0.1 must be below high 0.1"),
        ("learning_rate: {low: much, high: 1}", "learning_rate: low: 'much' is not valid"),
        ("rotation: {low: 0, high: 9, log: true}", "rotation: a log scale cannot start at 0"),
        ("epochs: {low: 1.5, high: 3}", "epochs: 1.5 is not valid"),
        ("optimizer: [adam, sgdd]", "optimizer: 'sgdd' is not valid"),
        ("optimizer: {low: 1, high: 3}", "optimizer is not a number; list its choices"),
        ("batch_size: [64]", "batch_size: [64] is not a choice"),
        ("batch_size: [64, 64]", "list at least two distinct values"),
        ("mean: [.nan, 1]", "mean: nan is not valid"),
        ("seed: [1, 2]", "seed cannot be searched: trials are compared by their loss on the same rows"),
        ("label_smoothing: {low: 0, high: 0.2}", "this changes the loss function; remove it, or fix it with --set"),
        ("- 1", 'a search space must be lines of "key: value"'),
        ("epochs: [1", "line 1, column 11: not valid YAML"),
    ],
)
def test_an_invalid_space_is_refused_with_its_file_and_the_reason(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        load_space(tmp_path, text)
    assert str(refusal.value).startswith(str(tmp_path / "space.yaml"))
    assert fault in str(refusal.value)


def test_a_missing_space_is_named_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: search space file not found; .*default\.yaml is an"):
        SearchSpace.load("fast", tmp_path / "none.yaml")
