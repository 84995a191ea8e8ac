"""Architectures, optimizers and schedulers that a recipe can choose, with the settings specific to each.

To add an architecture, add a row here and a file in `models/`. To add a scheduler that is stepped once per epoch, add
a row here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import did_you_mean


@dataclass(frozen=True)
class Architecture:
    """A network architecture.

    Attributes:
        module: module in `models/`.
        function: function or class in that module that builds the network from the number of classes and `arguments`.
        sizes: accepted image sizes; the largest is limited by time and memory, except for `fast`.
        arguments: recipe settings that are passed to `function`.
        pretrained: whether torchvision has weights for it.
        torch_init: whether it keeps torch's default weight initialisation.
    """

    module: str
    function: str
    sizes: range
    arguments: tuple[str, ...] = ()
    pretrained: bool = False
    torch_init: bool = False

    @property
    def settings(self) -> set[str]:
        """Settings that only some architectures use."""
        return set(self.arguments) - {"image_size"}


@dataclass(frozen=True)
class Optimizer:
    """An optimizer, with the settings that only some optimizers use."""

    settings: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scheduler:
    """A learning-rate scheduler.

    Attributes:
        torch_name: class in `torch.optim.lr_scheduler`.
        arguments: required settings, each mapped to the name of the class's argument.
        per_update: whether it is stepped after each update; otherwise it is stepped after each epoch.
        optional: settings that only some schedulers use and that have a default.
    """

    torch_name: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    per_update: bool = False
    optional: frozenset[str] = frozenset()

    @property
    def settings(self) -> set[str]:
        """Settings that only some schedulers use."""
        return set(self.arguments) | self.optional


ARCHITECTURES = {
    "linear": Architecture("linear", "linear", range(1, 513), ("image_size",)),
    "fast": Architecture("fast", "fast", range(27, 39), ("width", "stem_stride", "batch_norm")),
    "resnet18": Architecture("resnet", "resnet18", range(1, 513), pretrained=True),
    "resnet50": Architecture("resnet", "resnet50", range(1, 513), pretrained=True),
    "vgg16": Architecture("vgg16", "vgg16", range(32, 513), ("image_size", "dropout"), pretrained=True),
    "branch-cnn": Architecture(
        "branch_cnn", "BranchCNN", range(4, 513), ("image_size", "dropout"), torch_init=True
    ),
    "light-cnn": Architecture(
        "light_cnn", "light_cnn", range(6, 513), ("image_size", "hidden_size", "feature_dropout", "dropout"),
        torch_init=True,
    ),
}  # fmt: skip
OPTIMIZERS = {
    "sgd": Optimizer(frozenset({"momentum"})),
    "adam": Optimizer(),
    "adamw": Optimizer(),
    "rmsprop": Optimizer(frozenset({"momentum"})),
    "muon": Optimizer(frozenset({"momentum", "other_learning_rate"})),
}
SCHEDULERS = {
    "none": Scheduler("ConstantLR"),
    "step": Scheduler("StepLR", {"step_size": "step_size", "gamma": "gamma"}),
    "exponential": Scheduler("ExponentialLR", {"gamma": "gamma"}),
    "plateau": Scheduler(
        "ReduceLROnPlateau",
        {"gamma": "factor", "scheduler_patience": "patience"},
        optional=frozenset({"scheduler_threshold"}),
    ),
    "cosine": Scheduler("CosineAnnealingLR", per_update=True),
    "one-cycle": Scheduler("OneCycleLR", per_update=True, optional=frozenset({"warmup"})),
}
CHOICES: dict[str, Mapping[str, Architecture | Optimizer | Scheduler]] = {
    "model": ARCHITECTURES,
    "optimizer": OPTIMIZERS,
    "scheduler": SCHEDULERS,
}
"""Settings that select a component, each with the components it can select."""


def require_known(setting: str, name: str) -> str:
    """Return the name, or raise a ValueError if it is not a choice of the setting."""
    known = CHOICES[setting]
    if name not in known:
        raise ValueError(f"unknown {setting}{did_you_mean(name, known)} (known: {', '.join(known)})")
    return name


def chooser_of(key: str) -> str | None:
    """Return the setting whose value decides whether `key` has an effect; None if `key` always has one."""
    return next(
        (chooser for chooser, rows in CHOICES.items() if any(key in row.settings for row in rows.values())), None
    )


def unused_because(key: str, chosen: Mapping[str, Any]) -> str | None:
    """Return the reason why a setting has no effect with these choices; None if it has an effect."""
    chooser = chooser_of(key)
    if chooser is None or chosen.get(chooser) not in CHOICES[chooser]:
        return None
    if key in CHOICES[chooser][chosen[chooser]].settings:
        return None
    owners = ", ".join(name for name, row in CHOICES[chooser].items() if key in row.settings)
    return f"{key} has no effect with {chooser}={chosen[chooser]}, only with {owners}"
