import ast
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import pipeline
from pipeline import DigitTable, Epoch, Predictor, Recipe, Run, Source, UserError, train
from pipeline.run_folder import CHECKPOINTS


def test_a_finished_run_has_the_documented_files(tmp_path: Path, practice: Source, recipe: Recipe) -> None:
    run = train(recipe, practice, str(tmp_path / "mine"), quiet=True)
    assert {path.name for path in run.folder.iterdir()} == {
        "model.safetensors",
        "recipe.yaml",
        "history.csv",
        "card.json",
        "fingerprint.safetensors",
        "training.log",
        "tensorboard",
    }


def test_the_card_has_the_provenance_of_the_run(run: Run, digits: DigitTable) -> None:
    card = run.card
    assert card.finished
    assert (card.source, card.fingerprint) == ("practice", digits.fingerprint.digest)
    assert (card.train_rows, card.validation_rows) == (1167, 130)
    assert card.parameters == 70_586
    assert card.versions["torch"] == torch.__version__.split("+")[0]
    assert card.scores["validation_accuracy"] > 0.9


def test_the_history_has_a_row_for_each_epoch_and_marks_the_saved_one(run: Run) -> None:
    assert [epoch.epoch for epoch in run.history] == [1, 2, 3, 4]
    saved = [epoch for epoch in run.history if epoch.saved][-1]
    assert saved.validation_loss == min(epoch.validation_loss for epoch in run.history)
    assert run.card.scores["validation_loss"] == saved.validation_loss


def test_a_run_with_values_that_no_longer_exist_is_loaded(tmp_path: Path, run: Run, digits: DigitTable) -> None:
    old = Run(Path(shutil.copytree(run.folder, tmp_path / "old")))
    with old.recipe_path.open("a") as recipe:
        recipe.write("teacher: null\n")
    card = json.loads(old.card_path.read_text())
    old.card_path.write_text(json.dumps(card | {"pseudo_labels": 0}))
    pixels = digits.pixels[:50]
    assert (Predictor.load(old).predict(pixels).digits == Predictor.load(run).predict(pixels).digits).all()


def test_the_fingerprint_has_every_image_of_the_source(run: Run, digits: DigitTable) -> None:
    assert run.fingerprint.count_duplicates(digits.fingerprint) == len(digits)


def test_a_nested_state_loads_unchanged(tmp_path: Path) -> None:
    state = {
        "model": {"weight": torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last)},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "param_groups": [{"lr": 0.1, "fused": None}]},
        "best_loss": 0.1 + 0.2,
        "nothing": [],
    }
    run = Run(tmp_path)
    run.save_progress(state)
    loaded = run.load_progress()
    assert torch.equal(loaded["model"].pop("weight"), state["model"].pop("weight"))
    assert torch.equal(loaded["optimizer"]["state"][0].pop("step"), state["optimizer"]["state"][0].pop("step"))
    assert loaded == state


def test_infinity_loads_unchanged(tmp_path: Path) -> None:
    Run(tmp_path).save_progress({"best_loss": float("inf")})
    assert Run(tmp_path).load_progress() == {"best_loss": float("inf")}


def test_a_damaged_model_file_is_named(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_model({"weight": torch.ones(1000)})
    run.model_path.write_bytes(run.model_path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"model\.safetensors: missing or damaged"):
        run.load_model()


def test_a_run_is_never_overwritten(run: Run) -> None:
    with pytest.raises(UserError, match="the run already exists"):
        Run.create(str(run.folder), Recipe.load("fast"))


def test_a_bare_name_is_a_folder_in_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Run.create("mine", Recipe.load("fast")).folder == CHECKPOINTS / "mine"
    assert Run.create("elsewhere/mine", Recipe.load("fast")).folder == Path("elsewhere/mine")
    assert Run.create(None, Recipe.load("fast")).folder.name.startswith("fast-")


def test_two_runs_of_the_same_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = Recipe.load("fast")
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: Run.create(None, recipe), range(4)))
    assert len({run.folder for run in runs}) == 4
    assert all(run.folder.is_dir() for run in runs)


def test_a_run_that_another_process_trains_is_refused(
    practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.run_folder.LOCK_SECONDS", 0.1)
    recipe = Recipe.load("fast")
    with Run.create(str(tmp_path / "mine"), recipe).lock():
        with pytest.raises(UserError, match="mine: another process is training this run"):
            train(recipe, practice, str(tmp_path / "mine"), quiet=True)
        recipe.save(tmp_path / "mine" / "recipe.yaml")
        with pytest.raises(UserError, match="mine: another process is training this run"):
            train(recipe, practice, str(tmp_path / "mine"), resume=True, quiet=True)


def test_a_training_that_cannot_begin_leaves_no_folder(digits: DigitTable, tmp_path: Path) -> None:
    def damaged() -> DigitTable:
        raise UserError("train.csv is damaged")

    source = Source("practice", tmp_path, "", damaged, damaged)
    with pytest.raises(UserError, match="is damaged"):
        train(Recipe.load("fast"), source, str(tmp_path / "mine"), quiet=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", " ", ".", "/"])
def test_a_run_needs_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for find in (Run.open, lambda each: Run.create(each, Recipe.load("fast"))):
        with pytest.raises(UserError, match="this is no name; give a name"):
            find(name)
    assert list(tmp_path.iterdir()) == []


def test_no_module_can_unpickle_more_than_tensors() -> None:
    for path in Path(pipeline.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "joblib", "cloudpickle", "dill"} & set(imported), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in map(ast.unparse, node.keywords), path
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in {"np.load", "pandas.read_pickle"}, path


def test_a_history_has_the_optional_columns_only_if_they_are_known(tmp_path: Path) -> None:
    epoch = Epoch(
        epoch=1, train_loss=1, train_accuracy=None, validation_loss=None, validation_accuracy=None,
        learning_rate=0.1, seconds=1, saved=True,
    )  # fmt: skip
    run = Run(tmp_path)
    run.save_history([epoch])
    assert run.history_path.read_text().splitlines()[0].endswith("learning_rate,seconds,saved")
    assert run.history == [epoch]
    fine_tuned = epoch.model_copy(update={"validation_precision": 0.5, "validation_recall": 0.75, "validation_f1": 0.6})
    run.save_history([epoch, fine_tuned])
    assert run.history == [epoch, fine_tuned]
