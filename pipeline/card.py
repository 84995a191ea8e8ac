"""Card: provenance and scores of a run. Epoch: one row of its history."""

from pydantic import BaseModel, ConfigDict

from pipeline.metrics.interval import format_accuracy


class Epoch(BaseModel):
    """One row of a run's history. Losses are means of the training objective, in nats; accuracies are fractions.

    The validation values are None without validation rows. A fine-tuning has one row for each evaluation: `epoch` is
    the number of epochs completed, such as 0.3 or 3, the accuracies are of parity, and `train_accuracy` is None because
    it is not measured.
    """

    model_config = ConfigDict(frozen=True)

    epoch: int | float
    train_loss: float
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    saved: bool
    """Whether the model of this epoch was the best so far and was saved."""


class Card(BaseModel):
    """Provenance and scores of a run."""

    model_config = ConfigDict(extra="forbid")

    recipe: str
    source: str
    fingerprint: str
    """Digest of the source's images that the run was trained and validated on."""
    train_rows: int
    corrections: int = 0
    """Number of training rows that are corrections; these are not in the source."""
    validation_rows: int
    seed: int
    parameters: int
    device: str
    processes: int = 1
    """Number of processes that started the training, each with its own `device`."""
    precision: str
    versions: dict[str, str]
    commit: str | None
    started: str
    temperature: float = 1.0
    """Temperature: the logits are divided by it to calibrate the probabilities."""
    digit_threshold: float = 0.7
    """Lowest `digit_score` that is accepted as a digit."""
    line_temperature: float = 1.0
    """Temperature of the line network, if the run has one."""
    minutes: float = 0.0
    finished: bool = False
    scores: dict[str, float] = {}
    """"validation_loss" and "validation_accuracy" of the saved epoch, if there are validation rows. `evaluate` adds
    "mnist_accuracy", "mnist_parity_accuracy" and "validation_parity_accuracy". Accuracies are fractions. A parity run
    has the parity accuracies only."""

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
