"""Card: provenance and scores of a run. Epoch: one row of its history. OutOfFold: an ensemble's own predictions."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.metrics.interval import format_accuracy

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Epoch(BaseModel):
    """One row of a run's history. Losses are means of the training objective, in nats; accuracies are fractions.

    The validation values are None without validation rows. A fine-tuning has one row for each evaluation: `epoch` is
    the number of epochs completed, such as 0.3 or 3, the accuracies are of parity, and `train_accuracy` is None because
    it is not measured. Only a fine-tuning has precision, recall and F1, the means over its classes.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epoch: int | float
    train_loss: float
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    saved: bool
    """Whether the model of this epoch was the best so far and was saved."""
    validation_precision: float | None = None
    validation_recall: float | None = None
    validation_f1: float | None = None


REMOVED = {"pseudo_labels"}
"""Values that only the cards of old versions have."""


class Card(BaseModel):
    """Provenance and scores of a run."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    recipe: str
    source: str
    fingerprint: str
    """Digest of the source's images that the run was trained and validated on."""
    train_rows: Count
    corrections: Count = 0
    """Number of training rows that are corrections; these are not in the source."""
    validation_rows: Count
    seed: Count
    parameters: Count
    device: str
    processes: int = 1
    """Number of processes that started the training, each with its own `device`."""
    precision: str
    versions: dict[str, str]
    commit: str | None
    started: str
    temperature: Positive = 1.0
    """Temperature: the logits are divided by it to calibrate the probabilities."""
    digit_threshold: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Lowest `digit_score` that is accepted as a digit."""
    line_temperature: Positive = 1.0
    """Temperature of the line network, if the run has one."""
    minutes: float = 0.0
    finished: bool = False
    shipped: bool = False
    """Whether the run ships with the project: an evaluation changes none of its files, see `Run.report_folder`."""
    options: list[str] = []
    """Options of `train` that select the rows, for the command that resumes the run; empty outside the command line."""
    trackers: dict[str, str] = {}
    """Experiment trackers to which the run is logged, each with the run's identifier there."""
    checksums: dict[str, str] = {}
    """SHA-256 of the run's safetensors files by name, in hexadecimal digits; empty if an old version trained it."""
    scores: dict[str, float] = {}
    """"validation_loss" and "validation_accuracy" of the saved epoch, if there are validation rows. `evaluate` adds
    "mnist_accuracy", "mnist_parity_accuracy" and "validation_parity_accuracy". Accuracies are fractions. A parity run
    has the parity accuracies only."""

    @model_validator(mode="before")
    @classmethod
    def drop_removed(cls, values: Any) -> Any:
        """Return the values without those that only old versions saved."""
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if key not in REMOVED}
        return values

    @field_validator("scores")
    @classmethod
    def check_scores(cls, scores: dict[str, float]) -> dict[str, float]:
        """Reject negative scores, and accuracies above 1."""
        for name, value in scores.items():
            if value < 0 or (name.endswith("accuracy") and value > 1):
                raise ValueError(f"{name} cannot be {value:g}")
        return scores

    @property
    def validation_in_words(self) -> str:
        """The validation accuracy with its interval as text, or the reason why it is unknown."""
        if not self.validation_rows:
            return "unknown (no validation rows)"
        for key, prefix in (("validation_accuracy", ""), ("validation_parity_accuracy", "parity ")):
            if key in self.scores:
                correct = round(self.scores[key] * self.validation_rows)
                return prefix + format_accuracy(correct, self.validation_rows)
        return "unknown (training was stopped before it finished)"


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Out-of-fold predictions of an ensemble: each member predicts the training rows that it was not trained on.

    Attributes:
        rows: int64 (M,), sorted row indices into the table that the ensemble was trained on.
        logits: float32 (M, classes), calibrated; the mean over the members that were trained without the row.
    """

    rows: NDArray[np.int64]
    logits: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Raise a ValueError if an array has another dtype or shape."""
        found = (self.rows.dtype.name, self.rows.ndim, self.logits.dtype.name, self.logits.ndim, len(self.logits))
        if found != ("int64", 1, "float32", 2, len(self.rows)):
            raise ValueError("out-of-fold predictions are int64 (M,) rows and float32 (M, classes) logits")
