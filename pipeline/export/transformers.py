"""Export to Transformers: a folder for `from_pretrained`."""

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.digits import SIDE
from pipeline.errors import UserError
from pipeline.export.model_card import model_card
from pipeline.export.network import CLASS_NAMES, load_calibrated
from pipeline.models import architecture
from pipeline.models.ensemble import Ensemble
from pipeline.models.parity import ParityNetwork, quiet_transformers
from pipeline.run import Run
from pipeline.utils.files import folder_atomic, require_name, require_writable
from pipeline.utils.tensors import contiguous

EXPORT_KEY = "digit_recognizer"
"""The key of config.json that marks an export; a marked folder may be replaced."""
LABEL_MAPS: dict[str, Any] = {
    "id2label": dict(enumerate(CLASS_NAMES)),
    "label2id": {name: number for number, name in enumerate(CLASS_NAMES)},
}
"""The class names as Transformers' configurations store them."""


def require_replaceable(folder: Path) -> None:
    """Raise a UserError if a path is a file or a folder that is neither empty nor an export."""
    require_name(folder)
    if folder.is_file():
        raise UserError(f"{folder}: is a file, expected a folder; choose another --out")
    require_writable(folder / "config.json" if folder.exists() else folder)
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        is_export = isinstance(config, dict) and EXPORT_KEY in config
    except (OSError, ValueError):
        is_export = False
    if not is_export:
        raise UserError(f"{folder}: is neither empty nor an export; choose another --out, or empty the folder")


def write_transformers(run: Run, out: Path, address: str = "FOLDER") -> None:
    """Write a folder with config.json, weights, the image processor's settings, a model card and, if needed, code.

    Args:
        run: the run.
        out: the folder.
        address: from where the model card loads the model.
    """
    recipe = run.recipe
    marker = {EXPORT_KEY: {"run": run.folder.name, "recipe": recipe.name}}
    with folder_atomic(out) as folder, quiet_transformers():
        if isinstance(recipe, FineTuning):
            network = ParityNetwork.load(run.folder / recipe.save_dir)
            network.model.config.update(marker)
            network.save(folder)
            code = False
        else:
            code = _write_digits(run, recipe, folder, marker)
        (folder / "README.md").write_text(model_card(run, address, code=code), encoding="utf-8")


def _write_digits(run: Run, recipe: Recipe, folder: Path, marker: dict[str, Any]) -> bool:
    """Write a digit network and its image processor; return whether the folder contains custom code."""
    from transformers import ViTImageProcessor

    model = load_calibrated(run, recipe)
    one_network = recipe.members == 1 and not recipe.outliers
    built_in = recipe.model in ("resnet18", "resnet50") and recipe.image_size == SIDE and one_network
    if built_in:
        _write_resnet(recipe, model, folder, marker)
    else:
        if recipe.outliers:
            marker = marker | {"ood_threshold": 1 - run.card.digit_threshold}
        _write_custom(recipe, model, folder, marker)
    code: dict[str, Any] = {"auto_map": {"AutoImageProcessor": "modeling_digits.DigitImageProcessor"}}
    processor = ViTImageProcessor(
        size={"height": SIDE, "width": SIDE},
        image_mean=3 * [recipe.mean],
        image_std=3 * [recipe.std],
        do_convert_rgb=True,  # image-classification pipelines convert every image to RGB
        **({} if built_in else code),
    )
    processor.save_pretrained(folder)
    return not built_in


def _write_resnet(recipe: Recipe, model: nn.Module, folder: Path, marker: dict[str, Any]) -> None:
    """Write a ResNet as Transformers' own class.

    Pipelines give it RGB images: its three input channels each have a third of the weights of the grey channel.
    """
    from transformers import ResNetConfig, ResNetForImageClassification

    from pipeline.models.huggingface_resnet import SHAPES, rename_weights

    exported = ResNetForImageClassification(ResNetConfig(**SHAPES[recipe.model], **LABEL_MAPS, **marker))
    weights = rename_weights(model.state_dict())
    first = "resnet.embedder.embedder.convolution.weight"
    weights[first] = weights[first].expand(-1, 3, -1, -1) / 3
    exported.load_state_dict(weights)
    exported.save_pretrained(folder)


def _write_custom(recipe: Recipe, model: nn.Module, folder: Path, marker: dict[str, Any]) -> None:
    """Write a network with its code, which imports only torch and transformers."""
    from pipeline.models import huggingface_resnet, modeling_digits

    make, arguments = architecture(recipe)
    weights = model.state_dict()
    if recipe.model in huggingface_resnet.SHAPES:
        make, arguments = huggingface_resnet.ResNet, {"name": recipe.model}
        weights = {
            name: tensor
            for prefix in _member_prefixes(recipe)
            for name, tensor in _rename_resnet_weights(weights, prefix).items()
        }
    source = Path(inspect.getfile(make))
    code = Path(inspect.getfile(modeling_digits)).read_text(encoding="utf-8")
    code = code.replace("from .fast import fast as network", f"from .{source.stem} import {make.__name__} as network")
    (folder / "modeling_digits.py").write_text(code, encoding="utf-8")
    for file in {source, Path(inspect.getfile(Ensemble))}:
        shutil.copy(file, folder)
    config = modeling_digits.DigitConfig(
        image_size=recipe.image_size,
        arguments={"classes": recipe.classes, **arguments},
        members=recipe.members,
        architectures=["DigitClassifier"],
        auto_map={
            "AutoConfig": "modeling_digits.DigitConfig",
            "AutoModel": "modeling_digits.DigitClassifier",
            "AutoModelForImageClassification": "modeling_digits.DigitClassifier",
        },
        **LABEL_MAPS,
        **marker,
    )
    config.save_pretrained(folder)
    prefixed = {f"network.{name}": tensor for name, tensor in contiguous(weights).items()}
    (folder / "model.safetensors").write_bytes(safetensors.torch.save(prefixed, metadata={"format": "pt"}))


def _member_prefixes(recipe: Recipe) -> list[str]:
    """Return the prefix of the weight names of each member."""
    return [""] if recipe.members == 1 else [f"members.{index}." for index in range(recipe.members)]


def _rename_resnet_weights(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights of torchvision's ResNet under a prefix, with the names of our own ResNet."""
    from pipeline.models.huggingface_resnet import rename_weights

    own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    return {f"{prefix}classifier.{name}": tensor for name, tensor in rename_weights(own).items()}
