from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline import Recipe, Run, UserError
from pipeline.config.recipe import load_recipe
from pipeline.config.settings import RECIPES, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_and_has_the_name_of_its_file(name: str) -> None:
    assert load_recipe(name).name == name


def test_all_built_in_recipes_exist() -> None:
    assert set(recipe_names()) == {
        "linear",
        "fast",
        "best",
        "sketch",
        "resnet18",
        "resnet18-plateau",
        "branch-cnn",
        "light-cnn",
        "resnet50",
        "vgg16",
        "resnet18-imagenet",
        "even-odd",
    }


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe.load("fast").epochs = 3  # type: ignore[misc]


def test_a_saved_recipe_loads_unchanged_except_its_measurements(tmp_path: Path) -> None:
    recipe = Recipe.load("resnet18", ["learning_rate=2e-4", "patience=null", "minutes=26"])
    recipe.save(tmp_path / "recipe.yaml")
    assert Recipe.load(tmp_path / "recipe.yaml") == recipe.model_copy(update={"minutes": None, "accuracy": None})


def test_overrides_are_converted_to_the_type_of_their_field() -> None:
    recipe = Recipe.load("resnet18", ["learning_rate=2e-4", "epochs=3", "pin_memory=true", "patience=null"])
    assert recipe.learning_rate == 0.0002
    assert (recipe.epochs, recipe.pin_memory, recipe.patience) == (3, True, None)


def test_exponents_without_a_decimal_point_are_numbers_in_yaml(tmp_path: Path) -> None:
    Recipe.load("fast").save(tmp_path / "mine.yaml")
    text = (tmp_path / "mine.yaml").read_text().replace("\nlearning_rate: 0.1\n", "\nlearning_rate: 2e-4\n")
    (tmp_path / "mine.yaml").write_text(text)
    assert Recipe.load(tmp_path / "mine.yaml").learning_rate == 0.0002


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("epoch=3", 'unknown key "epoch"; did you mean "epochs"?'),
        ("epochs=0", "epochs: 0 is not valid"),
        ("epochs=many", "epochs: 'many' is not valid"),
        ("learning_rate=.nan", "learning_rate: nan is not valid"),
        ("optimizer=adamm", "optimizer: 'adamm' is not valid"),
        ("epochs", "write it as KEY=VALUE"),
        ("epochs=[3", "not valid YAML"),
        ("scheduler=step", "scheduler: 'step' is not valid: it needs step_size and gamma; set them too"),
        ("scheduler=exponential", "scheduler: 'exponential' is not valid: it needs gamma; set it too"),
        ("scheduler=plateau", "it needs gamma and scheduler_patience; set them too"),
        ("pretrained=imagenet", "fast has no such weights, only resnet18, resnet50, vgg16"),
        ("gamma=1.5", "gamma: 1.5 is not valid"),
        ("model=fasst", "model: 'fasst' is not valid: unknown model; did you mean \"fast\"?"),
        ("hidden_size=64", "hidden_size has no effect with model=fast, only with light-cnn; leave it out"),
        ("dropout=0.5", "dropout has no effect with model=fast, only with vgg16, branch-cnn, light-cnn"),
        ("step_size=2", "step_size has no effect with scheduler=one-cycle, only with step"),
    ],
)
def test_an_invalid_override_is_refused_with_a_reason(override: str, fault: str) -> None:
    with pytest.raises(UserError) as refusal:
        Recipe.load("fast", [override])
    assert str(refusal.value).startswith(f"--set {override}")
    assert fault in str(refusal.value)


def test_malformed_yaml_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nepochs: [3\nbatch_size: 2\n")
    with pytest.raises(UserError, match=r"mine\.yaml, line 3, column"):
        Recipe.load(path)


def test_a_missing_key_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    with pytest.raises(UserError, match='"summary" is missing'):
        Recipe.load(tmp_path / "mine.yaml")
    with pytest.raises(UserError, match=r"other\.yaml: recipe file not found"):
        Recipe.load(tmp_path / "other.yaml")


def test_a_yaml_file_without_a_mapping_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(UserError, match='lines of "key: value"'):
        Recipe.load(tmp_path / "mine.yaml")


def test_a_scheduler_that_monitors_the_validation_loss_needs_validation_rows() -> None:
    with pytest.raises(UserError, match="it monitors the validation loss; set validation_fraction above 0"):
        Recipe.load("resnet18-plateau", ["validation_fraction=0", "patience=null"])


@pytest.mark.parametrize(
    ("name", "override"),
    [("resnet18", "width=4"), ("resnet18", "other_learning_rate=1e-3"), ("light-cnn", "warmup=0.2")],
)
def test_a_setting_without_effect_is_refused_by_name(name: str, override: str) -> None:
    with pytest.raises(UserError, match=f"--set {override}: .* has no effect with .*; leave it out"):
        Recipe.load(name, [override])


def test_a_setting_without_effect_in_a_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPES.joinpath("resnet18.yaml").read_text() + "width: 4\n")
    with pytest.raises(
        UserError, match=r"mine\.yaml: width has no effect with model=resnet18, only with fast; remove it"
    ):
        Recipe.load(path)


def test_another_scheduler_resets_the_settings_of_the_old_one() -> None:
    recipe = Recipe.load("fast", ["scheduler=cosine"])
    assert recipe.warmup == Recipe.model_fields["warmup"].default


def test_a_saved_recipe_with_a_setting_without_effect_still_loads(tmp_path: Path) -> None:
    recipe = Recipe.load("resnet18")
    recipe.save(tmp_path / "recipe.yaml")
    text = (tmp_path / "recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(text.replace("width: 1\n", "width: 4\n"))
    assert Run(tmp_path).recipe == recipe.model_copy(update={"minutes": None, "accuracy": None})
