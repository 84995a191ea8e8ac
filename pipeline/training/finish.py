"""Complete a run after training, and keep the model of an epoch as a run of its own."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.card import Card, Epoch
from pipeline.data.table import DigitTable
from pipeline.run import Run
from pipeline.training.calibrate import calibrate


def finish_run(
    run: Run,
    model: nn.Module,
    training: DigitTable,
    calibration: DigitTable,
    device: torch.device,
) -> None:
    """Calibrate the model of a run and complete its card with the result and the scores.

    Args:
        run: the run, without a final card. The last epoch of its history that was saved is that of the weights.
        model: the network with the weights of the run, on `device`.
        training: as in `calibrate`, like `calibration`.
        calibration: as in `calibrate`.
        device: the device that computes.
    """
    history = run.history
    epoch = [epoch for epoch in history if epoch.saved][-1]
    card = run.card
    if epoch.validation_loss is not None and epoch.validation_accuracy is not None:
        card.scores = {"validation_loss": epoch.validation_loss, "validation_accuracy": epoch.validation_accuracy}
    card.temperature, card.digit_threshold = calibrate(model, run.require_digits(), training, calibration, device)
    card.minutes = sum(epoch.seconds for epoch in history) / 60
    card.finished = True
    run.finish(card)


def begin_epoch_run(run: Run, weights: Mapping[str, Tensor], history: Sequence[Epoch]) -> Run:
    """Return a new run `epochs/N` in a run's folder, with the model of its last epoch, for `finish_run`."""
    last = history[-1]
    kept = Run(run.folder / "epochs" / str(last.epoch))
    kept.make(exist_ok=True)
    kept.save_model(weights)
    kept.save_history([*history[:-1], last.model_copy(update={"saved": True})])
    kept.begin(run.recipe, Card.model_validate(run.card.model_dump()), run.fingerprint)
    return kept
