"""MNISTClassifier: the recipe `light-cnn` as a scikit-learn estimator."""

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES
from pipeline.errors import UserError
from pipeline.estimator.arrays import MEAN, STD, becomes_uint8, flatten_images, is_single_image, to_pixels
from pipeline.estimator.evaluation import EvaluationMixin
from pipeline.estimator.network import NetworkMaker
from pipeline.estimator.state import DataSpec, FittedState, fit_network, scheduler_parameters, storable
from pipeline.sources.mnist import mnist_source
from pipeline.training.tracking.log import log_to_stdout

UNSAVED_PARAMETERS = ["data", "verbose"]
"""Parameters that do not change the training; model files do not store them."""


class MNISTClassifier(EvaluationMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A small convolutional network that classifies images into up to ten classes, MNIST's digits by default.

    Images are rows (N, features), dense or sparse, arrays (N, 28, 28), (N, 1, 28, 28) or (N, 28, 28, 1), or torch
    tensors of these shapes. A row of n values is treated as a square image and scaled to 28x28; scikit-learn's 8x8
    digits therefore work too. After training on uint8, such as MNIST, integers range from 0 to 255 and floats from 0 to
    1. After training on other arrays, the smallest training value is paper and the largest is ink, and later values are
    clipped to this range.
    Tensors follow torch's convention: see `flatten_images`.

    Args:
        batch_size: images per update.
        epochs: maximum number of passes over the training rows.
        learning_rate: learning rate of Adam.
        dropout1: fraction of the features dropped before the linear layers, in [0, 1).
        dropout2: fraction of the hidden units dropped, in [0, 1).
        hidden_size: units of the hidden linear layer.
        patience: epochs without improvement after which training stops; None never stops early.
        min_delta: minimum decrease of the validation loss that counts as an improvement.
        train_split: fraction of the rows to train on, in (0, 1]; the others are validation rows, which choose the
            epoch that is kept.
        scheduler: none, step, exponential, plateau, cosine or one-cycle; see `set_scheduler`.
        step_size: for step: epochs between two reductions of the learning rate.
        gamma: for step, exponential and plateau: factor of each reduction.
        scheduler_patience: for plateau: epochs without improvement before a reduction.
        network: a torch module, whose weights are the initial ones, or a function or class that is called without
            arguments and returns one. It maps images, float (B, 1, 28, 28), to scores of ten classes, float (B, 10):
            logits, or the log of probabilities. None is the network of `light-cnn`; dropout1, dropout2 and hidden_size
            belong to that.
        rotation: augmentation: each image is turned by up to this many degrees.
        shift: augmentation: ... is moved along each axis by up to this fraction of its side.
        zoom: augmentation: ... is enlarged or reduced by up to this fraction.
        shear: augmentation: ... is sheared by up to this many degrees.
        elastic: augmentation: standard deviation of a smooth random displacement, in pixels.
        mean: mean of the pixels for their normalisation, on the scale 0 to 1.
        std: standard deviation of the pixels, likewise.
        random_state: integer seed of every random generator; None or a RandomState draws one for each training.
        data: folder that contains MNIST/raw, or that MNIST is downloaded to.
        verbose: print a line per epoch, and show a progress bar in a terminal or notebook.

    Attributes:
        classes_: the labels, sorted, (C,) with C at most 10.
        n_features_in_: values per image.
        history_: the epochs, a list of Epoch.
        state_: weights, parameters and history, and the training progress if known; a FittedState.
        predictor_: predictor with the trained network.
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
        network: nn.Module | NetworkMaker | None = None,
        rotation: float = 0.0,
        shift: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        elastic: float = 0.0,
        mean: float = MEAN,
        std: float = STD,
        random_state: int | np.random.RandomState | None = 0,
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
        self.network = network
        self.rotation = rotation
        self.shift = shift
        self.zoom = zoom
        self.shear = shear
        self.elastic = elastic
        self.mean = mean
        self.std = std
        self.random_state = random_state
        self.data = data
        self.verbose = verbose

    def train(self, X: Any = None, y: Any = None) -> Self:  # noqa: N803
        """Train on MNIST's 60,000 training images, downloaded if missing, or on `X` and `y`; raise errors as `fit`."""
        if X is None:
            table = mnist_source(Path(self.data), "requested").read_train()
            X, y = table.pixels, table.known_labels  # noqa: N806
        return self.fit(X, y)

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Train from scratch, or resume after `load_checkpoint`. An interrupt keeps the best epoch so far.

        Args:
            X: images.
            y: labels of any type (N,), at most ten distinct ones.

        Raises:
            ValueError: the images or labels are invalid or too few, or a parameter is not valid (a UserError).
        """
        values, y = validate_data(self, flatten_images(X, mean=self.mean, std=self.std), y, ensure_min_samples=2)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) > CLASSES:
            raise UserError(f"y has {len(classes)} classes, but at most {CLASSES} are supported: use fewer")
        pixel_range = None if values.dtype == np.uint8 else (float(values.min()), float(values.max()))
        table = DigitTable(to_pixels(values, pixel_range), labels.astype(np.int64))
        data_spec = DataSpec(classes, values.shape[1], pixel_range, table.fingerprint.digest)
        given = {name: value for name, value in self.get_params().items() if name not in UNSAVED_PARAMETERS}
        parameters = storable(given)
        checkpoint = self.state_ if getattr(self, "resumes_", False) else None
        with log_to_stdout(self.verbose):
            state = fit_network(parameters, data_spec, table, checkpoint, quiet=not self.verbose)
            self._set_state(state, resumes=False)
        return self

    def _set_state(self, state: FittedState, *, resumes: bool) -> None:
        """Predict with this state from now on. If `resumes`, the next training continues from it."""
        self.state_, self.predictor_, self.resumes_ = state, state.predictor(), resumes
        self.classes_, self.n_features_in_ = state.data_spec.classes, state.data_spec.features
        self.history_ = state.history

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return the probability of each class, float32 (N, C); each row sums to 1.

        Raises:
            NotFittedError: no model has been trained or loaded.
            ValueError: the shape or range of the images differs from that of the training images.
        """
        check_is_fitted(self, "predictor_")
        rows = flatten_images(X, self.n_features_in_, mean=self.mean, std=self.std)
        values = validate_data(self, rows, reset=False)
        pixels = to_pixels(values, None if becomes_uint8(X) else self.state_.data_spec.pixel_range)
        known = self.predictor_.predict(pixels).probabilities[:, : len(self.classes_)]
        probabilities: NDArray[np.float32] = known / known.sum(axis=1, keepdims=True)
        return probabilities

    def predict_batch(self, images: Any) -> NDArray[Any]:
        """Return the most probable label of each image, (N,); raise errors as `predict_proba`."""
        probabilities = self.predict_proba(images)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the most probable label of each image, (N,), or the label itself for a single image.

        A single image is a PIL image, a tensor (28, 28) or (1, 28, 28), or an array (28, 28). Raise errors as
        `predict_proba`.
        """
        labels = self.predict_batch(X)
        return labels.tolist()[0] if is_single_image(X, self.n_features_in_) else labels

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags, with the statement that sparse images are accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def set_scheduler(self, name: str, **arguments: float) -> Self:
        """Set the learning-rate scheduler by torch's names or the recipe's. `set_params` is equivalent.

        Args:
            name: StepLR(step_size, gamma), ExponentialLR(gamma), ReduceLROnPlateau(factor, patience),
                CosineAnnealingLR or OneCycleLR (both span all epochs), or none.
            arguments: the scheduler's arguments.

        Raises:
            UserError: the scheduler is unknown, or it takes other arguments.
        """
        self.set_params(**scheduler_parameters(name, arguments))
        return self

    def save_model(self, path: str | Path) -> None:
        """Write the model as one safetensors file, atomically, whatever the suffix of `path`.

        Raises:
            NotFittedError: no model has been trained or loaded.
            UserError: the file cannot be written.
        """
        check_is_fitted(self, "predictor_")
        self.state_.save(Path(path), with_progress=False)

    def load_model(self, path: str | Path) -> Self:
        """Load a model and all parameters that it was trained with.

        A network of your own is not in the file: create the classifier with the same `network`.

        Raises:
            UserError: the file is missing, damaged, pickled, or not written by this class, or needs another `network`.
        """
        return self._restore(FittedState.load(Path(path), self.network), resumes=False)

    def save_checkpoint(self, path: str | Path) -> None:
        """Write the model and the training progress that resuming needs; otherwise as `save_model`.

        Raises:
            UserError: the model was loaded by `load_model`, without its progress.
        """
        check_is_fitted(self, "predictor_")
        self.state_.save(Path(path), with_progress=True)

    def load_checkpoint(self, path: str | Path) -> Self:
        """Load a checkpoint. The next `train` or `fit` resumes it on the same images, up to `epochs` epochs in total.

        All parameters are taken from the file, except `epochs`, which keeps its current value.

        Raises:
            UserError: the file is missing, damaged, pickled, or contains only a model.
        """
        state = FittedState.load(Path(path), self.network)
        if state.progress is None:
            raise UserError(f"{path}: contains a model without training progress; load it with load_model")
        return self._restore(state, resumes=True, epochs=self.epochs)

    def _restore(self, state: FittedState, *, resumes: bool, **parameters: Any) -> Self:
        """Set a state and its parameters; `parameters` override those of the state."""
        self.set_params(**state.parameters | parameters)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._set_state(state, resumes=resumes)
        return self
