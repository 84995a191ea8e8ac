"""MNISTClassifier: the recipe `light-cnn` with the manners of scikit-learn's estimators."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES
from pipeline.errors import UserError
from pipeline.estimator.arrays import is_single, pixels_of, rows_of
from pipeline.estimator.state import Images, Learnt, learn, schedule_of
from pipeline.inference.predictor import Predictor
from pipeline.metrics.score import score
from pipeline.sources.find import find_source
from pipeline.training.log import log_to_stdout

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE_ONLY = ["data", "verbose"]
"""Parameters that are of a place, not of a training: no file keeps them."""


class MNISTClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A small convolutional network that tells up to ten classes of images apart, MNIST's digits by default.

    Images are rows (N, features), arrays (N, 28, 28) or (N, 1, 28, 28), or torch tensors of these shapes. A row of n
    values is read as a square picture and scaled to 28x28, so that scikit-learn's 8x8 digits work as well. After
    training on uint8, as MNIST is, whole numbers are ink of 0 to 255 and fractions ink of 0 to 1. Trained on other
    arrays, their smallest value is paper and their largest ink, and later values are clipped to these. A tensor
    follows torch's convention: see `rows_of`.

    Args:
        batch_size: images in an update.
        epochs: passes over the training rows, at most.
        learning_rate: of Adam.
        dropout1: fraction of the features dropped before the linear layers, in [0, 1).
        dropout2: fraction of the hidden units dropped, in [0, 1).
        hidden_size: units of the hidden linear layer.
        patience: epochs without improvement after which training stops; None never stops early.
        min_delta: by how much the validation loss must fall to count as an improvement.
        train_split: fraction of the rows to train on, in (0, 1]; the others choose the epoch that is kept.
        scheduler: none, step, exponential, plateau, cosine or one-cycle; see `set_scheduler`.
        step_size: of step: epochs between two falls of the learning rate.
        gamma: of step, exponential and plateau: factor by which the learning rate falls.
        scheduler_patience: of plateau: epochs waited through before the learning rate falls.
        random_state: seed of all chance, a whole number.
        data: folder that holds MNIST/raw, or that MNIST is downloaded to.
        verbose: print a line for each epoch, and draw a progress bar.

    Attributes:
        classes_: the labels, sorted, (C,) with C at most 10.
        n_features_in_: values in an image.
        history_: the epochs, a list of Epoch.
        learnt_: what was learnt, and what a training needs to go on.
        predictor_: the network, ready to answer.
    """

    def __init__(
        self,
        batch_size: int = 64,
        epochs: int = 10,
        learning_rate: float = 0.001,
        dropout1: float = 0.25,
        dropout2: float = 0.5,
        hidden_size: int = 128,
        patience: int | None = None,
        min_delta: float = 0.0,
        train_split: float = 0.8,
        scheduler: str = "none",
        step_size: int | None = None,
        gamma: float | None = None,
        scheduler_patience: int | None = None,
        random_state: int = 0,
        data: str | Path = "data",
        verbose: bool = False,
    ) -> None:
        self.batch_size = batch_size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.dropout1 = dropout1
        self.dropout2 = dropout2
        self.hidden_size = hidden_size
        self.patience = patience
        self.min_delta = min_delta
        self.train_split = train_split
        self.scheduler = scheduler
        self.step_size = step_size
        self.gamma = gamma
        self.scheduler_patience = scheduler_patience
        self.random_state = random_state
        self.data = data
        self.verbose = verbose

    def train(self, X: Any = None, y: Any = None) -> Self:  # noqa: N803
        """Train on MNIST's 60,000 digits, fetched where they are missing, or as `fit` on arrays; errors as there."""
        if X is None:
            table = find_source("mnist", Path(self.data)).read_train()
            X, y = table.pixels, table.known_labels  # noqa: N806
        return self.fit(X, y)

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Train anew or, after `load_checkpoint`, go on; an interrupt keeps the best epoch so far.

        Args:
            X: images.
            y: labels of any type (N,), at most ten different ones.

        Raises:
            ValueError: the images or labels are unsound or too few, or a parameter is not valid (a UserError).
        """
        values, y = validate_data(self, rows_of(X), y, ensure_min_samples=2)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) > CLASSES:
            raise UserError(f"there are {len(classes)} classes where at most {CLASSES} can be told apart: take fewer")
        pixel_range = None if values.dtype == np.uint8 else (float(values.min()), float(values.max()))
        table = DigitTable(pixels_of(values, pixel_range), labels.astype(np.int64))
        images = Images(classes, values.shape[1], pixel_range, table.fingerprint.digest)
        parameters = {name: value for name, value in self.get_params().items() if name not in HERE_ONLY}
        begun = self.learnt_ if getattr(self, "goes_on_", False) else None
        with log_to_stdout(self.verbose):
            self.take(learn(parameters, images, table, begun, quiet=not self.verbose), goes_on=False)
        return self

    def take(self, learnt: Learnt, *, goes_on: bool) -> None:
        """Answer by what was learnt from now on; with `goes_on` the next training does not begin anew."""
        predictor = Predictor(learnt.network(), learnt.recipe)
        self.learnt_, self.predictor_, self.goes_on_ = learnt, predictor, goes_on
        self.classes_, self.n_features_in_ = learnt.images.classes, learnt.images.features
        self.history_ = learnt.history

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return the probability of each class, float32 (N, C); each row sums to 1.

        Raises:
            NotFittedError: nothing has been trained or loaded.
            ValueError: the images are not of the shape or in the range of those trained on.
        """
        check_is_fitted(self, "predictor_")
        values = validate_data(self, rows_of(X, self.n_features_in_), reset=False)
        pixels = pixels_of(values, self.learnt_.images.pixel_range)
        known = self.predictor_.predict(pixels).probabilities[:, : len(self.classes_)]
        probabilities: NDArray[np.float32] = known / known.sum(axis=1, keepdims=True)
        return probabilities

    def predict_batch(self, images: Any) -> NDArray[Any]:
        """Return the likeliest label of each image, (N,); errors as for `predict_proba`."""
        probabilities = self.predict_proba(images)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the likeliest label of each image, (N,), or of a single image its label alone.

        A single image is a picture of PIL, a tensor (28, 28) or (1, 28, 28), or an array (28, 28). Errors as for
        `predict_proba`.
        """
        labels = self.predict_batch(X)
        return labels.tolist()[0] if is_single(X, self.n_features_in_) else labels

    def evaluate(self, X: Any = None, y: Any = None) -> float:  # noqa: N803
        """Return the accuracy in percent, 0..100, on MNIST's 10,000 test digits or on images and labels."""
        return 100 * float(self.score(*self.test_digits(X, y)))

    def test_digits(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Return images and labels as they are, or MNIST's test digits where there are none."""
        check_is_fitted(self, "predictor_")
        if images is not None:
            return images, labels
        table = find_source("mnist", Path(self.data)).read_test()
        return table.pixels, table.known_labels

    def set_scheduler(self, name: str, **arguments: float) -> Self:
        """Choose how the learning rate falls, in torch's words or the recipe's; `set_params` can do the same.

        Args:
            name: StepLR(step_size, gamma), ExponentialLR(gamma), ReduceLROnPlateau(factor, patience),
                CosineAnnealingLR or OneCycleLR, both over the whole training, or none.
            arguments: as the scheduler needs them.

        Raises:
            UserError: there is no such scheduler, or it takes other arguments.
        """
        self.set_params(**schedule_of(name, arguments))
        return self

    def save_model(self, path: str | Path) -> None:
        """Write the model as one safetensors file, whatever its suffix, whole or not at all.

        Raises:
            NotFittedError: nothing has been trained or loaded.
            UserError: the file cannot be written.
        """
        check_is_fitted(self, "predictor_")
        self.learnt_.save(Path(path), with_progress=False)

    def load_model(self, path: str | Path) -> Self:
        """Take the model in a file, and all parameters with which it was trained.

        Raises:
            UserError: the file is missing, damaged or pickled, or not a classifier's.
        """
        return self.load(Learnt.load(Path(path)), goes_on=False)

    def save_checkpoint(self, path: str | Path) -> None:
        """Write the model and all that its training needs to go on; otherwise as `save_model`.

        Raises:
            UserError: the model came by `load_model`, without its training.
        """
        check_is_fitted(self, "predictor_")
        self.learnt_.save(Path(path), with_progress=True)

    def load_checkpoint(self, path: str | Path) -> Self:
        """Take the model in a file; the next `train` or `fit` goes on, on the same images, up to `epochs` in all.

        The parameters are those of the file, but for `epochs`, which say how far to go.

        Raises:
            UserError: the file is missing, damaged or pickled, or holds a model only.
        """
        learnt = Learnt.load(Path(path))
        if learnt.progress is None:
            raise UserError(f"{path}: holds a model, not a training to go on with: take it by load_model")
        return self.load(learnt, goes_on=True, epochs=self.epochs)

    def load(self, learnt: Learnt, *, goes_on: bool, **parameters: Any) -> Self:
        """Take what was learnt, and its parameters but for these."""
        self.set_params(**learnt.parameters | parameters)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.take(learnt, goes_on=goes_on)
        return self

    def plot_training_history(self) -> "Figure":
        """Return a figure of loss, accuracy and learning rate over the epochs."""
        from pipeline.reports.figures import plot_training_history

        check_is_fitted(self, "predictor_")
        figure = _new_figure()
        plot_training_history(figure, self.history_)
        return figure

    def plot_confusion_matrix(self, X: Any = None, y: Any = None) -> "Figure":  # noqa: N803
        """Return a figure of which class was read as which, by places in `classes_`; of MNIST's test by default."""
        from pipeline.reports.figures import plot_confusion

        images, labels = self.test_digits(X, y)
        places = self.learnt_.images.places(labels)
        figure = _new_figure()
        plot_confusion(figure, score(self.predict_proba(images).argmax(axis=1), places))
        return figure

    def show_predictions(self, num_samples: int = 10) -> "Figure":
        """Return a figure of the first of MNIST's test digits, at most 40, and what is read in each."""
        from pipeline.reports.images import plot_samples

        images, labels = self.test_digits(None, None)
        shown, places = images[:num_samples], self.learnt_.images.places(labels[:num_samples])
        figure = _new_figure()
        plot_samples(figure, shown, places, self.predict_proba(shown))
        return figure


def _new_figure() -> "Figure":
    """Return one of pyplot's figures, which a notebook shows by itself and a script by pyplot.show()."""
    from matplotlib import pyplot

    return pyplot.figure()
