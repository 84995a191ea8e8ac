"""Transformers: a folder for `from_pretrained`."""

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
from pipeline.export.network import class_names, load_calibrated
from pipeline.models import architecture
from pipeline.models.ensemble import Ensemble
from pipeline.models.parity import ParityNetwork, quieter
from pipeline.run import Run
from pipeline.utils.files import folder_atomic, require_writable
from pipeline.utils.tensors import contiguous

EXPORT_KEY = "digit_recognizer"
"""The key of config.json by which an export is known, and may be replaced."""


def require_replaceable(folder: Path) -> None:
    """Raise a UserError where a path holds what no export has written."""
    if folder.is_file():
        raise UserError(f"{folder}: is a file where a folder is to be written; choose another --out")
    require_writable(folder / "config.json" if folder.exists() else folder)
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        known = EXPORT_KEY in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = False
    if not known:
        raise UserError(f"{folder}: holds something else than an export; choose another --out, or empty it")


def write_transformers(run: Run, out: Path) -> None:
    """Write a folder of config.json, weights, an image processor's settings, a model card and, if need be, code."""
    recipe = run.recipe
    mark = {EXPORT_KEY: {"run": run.folder.name, "recipe": recipe.name}}
    with folder_atomic(out) as folder, quieter():
        if isinstance(recipe, FineTuning):
            network = ParityNetwork.load(run.folder / recipe.save_dir)
            network.model.config.update(mark)
            network.save(folder)
            code = False
        else:
            code = _write_digits(recipe, load_calibrated(run, recipe), folder, mark)
        (folder / "README.md").write_text(model_card(run, code=code), encoding="utf-8")


def _write_digits(recipe: Recipe, model: nn.Module, folder: Path, mark: dict[str, Any]) -> bool:
    """Write a network that reads digits and its image processor; return whether code of its own comes with it."""
    from transformers import ViTImageProcessor

    processor = ViTImageProcessor(
        size={"height": SIDE, "width": SIDE},
        image_mean=3 * [recipe.mean],
        image_std=3 * [recipe.std],
        do_convert_rgb=True,  # image-classification pipelines make every picture so
    )
    processor.save_pretrained(folder)
    if recipe.model in ("resnet18", "resnet50") and recipe.image_size == SIDE and recipe.members == 1:
        _write_resnet(recipe, model, folder, mark)
        return False
    _write_custom(recipe, model, folder, mark)
    return True


def _write_resnet(recipe: Recipe, model: nn.Module, folder: Path, mark: dict[str, Any]) -> None:
    """Write a ResNet as Transformers' own, of three channels that share the weights of one, for pictures are RGB."""
    from transformers import ResNetConfig, ResNetForImageClassification

    from pipeline.models.huggingface_resnet import SHAPES, renamed

    exported = ResNetForImageClassification(ResNetConfig(**SHAPES[recipe.model], **_label_maps(recipe), **mark))
    weights = renamed(model.state_dict())
    first = "resnet.embedder.embedder.convolution.weight"
    weights[first] = weights[first].expand(-1, 3, -1, -1) / 3
    exported.load_state_dict(weights)
    exported.save_pretrained(folder)


def _write_custom(recipe: Recipe, model: nn.Module, folder: Path, mark: dict[str, Any]) -> None:
    """Write a network with the code that makes it, which needs torch and transformers alone."""
    from pipeline.models import huggingface_resnet, modeling_digits

    make, arguments = architecture(recipe)
    weights = model.state_dict()
    if recipe.model in huggingface_resnet.SHAPES:
        make, arguments = huggingface_resnet.ResNet, {"name": recipe.model}
        weights = {
            name: tensor
            for part in _member_prefixes(recipe)
            for name, tensor in _rename_resnet_weights(weights, part).items()
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
            "AutoModelForImageClassification": "modeling_digits.DigitClassifier",
        },
        **_label_maps(recipe),
        **mark,
    )
    config.save_pretrained(folder)
    named = {f"network.{name}": tensor for name, tensor in contiguous(weights).items()}
    (folder / "model.safetensors").write_bytes(safetensors.torch.save(named, metadata={"format": "pt"}))


def _member_prefixes(recipe: Recipe) -> list[str]:
    """Return how the names of each member's weights begin."""
    return [""] if recipe.members == 1 else [f"members.{index}." for index in range(recipe.members)]


def _rename_resnet_weights(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the weights of one of torchvision's ResNets, those that begin with `part`, as our code names them."""
    from pipeline.models.huggingface_resnet import renamed

    own = {name.removeprefix(part): tensor for name, tensor in weights.items() if name.startswith(part)}
    return {f"{part}classifier.{name}": tensor for name, tensor in renamed(own).items()}


def _label_maps(recipe: Recipe) -> dict[str, Any]:
    """Return what Transformers' configurations call the classes."""
    names = class_names(recipe)
    return {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
