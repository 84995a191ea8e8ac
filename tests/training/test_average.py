from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline import DigitTable, Recipe, Run
from pipeline.training.optim.average import average_weights
from pipeline.training.trainer import Trainer


def test_the_average_follows_the_formula() -> None:
    decay, model = 0.6, nn.Linear(1, 1, bias=False)
    averaged = average_weights(model, decay)
    expected = None
    for update in range(20):
        with torch.no_grad():
            model.weight.fill_(update**2)
        averaged.update_parameters(model)
        own = decay if (1 + update) / (10 + update) > decay else (1 + update) / (10 + update)
        expected = update**2 if expected is None else own * expected + (1 - own) * update**2
    assert averaged.module.weight.item() == pytest.approx(expected)


def test_the_statistics_of_batch_norm_are_averaged_and_their_counter_is_copied() -> None:
    model = nn.Sequential(nn.BatchNorm1d(1))
    averaged = average_weights(model, 0.5)
    found = []
    for value in (1.0, 2.0):
        model(torch.full((4, 1), value))
        averaged.update_parameters(model)
        found.append(model[0].running_mean.item())
    assert averaged.module[0].running_mean.item() == pytest.approx(2 / 11 * found[0] + 9 / 11 * found[1])
    assert averaged.module[0].num_batches_tracked == model[0].num_batches_tracked == 2


def test_the_average_is_what_is_validated_and_saved(tmp_path: Path, digits: DigitTable) -> None:
    recipe = Recipe.load("fast", ["epochs=2", "minimum_updates=0", "batch_size=128", "ema_decay=0.9"])
    training, validation = digits.split(recipe.validation_fraction, recipe.seed)
    trainer = Trainer(recipe, training, validation, Run(tmp_path))
    epoch = trainer.run_epoch(quiet=True)
    saved = trainer.run.load_model()
    current = trainer.network.state_dict()
    assert any(not torch.equal(saved[name], value) for name, value in current.items() if value.is_floating_point())
    trainer.network.load_state_dict(saved)
    trainer.averaged = None
    assert trainer.evaluate()[0] == pytest.approx(epoch.validation_loss, rel=1e-4)
