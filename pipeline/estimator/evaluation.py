"""Evaluation of a trained classifier: accuracy, classification report and figures."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import classification_report
from sklearn.utils.validation import check_is_fitted

from pipeline.card import Epoch
from pipeline.estimator.state import FittedState
from pipeline.metrics.score import score
from pipeline.sources.mnist import mnist_source

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class EvaluationMixin(ABC):
    """Methods that evaluate a classifier on MNIST's 10,000 test images, which are the default, or on other images.

    They raise NotFittedError if no model has been trained or loaded.
    """

    data: str | Path
    state_: FittedState
    history_: list[Epoch]

    @abstractmethod
    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return the probability of each class; see `MNISTClassifier`."""

    @abstractmethod
    def predict_batch(self, images: Any) -> NDArray[Any]:
        """Return the most probable label of each image; see `MNISTClassifier`."""

    def evaluate(self, X: Any = None, y: Any = None) -> float:  # noqa: N803
        """Return the accuracy in percent, 0..100, on MNIST's 10,000 test images or on `X` and `y`."""
        images, labels = self.test_digits(X, y)
        return 100 * float(np.mean(self.predict_batch(images) == np.asarray(labels)))

    def report(self, X: Any = None, y: Any = None) -> str:  # noqa: N803
        """Return precision, recall, F1 and the number of images of each class as text, and the averages."""
        images, labels = self.test_digits(X, y)
        report: str = classification_report(labels, self.predict_batch(images), digits=4, zero_division=0)
        return report

    def test_digits(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Return the given images and labels, or MNIST's test set if `images` is None."""
        check_is_fitted(self, "predictor_")
        if images is not None:
            return images, labels
        self.state_.data_spec.require_digits()  # first: MNIST may have to be downloaded
        table = mnist_source(Path(self.data), "requested").read_test()
        return table.pixels, self.state_.data_spec.match_digits(table.known_labels)

    def plot_training_history(self) -> "Figure":
        """Return a figure of loss, accuracy and learning rate over the epochs."""
        from pipeline.reports.figures import plot_training_history

        check_is_fitted(self, "predictor_")
        figure = _new_figure()
        plot_training_history(figure, self.history_)
        return figure

    def plot_confusion_matrix(self, X: Any = None, y: Any = None) -> "Figure":  # noqa: N803
        """Return the confusion matrix, by indices into `classes_`, on MNIST's test set by default, as a figure."""
        from pipeline.reports.figures import plot_confusion

        images, labels = self.test_digits(X, y)
        indices = self.state_.data_spec.indices_of(labels)
        figure = _new_figure()
        plot_confusion(figure, score(self.predict_proba(images).argmax(axis=1), indices))
        return figure

    def show_predictions(self, num_samples: int = 10) -> "Figure":
        """Return a figure of the first `num_samples` of MNIST's test images, at most 40, with their predictions."""
        from pipeline.reports.images import plot_samples

        images, labels = self.test_digits(None, None)
        shown, indices = images[:num_samples], self.state_.data_spec.indices_of(labels[:num_samples])
        figure = _new_figure()
        plot_samples(figure, shown, indices, self.predict_proba(shown))
        return figure


def _new_figure() -> "Figure":
    """Return a pyplot figure, which notebooks show automatically and scripts show with pyplot.show()."""
    from matplotlib import pyplot

    return pyplot.figure()
