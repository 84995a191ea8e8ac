"""Card: where a run comes from and what it reached; Epoch: one line of its history."""

from pydantic import BaseModel, ConfigDict

from pipeline.metrics.interval import accuracy_in_words


class Epoch(BaseModel):
    """One line of a run's history. A loss is the mean that training minimises, in nats; accuracies are fractions.

    Those of validation are None where no rows were set aside. A fine-tuning has a line for each evaluation: `epoch` is
    how many have passed, 0.3 or 3, the accuracies are of parity, and that of training is None, for it is not counted.
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
    """Whether the model of this epoch was the best until then, and was kept."""


class Card(BaseModel):
    """Where a run comes from and what it reached."""

    model_config = ConfigDict(extra="forbid")

    recipe: str
    source: str
    fingerprint: str
    """The digest of the source's images, that it was trained and validated on."""
    train_rows: int
    corrections: int = 0
    """How many of those are corrections, which are not in the source."""
    validation_rows: int
    seed: int
    parameters: int
    device: str
    processes: int = 1
    """How many began it together, each with a device like that."""
    precision: str
    versions: dict[str, str]
    commit: str | None
    started: str
    temperature: float = 1.0
    """By which the logits are divided, so that the probabilities are calibrated."""
    digit_threshold: float = 0.7
    """The least `digit_score` of what counts as a digit."""
    minutes: float = 0.0
    finished: bool = False
    scores: dict[str, float] = {}
    """"validation_loss" and "validation_accuracy" of the epoch that was kept, where rows were set aside; what an
    evaluation adds are "mnist_accuracy", "mnist_parity_accuracy" and "validation_parity_accuracy", as fractions. A run
    that tells odd from even has the accuracies of parity only."""

    @property
    def validation_in_words(self) -> str:
        """The validation accuracy with its interval, or that there is none yet."""
        if not self.validation_rows:
            return "unknown, for no rows were set aside"
        for key, of in (("validation_accuracy", ""), ("validation_parity_accuracy", "odd or even: ")):
            if key in self.scores:
                right = round(self.scores[key] * self.validation_rows)
                return of + accuracy_in_words(right, self.validation_rows)
        return "unknown, for the run was stopped before its end"
