"""Train every recipe for one short epoch on 500 digits."""

from pathlib import Path

import numpy as np
import pytest
from helpers.recipes import DIGIT_RECIPES

from pipeline import DigitTable, Predictor, Recipe, Run, Source, train
from pipeline.config.choices import OPTIMIZERS, SCHEDULERS
from pipeline.training.trainer import Trainer

SMALLEST = {
    "best": ["members=2"],
    # the downloads of sketch need a network connection
    "sketch": ["pen_drawings=0", "outliers=0", "skeletons=20", "line_updates=0"],
    "resnet18-imagenet": ["pretrained=null", "image_size=32"],  # the download needs a network connection
}


@pytest.fixture(scope="module")
def source(practice: Source) -> Source:
    """Return 500 training and 100 test digits."""
    training, test = practice.read_train().select(np.arange(500)), practice.read_test().select(np.arange(100))
    return Source("practice", practice.path, "", lambda: training, lambda: test)


@pytest.mark.parametrize("name", DIGIT_RECIPES)
def test_every_recipe_trains_and_predicts(name: str, source: Source, tmp_path: Path) -> None:
    settings = ["epochs=1", "minimum_updates=0", *SMALLEST.get(name, [])]
    recipe = Recipe.load(name, settings)
    run = train(recipe, source, str(tmp_path / name), quiet=True)
    epoch = run.history[-1]
    chance_loss = np.log(10)
    assert epoch.train_loss < 1.2 * chance_loss + (3 if recipe.model == "resnet50" else 1)
    test = source.read_test()
    predictions = Predictor.load(run.folder).predict(test.pixels)
    assert predictions.probabilities.shape == (100, 10)
    assert predictions.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


SETTINGS = [
    *(f"optimizer={name}" for name in OPTIMIZERS),
    *(f"scheduler={name}" for name in SCHEDULERS),
    *("rotation=10", "shift=0.1", "zoom=0.1", "shear=10", "elastic=0.7", "erase=0.3"),
    *("workers=2", "pin_memory=true", "gradient_accumulation=4", "label_smoothing=0.1", "image_size=20"),
]


SCHEDULER_SETTINGS = {"step_size": "step_size=1", "gamma": "gamma=0.9", "scheduler_patience": "scheduler_patience=0"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_light_cnn_trains_with_every_setting(setting: str, digits: DigitTable, tmp_path: Path) -> None:
    key, _, value = setting.partition("=")
    needed = [SCHEDULER_SETTINGS[name] for name in SCHEDULERS[value].arguments] if key == "scheduler" else []
    rate = "learning_rate=0.03" if setting == "optimizer=sgd" else "learning_rate=3e-4"
    common = ["epochs=2", "batch_size=32", "rotation=0", "shift=0", "zoom=0", "ema_decay=0"]
    recipe = Recipe.load("light-cnn", [*common, rate, *needed, setting])
    training, validation = digits.select(np.arange(500)).split(recipe.validation_fraction, recipe.seed)
    trainer = Trainer(recipe, training, validation, Run(tmp_path))
    losses = [trainer.run_epoch(quiet=True).train_loss for _ in range(2)]
    assert losses[1] < losses[0] < 1.2 * np.log(10)
