"""A run in the formats of others: a folder that Transformers loads, one ONNX file, or one safetensors file."""

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.digits import CLASSES, SIDE
from pipeline.errors import UserError, did_you_mean
from pipeline.export.model_card import model_card
from pipeline.inference.predictor import trained
from pipeline.models import architecture
from pipeline.models.ensemble import Ensemble
from pipeline.models.parity import ParityNetwork, quieter
from pipeline.run import Run
from pipeline.utils.files import folder_atomic, open_atomic, require_writable, write_atomic
from pipeline.utils.tensors import contiguous

MARK = "digit_recognizer"
"""The key of config.json by which an export is known, and may be replaced."""


def class_names(recipe: Recipe) -> list[str]:
    """Return what the classes are called: the digits, and "not a digit" where a recipe learns that."""
    return [*map(str, range(CLASSES)), "not a digit"][: recipe.classes]


def export(run: Run, kind: str, out: Path) -> None:
    """Write a run for other programs. Logits are calibrated: their plain softmax is what Predictor answers.

    Args:
        kind: "transformers", a folder for `from_pretrained`; "onnx", a file that maps "pixels", uint8 (N, 28, 28), to
            "logits", float32 (N, classes); "safetensors", the weights as they were trained, with the recipe, the
            temperature that divides their logits and the names of the classes as metadata.
        out: the folder or the file. A folder that holds something else than an export is not replaced.

    Raises:
        UserError: the run is damaged or cannot be expressed so, or `out` cannot be written.
    """
    writers = {"transformers": to_transformers, "onnx": to_onnx, "safetensors": to_safetensors}
    if kind not in writers:
        raise UserError(f"--to {kind}: no such format{did_you_mean(kind, writers)} (known: {', '.join(writers)})")
    if kind == "transformers":
        require_replaceable(out)
    else:
        require_writable(out)
    writers[kind](run, out)


def require_replaceable(folder: Path) -> None:
    """Raise a UserError where a path holds what no export has written."""
    if folder.is_file():
        raise UserError(f"{folder}: is a file where a folder is to be written; choose another --out")
    require_writable(folder / "config.json" if folder.exists() else folder)
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        known = MARK in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = False
    if not known:
        raise UserError(f"{folder}: holds something else than an export; choose another --out, or empty it")


def to_transformers(run: Run, out: Path) -> None:
    """Write a folder of config.json, weights, an image processor's settings, a model card and, if need be, code."""
    recipe = run.recipe
    mark = {MARK: {"run": run.folder.name, "recipe": recipe.name}}
    with folder_atomic(out) as folder, quieter():
        if isinstance(recipe, FineTuning):
            network = ParityNetwork.load(run.folder / recipe.save_dir)
            network.model.config.update(mark)
            network.save(folder)
            code = False
        else:
            code = write_digits(recipe, calibrated(run, recipe), folder, mark)
        (folder / "README.md").write_text(model_card(run, code=code), encoding="utf-8")


def write_digits(recipe: Recipe, model: nn.Module, folder: Path, mark: dict[str, Any]) -> bool:
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
        write_resnet(recipe, model, folder, mark)
        return False
    write_custom(recipe, model, folder, mark)
    return True


def write_resnet(recipe: Recipe, model: nn.Module, folder: Path, mark: dict[str, Any]) -> None:
    """Write a ResNet as Transformers' own, of three channels that share the weights of one, for pictures are RGB."""
    from transformers import ResNetConfig, ResNetForImageClassification

    from pipeline.models.huggingface_resnet import SHAPES, renamed

    exported = ResNetForImageClassification(ResNetConfig(**SHAPES[recipe.model], **labels(recipe), **mark))
    weights = renamed(model.state_dict())
    first = "resnet.embedder.embedder.convolution.weight"
    weights[first] = weights[first].expand(-1, 3, -1, -1) / 3
    exported.load_state_dict(weights)
    exported.save_pretrained(folder)


def write_custom(recipe: Recipe, model: nn.Module, folder: Path, mark: dict[str, Any]) -> None:
    """Write a network with the code that makes it, which needs torch and transformers alone."""
    from pipeline.models import huggingface_resnet, modeling_digits

    make, arguments = architecture(recipe)
    weights = model.state_dict()
    if recipe.model in huggingface_resnet.SHAPES:
        make, arguments = huggingface_resnet.ResNet, {"name": recipe.model}
        weights = {name: tensor for part in parts(recipe) for name, tensor in as_resnet(weights, part).items()}
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
        **labels(recipe),
        **mark,
    )
    config.save_pretrained(folder)
    named = {f"network.{name}": tensor for name, tensor in contiguous(weights).items()}
    (folder / "model.safetensors").write_bytes(safetensors.torch.save(named, metadata={"format": "pt"}))


def parts(recipe: Recipe) -> list[str]:
    """Return how the names of each member's weights begin."""
    return [""] if recipe.members == 1 else [f"members.{index}." for index in range(recipe.members)]


def as_resnet(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the weights of one of torchvision's ResNets, those that begin with `part`, as our code names them."""
    from pipeline.models.huggingface_resnet import renamed

    own = {name.removeprefix(part): tensor for name, tensor in weights.items() if name.startswith(part)}
    return {f"{part}classifier.{name}": tensor for name, tensor in renamed(own).items()}


def labels(recipe: Recipe) -> dict[str, Any]:
    """Return what Transformers' configurations call the classes."""
    names = class_names(recipe)
    return {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}


def to_onnx(run: Run, out: Path) -> None:
    """Write one ONNX file, with everything between the pixels and the logits inside, for any number of images."""
    recipe = run.recipe
    if isinstance(recipe, FineTuning):
        raise UserError(f"{run}: its image processor cannot be told in ONNX; export it --to transformers")
    model = FromPixels(calibrated(run, recipe), recipe).eval()
    pixels = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    program = torch.onnx.export(
        model,
        (pixels,),
        dynamo=True,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("images")}},
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(
        recipe=recipe.model_dump_json(),
        classes=json.dumps(class_names(recipe)),
        pixels="uint8 (images, 28, 28), 0 = paper, 255 = ink",
        logits=f"float32 (images, {recipe.classes}); calibrated: their softmax is how probable each class is",
    )
    with open_atomic(out) as temporary:
        program.save(temporary, external_data=False)


class FromPixels(nn.Module):
    """A network behind all that makes its input of pixels."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std = recipe.mean, recipe.std
        # Scaling is linear in each direction: a product with what it makes of the unit matrix.
        unit = torch.eye(SIDE).view(1, 1, SIDE, SIDE)
        scaled = interpolate(unit, [recipe.image_size, SIDE], mode="bilinear", antialias=True)[0, 0]
        self.scaling = scaled if recipe.image_size != SIDE else None

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits, float32 (N, classes), of uint8 (N, 28, 28)."""
        images = pixels.unsqueeze(1).float() / 255
        if self.scaling is not None:
            images = self.scaling @ images @ self.scaling.T
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


def to_safetensors(run: Run, out: Path) -> None:
    """Write one file of weights, and of all that is needed to use them."""
    recipe, card = run.recipe, run.card
    if isinstance(recipe, FineTuning):
        classes = list(recipe.labels)
        weights = ParityNetwork.load(run.folder / recipe.save_dir).model.state_dict()
    else:
        classes = class_names(recipe)
        weights = trained(run, recipe).state_dict()
    metadata = {
        "format": "pt",
        "recipe": recipe.model_dump_json(),
        "temperature": str(card.temperature),
        "classes": json.dumps(classes),
    }
    write_atomic(out, safetensors.torch.save(contiguous(weights), metadata))


def calibrated(run: Run, recipe: Recipe) -> nn.Module:
    """Return a run's network, its last layer divided by the run's temperature, as its logits are to be."""
    model = trained(run, recipe).eval()
    for network in model.members if isinstance(model, Ensemble) else [model]:
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.div_(run.card.temperature)
    return model
