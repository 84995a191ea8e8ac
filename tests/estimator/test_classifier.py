import json
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pandas
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline import DigitTable, Epoch, MNISTClassifier, Recipe, UserError
from pipeline.estimator.state import recipe_of
from pipeline.sources.mnist import MNIST_FILES
from pipeline.training.trainer import Trainer

matplotlib.use("Agg")

SMALL = {"batch_size": 16, "epochs": 2, "hidden_size": 32}


@pytest.fixture(scope="session")
def mnist(tmp_path_factory: pytest.TempPathFactory, digits: DigitTable) -> Path:
    """Return a data folder with MNIST's four files, with 600 and 100 images."""
    folder = tmp_path_factory.mktemp("mnist")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    names = tuple(MNIST_FILES)
    for files, rows in ((names[:2], slice(0, 600)), (names[2:], slice(600, 700))):
        pixels, labels = digits.pixels[rows], digits.known_labels[rows]
        (raw / files[0]).write_bytes(struct.pack(">IIII", 0x803, len(pixels), 28, 28) + pixels.tobytes())
        (raw / files[1]).write_bytes(struct.pack(">II", 0x801, len(labels)) + labels.astype(np.uint8).tobytes())
    return folder


@pytest.fixture(scope="session")
def trained(mnist: Path) -> MNISTClassifier:
    """Return a classifier that is trained on `mnist`; tests must not train it again."""
    return MNISTClassifier(**SMALL, data=mnist).train()


@pytest.fixture(scope="session")
def eights() -> tuple[np.ndarray, np.ndarray]:
    """Return 300 of scikit-learn's 8x8 digits: rows of 64 values from 0.0 to 16.0, and their labels."""
    images, labels = load_digits(return_X_y=True)
    return images[:300], labels[:300]


def weights(classifier: MNISTClassifier) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in classifier.state_.weights.items()}


def without_seconds(history: list[Epoch]) -> list[Epoch]:
    return [epoch.model_copy(update={"seconds": 0}) for epoch in history]


@parametrize_with_checks([MNISTClassifier(batch_size=4, epochs=2, hidden_size=16)])
def test_it_passes_scikit_learns_estimator_checks(estimator: MNISTClassifier, check: Callable) -> None:
    check(estimator)


def test_the_workflow_from_training_to_figures(mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classifier = MNISTClassifier(**SMALL, learning_rate=0.002, dropout1=0.3, dropout2=0.6, patience=3, min_delta=0.001)
    classifier.set_params(data=mnist)
    classifier.set_scheduler("StepLR", step_size=5, gamma=0.5)
    classifier.train()
    accuracy = classifier.evaluate()
    assert 60 < accuracy <= 100
    assert f"{accuracy:.2f}%" == f"{100 * classifier.score(*classifier.test_digits(None, None)):.2f}%"

    classifier.save_model("mnist_model.pth")
    classifier.save_checkpoint("checkpoint_epoch_2.pth")
    loaded = MNISTClassifier(data=mnist).load_model("mnist_model.pth")
    assert loaded.evaluate() == accuracy
    batch = torch.rand(5, 1, 28, 28)
    assert isinstance(loaded.predict(batch[0]), int)
    assert loaded.predict_batch(batch).shape == (5,)

    restored = MNISTClassifier(epochs=3, data=mnist).load_checkpoint("checkpoint_epoch_2.pth")
    assert len(restored.train().history_) == 3
    for figure in (
        restored.plot_training_history(),
        restored.plot_confusion_matrix(),
        restored.show_predictions(num_samples=10),
    ):
        assert isinstance(figure, Figure)
        assert figure.number in matplotlib.pyplot.get_fignums()
    matplotlib.pyplot.close("all")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_epoch_2.pth", "mnist_model.pth"]


def test_the_defaults_are_those_of_the_recipe_light_cnn_except_for_what_few_images_do_not_allow() -> None:
    parameters = MNISTClassifier().get_params()
    del parameters["data"], parameters["verbose"], parameters["network"]
    recipe, shipped = (settings.model_dump() for settings in (recipe_of(parameters), Recipe.load("light-cnn")))
    assert recipe.pop("validation_fraction") == pytest.approx(shipped.pop("validation_fraction"))
    for_mnist = {"batch_size": 128, "epochs": 12, "rotation": 10, "shift": 0.1, "zoom": 0.1, "ema_decay": 0.998}
    assert recipe | for_mnist == shipped


def test_each_parameter_reaches_the_recipe(eights: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = MNISTClassifier(
        **SMALL, dropout1=0.1, dropout2=0.3, train_split=1.0, random_state=7, scheduler="step", step_size=1, gamma=0.5,
        rotation=10, shift=0.1, zoom=0.2, shear=5, elastic=0.3, mean=0.5, std=0.25,
    ).fit(*eights)  # fmt: skip
    recipe = classifier.predictor_.recipe
    assert (recipe.rotation, recipe.shift, recipe.zoom, recipe.shear, recipe.elastic) == (10, 0.1, 0.2, 5, 0.3)
    assert (recipe.mean, recipe.std) == (0.5, 0.25)
    assert (recipe.feature_dropout, recipe.dropout, recipe.seed) == (0.1, 0.3, 7)
    assert recipe.validation_fraction == 0
    assert classifier.history_[-1].validation_loss is None
    assert [epoch.learning_rate for epoch in classifier.history_] == [0.001, 0.0005]
    assert classifier.state_.weights["7.weight"].shape == (32, 9216)


def test_it_works_in_cross_validation_on_scikit_learns_digits() -> None:
    images, labels = load_digits(return_X_y=True)
    scores = cross_val_score(MNISTClassifier(batch_size=16, epochs=2), images[:600], labels[:600], cv=2)
    assert scores.mean() > 0.75


def test_it_works_in_a_grid_search(eights: tuple[np.ndarray, np.ndarray]) -> None:
    search = GridSearchCV(MNISTClassifier(**SMALL), {"learning_rate": np.array([1e-7, 2e-3])}, cv=2).fit(*eights)
    assert search.best_params_ == {"learning_rate": 2e-3}


def test_a_clone_has_the_parameters_but_is_not_fitted(trained: MNISTClassifier) -> None:
    copy = clone(trained)
    assert copy.get_params() == trained.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(np.zeros((1, 784)))


@pytest.mark.parametrize("labels", [np.array(["even", "odd"]), np.array([False, True]), np.array([-1.0, 1.0])])
def test_labels_of_any_type_survive_saving_and_loading(
    labels: np.ndarray, eights: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    parity = labels[eights[1] % 2]
    classifier = MNISTClassifier(**SMALL | {"epochs": 3}).fit(eights[0], parity)
    classifier.save_model(tmp_path / "parity")
    loaded = MNISTClassifier().load_model(tmp_path / "parity")
    assert loaded.classes_.dtype == labels.dtype
    assert loaded.classes_.tolist() == labels.tolist()
    assert loaded.score(eights[0], parity) > 0.7
    probabilities = loaded.predict_proba(eights[0])
    assert probabilities.shape == (300, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_more_than_ten_classes_are_refused(eights: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="11 classes, but at most 10"):
        MNISTClassifier().fit(eights[0], np.arange(300) % 11)


def test_predictions_do_not_depend_on_the_image_format(trained: MNISTClassifier, digits: DigitTable) -> None:
    pixels = digits.pixels[600:640]
    labels = trained.predict(pixels)
    fractions = torch.from_numpy(pixels / np.float32(255)).unsqueeze(1)
    formats = {
        "rows": pixels.reshape(-1, 784),
        "channels": pixels[:, np.newaxis],
        "integers": pixels.astype(np.int64),
        "floats": pixels / 255,
        "uint8 tensor": torch.from_numpy(pixels.copy()),
        "output of ToTensor": fractions,
        "normalised": (fractions - 0.1307) / 0.3081,
    }
    for name, images in formats.items():
        np.testing.assert_array_equal(trained.predict_proba(images), trained.predict_proba(pixels), name)
        np.testing.assert_array_equal(trained.predict_batch(images), labels, name)


def test_predict_returns_the_label_of_a_single_image(trained: MNISTClassifier, digits: DigitTable) -> None:
    image = digits.pixels[600]
    expected = trained.predict(image[np.newaxis]).tolist()
    tensor = torch.from_numpy(image / np.float32(255))
    for single in (image, image / 255, Image.fromarray(image), tensor, tensor[np.newaxis]):
        label = trained.predict(single)
        assert isinstance(label, int)
        assert [label] == expected
        assert trained.predict_batch(single).tolist() == expected


def test_tensors_range_from_0_to_1_after_training_on_other_arrays(eights: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = MNISTClassifier(**SMALL).fit(*eights)
    np.testing.assert_allclose(
        classifier.predict_proba(torch.from_numpy(eights[0] / 16)), classifier.predict_proba(eights[0]), atol=0.02
    )


def test_values_outside_the_training_range_are_clipped(eights: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = MNISTClassifier(**SMALL).fit(*eights)
    wide = np.where(eights[0] == 16, 99, np.where(eights[0] == 0, -5, eights[0]))
    np.testing.assert_array_equal(classifier.predict_proba(wide), classifier.predict_proba(eights[0]))


def test_bytes_within_the_training_range_have_its_scale(eights: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = MNISTClassifier(**SMALL).fit(*eights)
    np.testing.assert_array_equal(
        classifier.predict_proba(eights[0].astype(np.uint8)), classifier.predict_proba(eights[0])
    )


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 28, 28)), r"not \(2, 3, 28, 28\)"),
        (np.zeros((2, 64)), "X has 64 features"),
        (np.full((1, 784), 255.0), "values from 255 to 255 are out of range"),
        (torch.full((1, 28, 28), -1.0), "normalised with the classifier's mean and std"),
        (Image.new("L", (100, 80)), "not 100x80 in mode L"),
        (Image.new("RGB", (28, 28)), "not 28x28 in mode RGB"),
        (np.full((1, 784), np.nan), "NaN"),
    ],
)
def test_invalid_images_are_refused(images: object, message: str, trained: MNISTClassifier) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        trained.predict(images)
    if isinstance(refusal.value, UserError):
        assert "\n" not in str(refusal.value)


def test_an_unfitted_classifier_raises_not_fitted_error(tmp_path: Path) -> None:
    classifier = MNISTClassifier()
    for call in (
        lambda: classifier.predict(Image.new("L", (28, 28))),
        lambda: classifier.predict_batch(np.zeros((1, 784))),
        classifier.evaluate,
        classifier.plot_training_history,
        classifier.plot_confusion_matrix,
        classifier.show_predictions,
        lambda: classifier.save_model(tmp_path / "model"),
        lambda: classifier.save_checkpoint(tmp_path / "checkpoint"),
    ):
        with pytest.raises(NotFittedError):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dropout1": 1.5}, r"^dropout1: 1.5 is not valid: Input should be less than 1$"),
        ({"dropout2": -1}, r"^dropout2: -1 is not valid"),
        ({"train_split": 0}, r"^train_split: 0 is not valid"),
        ({"random_state": -1}, r"^random_state: -1 is not valid"),
        ({"scheduler": "step"}, r"^scheduler: 'step' is not valid: it needs step_size and gamma"),
        ({"train_split": 1.0, "patience": 2}, r"^patience: 2 is not valid: early stopping needs validation rows"),
    ],
)
def test_an_invalid_parameter_is_named(
    parameters: dict[str, object], message: str, eights: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(UserError, match=message):
        MNISTClassifier(**parameters).fit(*eights)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("StepLR", {"step_size": 5, "gamma": 0.5}, ("step", 5, 0.5, None)),
        ("ExponentialLR", {"gamma": 0.9}, ("exponential", None, 0.9, None)),
        ("ReduceLROnPlateau", {"factor": 0.1, "patience": 2}, ("plateau", None, 0.1, 2)),
        ("plateau", {"gamma": 0.1, "scheduler_patience": 2}, ("plateau", None, 0.1, 2)),
        ("CosineAnnealingLR", {}, ("cosine", None, None, None)),
        ("OneCycleLR", {}, ("one-cycle", None, None, None)),
        ("none", {}, ("none", None, None, None)),
    ],
)
def test_schedulers_accept_torchs_names_and_the_recipes(
    name: str, arguments: dict[str, float], expected: tuple[object, ...]
) -> None:
    classifier = MNISTClassifier(scheduler="step", step_size=9, gamma=0.9)
    assert classifier.set_scheduler(name, **arguments) is classifier
    names = ("scheduler", "step_size", "gamma", "scheduler_patience")
    assert tuple(classifier.get_params()[name] for name in names) == expected


def test_an_unknown_scheduler_or_argument_is_refused() -> None:
    with pytest.raises(UserError, match='unknown scheduler "StepRL"; did you mean "StepLR"'):
        MNISTClassifier().set_scheduler("StepRL")
    with pytest.raises(UserError, match="ReduceLROnPlateau takes factor and patience, not step_size"):
        MNISTClassifier().set_scheduler("ReduceLROnPlateau", step_size=3)


def test_a_model_is_one_safetensors_file_with_readable_metadata(
    trained: MNISTClassifier, digits: DigitTable, tmp_path: Path
) -> None:
    trained.save_model(tmp_path / "mnist_model.pth")
    with safe_open(tmp_path / "mnist_model.pth", framework="pt") as file:
        assert set(file.offset_keys()) == set(trained.state_.weights)
        metadata = json.loads(file.metadata()["classifier"])
    assert metadata["parameters"]["hidden_size"] == 32
    assert metadata["images"]["features"] == 784
    loaded = MNISTClassifier().load_model(tmp_path / "mnist_model.pth")
    assert (loaded.n_features_in_, loaded.hidden_size, loaded.history_) == (784, 32, trained.history_)
    np.testing.assert_array_equal(loaded.predict_proba(digits.pixels), trained.predict_proba(digits.pixels))


def test_a_pickled_model_is_refused_without_loading_it(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    for name, zipped in (("new.pth", True), ("old.pth", False)):
        torch.save({"weight": Trap()}, tmp_path / name, _use_new_zipfile_serialization=zipped)
        for load in (MNISTClassifier().load_model, MNISTClassifier().load_checkpoint):
            with pytest.raises(
                UserError, match=rf"{name}: pickled files are refused, because loading one can run arbitrary code"
            ):
                load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_file_of_another_kind_is_refused(trained: MNISTClassifier, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing or damaged"):
        trained.load_model(tmp_path / "absent")
    trained.save_model(tmp_path / "cut")
    (tmp_path / "cut").write_bytes((tmp_path / "cut").read_bytes()[:5000])
    with pytest.raises(UserError, match="missing or damaged"):
        trained.load_model(tmp_path / "cut")
    trained.predictor_.recipe.save(tmp_path / "recipe.yaml")
    with pytest.raises(UserError, match="missing or damaged"):
        trained.load_model(tmp_path / "recipe.yaml")
    save_file(trained.state_.weights, tmp_path / "weights")
    with pytest.raises(UserError, match="not written by save_model or save_checkpoint"):
        trained.load_model(tmp_path / "weights")
    trained.save_model(tmp_path / "model")
    with pytest.raises(UserError, match="contains a model without training progress"):
        trained.load_checkpoint(tmp_path / "model")
    model = MNISTClassifier().load_model(tmp_path / "model")
    with pytest.raises(UserError, match="this model was loaded without training progress"):
        model.save_checkpoint(tmp_path / "checkpoint")


@pytest.mark.parametrize("schedule", [{}, {"scheduler": "step", "step_size": 2, "gamma": 0.5}])
def test_resuming_from_a_checkpoint_equals_one_training(
    schedule: dict[str, object], eights: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    whole = MNISTClassifier(**SMALL | {"epochs": 4}, **schedule).fit(*eights)
    half = MNISTClassifier(**SMALL, **schedule).fit(*eights)
    half.save_checkpoint(tmp_path / "half")
    other = MNISTClassifier(epochs=4).load_checkpoint(tmp_path / "half")
    np.testing.assert_array_equal(other.predict_proba(eights[0]), half.predict_proba(eights[0]))
    other.fit(*eights)
    assert weights(other) == weights(whole) != weights(half)
    assert without_seconds(other.history_) == without_seconds(whole.history_)
    other.save_checkpoint(tmp_path / "again")
    assert len(other.fit(*eights).history_) == 4, "a second fit trains from scratch"
    assert weights(other) == weights(whole)


def test_the_best_epoch_before_a_checkpoint_is_kept(
    eights: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = MNISTClassifier(**SMALL).fit(*eights)
    classifier.save_checkpoint(tmp_path / "checkpoint")
    monkeypatch.setattr(Trainer, "evaluate", lambda self: (99.0, 0.1))
    later = MNISTClassifier(epochs=3).load_checkpoint(tmp_path / "checkpoint").fit(*eights)
    assert [epoch.saved for epoch in later.history_] == [True, True, False]
    assert weights(later) == weights(classifier)


def test_a_checkpoint_resumes_only_with_the_same_images_and_settings(
    eights: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = eights
    MNISTClassifier(**SMALL).fit(images, labels).save_checkpoint(tmp_path / "checkpoint")
    classifier = MNISTClassifier(epochs=3).load_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(UserError, match="was trained on other images"):
        classifier.fit(images[:200], labels[:200])
    classifier.set_params(dropout2=0.1)
    with pytest.raises(UserError, match=r"was trained with dropout2=0.5: set this to resume"):
        classifier.fit(images, labels)
    assert len(classifier.set_params(dropout2=0.5).fit(images, labels).history_) == 3

    one = MNISTClassifier(**SMALL | {"epochs": 1}, scheduler="cosine").fit(images, labels)
    one.save_checkpoint(tmp_path / "cosine")
    with pytest.raises(UserError, match=r"was trained with epochs=1: set this to resume"):
        MNISTClassifier(epochs=2).load_checkpoint(tmp_path / "cosine").fit(images, labels)


def test_an_interrupt_keeps_the_best_epoch(
    eights: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_epoch = Trainer.run_epoch

    def interrupted(self: Trainer, quiet: bool) -> Epoch:
        if len(self.history) == stop_after:
            raise KeyboardInterrupt
        return run_epoch(self, quiet)

    classifier = MNISTClassifier(**SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        stop_after = 0
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(*eights)
        stop_after = 1
        with pytest.warns(UserWarning, match="the best epoch so far is kept"):
            classifier.fit(*eights)
    assert len(classifier.history_) == 1
    classifier.save_checkpoint(tmp_path / "stopped")
    resumed = MNISTClassifier(epochs=2).load_checkpoint(tmp_path / "stopped").fit(*eights)
    assert weights(resumed) == weights(MNISTClassifier(**SMALL).fit(*eights))


def test_it_prints_only_if_verbose(eights: tuple[np.ndarray, np.ndarray], capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MNISTClassifier(**SMALL).fit(*eights)
    assert capfd.readouterr() == ("", "")
    MNISTClassifier(**SMALL, verbose=True).fit(*eights)
    out = capfd.readouterr().out
    assert "240 training rows, 60 validation rows" in out
    assert "Run:" not in out
    assert "  1/2 " in out
    assert "  2/2 " in out
    MNISTClassifier(**SMALL).fit(*eights)
    assert capfd.readouterr() == ("", "")


def test_the_confusion_matrix_names_an_unknown_label(eights: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = eights
    classifier = MNISTClassifier(**SMALL).fit(images[labels < 9], labels[labels < 9])
    with pytest.raises(UserError, match="label 9 is not among the training labels"):
        classifier.plot_confusion_matrix(images, labels)


def test_loading_a_model_clears_the_feature_names(eights: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images, labels = eights
    columns = [f"pixel{place}" for place in range(64)]
    classifier = MNISTClassifier(**SMALL).fit(pandas.DataFrame(images, columns=columns), labels)
    assert classifier.feature_names_in_.tolist() == columns
    classifier.save_model(tmp_path / "model")
    before = classifier.predict_proba(pandas.DataFrame(images, columns=columns))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(classifier.load_model(tmp_path / "model").predict_proba(images), before)


@pytest.mark.parametrize("seed", [None, np.random.RandomState(3), np.int64(7)])
def test_any_random_state_of_scikit_learn_trains_and_is_saved(
    seed: object, eights: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    classifier = MNISTClassifier(random_state=seed, epochs=np.int64(1), batch_size=64).fit(*eights)
    classifier.save_model(tmp_path / "model")
    saved = MNISTClassifier().load_model(tmp_path / "model")
    assert isinstance(saved.random_state, int)
    np.testing.assert_array_equal(saved.predict(eights[0][:20]), classifier.predict(eights[0][:20]))


def test_labels_as_text_are_scored_on_mnists_test_digits(mnist: Path, digits: DigitTable) -> None:
    classifier = MNISTClassifier(epochs=2, data=mnist).fit(digits.pixels, digits.known_labels.astype(str))
    assert classifier.evaluate() > 50
    words = MNISTClassifier(epochs=1, data=mnist).fit(digits.pixels, np.array(["a", "b"])[digits.known_labels % 2])
    with pytest.raises(UserError, match="the label 'a' is none of MNIST's digits: give test images as X and y"):
        words.evaluate()
    tens = MNISTClassifier(epochs=1, data=mnist).fit(digits.pixels, digits.known_labels + 10)
    with pytest.raises(UserError, match="the label 10 is none of MNIST's digits"):
        tens.evaluate()


@pytest.mark.usefixtures("no_mirrors")
def test_mnists_test_digits_are_refused_after_training_on_another_size_before_they_are_downloaded(
    tmp_path: Path, eights: tuple[np.ndarray, np.ndarray]
) -> None:
    classifier = MNISTClassifier(epochs=1, data=tmp_path).fit(*eights)
    with pytest.raises(UserError, match="was trained on 64 values per image, and MNIST's have 784: give test images"):
        classifier.evaluate()
