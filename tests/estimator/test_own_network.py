"""Classifiers with a network of their own."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV
from torch import Tensor, nn
from torch.nn.functional import log_softmax, max_pool2d, relu

from pipeline import MNISTClassifier, Recipe, UserError
from pipeline.estimator.network import make_network

SMALL = {"batch_size": 16, "epochs": 2}


class CustomNet(nn.Module):
    """A network with other filters, as users write it: functional calls, a scale, and the log of probabilities."""

    def __init__(self, filters: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, filters, 3)
        self.fc1 = nn.Linear(filters * 13 * 13, 10)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        features = max_pool2d(relu(self.conv1(images)), 2)
        return log_softmax(self.scale * self.fc1(features.view(features.size(0), -1)), dim=1)


class BranchingNet(CustomNet):
    """A network that torch.fx cannot trace: its path depends on the data."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) if images.mean() > -100 else images


class DeepNet(nn.Module):
    """A network whose last convolution has a stride and sees a single pixel, and which flattens by `view`."""

    def __init__(self) -> None:
        super().__init__()
        widths = [1, 8, 16, 32, 64, 64, 64]
        pairs = itertools.pairwise(widths)
        self.layers = nn.Sequential(*(nn.Conv2d(*pair, 3, stride=2, padding=1) for pair in pairs))
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return self.head(features.view(len(images), -1))


class WrongNet(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :7]


class FailingNet(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.view(3, -1)


@pytest.fixture(scope="module")
def eights() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    return images[:300], labels[:300]


@pytest.mark.parametrize("network", [CustomNet, lambda: CustomNet(4), CustomNet(), BranchingNet])
def test_any_network_is_trained(network: object, eights: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = MNISTClassifier(**SMALL | {"epochs": 4}, network=network).fit(*eights)
    assert classifier.score(*eights) > 0.6
    np.testing.assert_allclose(classifier.predict_proba(eights[0]).sum(axis=1), 1, rtol=1e-5)


def test_a_deep_network_trains_to_the_same_weights_whatever_the_memory_held_before(
    eights: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(content: float) -> None:
        blocks = [torch.full((size,), content) for size in 100 * [2**5, 2**10, 18_432, 36_864, 2**16]]
        del blocks

    module, weights = DeepNet(), []
    forward = DeepNet.forward
    for content in (0.0, float("nan"), 1e4):
        monkeypatch.setattr(
            DeepNet, "forward", lambda self, images, content=content: (fill(content), forward(self, images))[1]
        )
        weights.append(MNISTClassifier(**SMALL, network=module).fit(*eights).state_.weights)
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=0, atol=0)


def test_a_given_module_is_not_changed_and_its_weights_are_the_initial_ones() -> None:
    module = CustomNet()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    made = make_network(Recipe.load("light-cnn"), module)
    assert made is not module
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    images, labels = load_digits(return_X_y=True)
    MNISTClassifier(**SMALL, network=module).fit(images[:100], labels[:100])
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_it_is_cloned_and_searched_like_any_parameter(eights: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = MNISTClassifier(**SMALL, network=CustomNet)
    assert clone(classifier).get_params() == classifier.get_params()
    with pytest.warns(FitFailedWarning, match="WrongNet returns"):
        search = GridSearchCV(classifier, {"network": [WrongNet, CustomNet]}, cv=2, error_score=0).fit(*eights)
    assert search.best_params_ == {"network": CustomNet}


def test_a_saved_model_is_loaded_with_the_same_network(eights: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    classifier = MNISTClassifier(**SMALL, network=CustomNet).fit(*eights)
    classifier.save_checkpoint(tmp_path / "own")
    loaded = MNISTClassifier(network=CustomNet).load_model(tmp_path / "own")
    np.testing.assert_array_equal(loaded.predict_proba(eights[0]), classifier.predict_proba(eights[0]))
    resumed = MNISTClassifier(epochs=3, network=CustomNet).load_checkpoint(tmp_path / "own").fit(*eights)
    assert len(resumed.history_) == 3
    with pytest.raises(UserError, match=r"own: was trained with the network CustomNet; load it with MNISTCl"):
        MNISTClassifier().load_model(tmp_path / "own")
    with pytest.raises(UserError, match=r"own: was trained with network=CustomNet, and this one does not fit"):
        MNISTClassifier(network=lambda: CustomNet(4)).load_model(tmp_path / "own")


def test_a_model_of_the_recipes_network_is_loaded_whatever_the_network(
    eights: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    classifier = MNISTClassifier(**SMALL, hidden_size=16).fit(*eights)
    classifier.save_model(tmp_path / "model")
    loaded = MNISTClassifier(network=CustomNet).load_model(tmp_path / "model")
    assert loaded.network is None
    np.testing.assert_array_equal(loaded.predict(eights[0]), classifier.predict(eights[0]))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (WrongNet, r"^network: WrongNet returns \(2, 7\) for two images, expected \(2, 10\)"),
        (FailingNet, r"^network: FailingNet fails on images \(2, 1, 28, 28\): shape '\[3, -1\]' is invalid"),
        (dict, "^network: dict returns a dict, not a torch module: return one$"),
    ],
)
def test_a_network_that_does_not_fit_is_named(
    network: object, message: str, eights: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        MNISTClassifier(network=network).fit(*eights)
    assert "\n" not in str(refusal.value)


def test_the_report_has_a_line_for_each_class(eights: tuple[np.ndarray, np.ndarray]) -> None:
    words = np.array(["even", "odd"])[eights[1] % 2]
    classifier = MNISTClassifier(**SMALL, hidden_size=16).fit(eights[0], words)
    lines = classifier.report(eights[0], words).splitlines()
    assert lines[0].split() == ["precision", "recall", "f1-score", "support"]
    assert [line.split()[0] for line in lines[2:4]] == ["even", "odd"]
    accuracy = classifier.score(eights[0], words)
    assert ["accuracy", f"{accuracy:.4f}", "300"] in [line.split() for line in lines]


def test_tensors_are_normalised_with_the_classifiers_mean_and_std(eights: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = MNISTClassifier(**SMALL, hidden_size=16, mean=0.5, std=0.5).fit(*eights)
    fractions = torch.from_numpy(eights[0] / 16)
    np.testing.assert_array_equal(
        classifier.predict_proba((fractions - 0.5) / 0.5), classifier.predict_proba(fractions)
    )
