"""Export to safetensors: one file of weights with metadata."""

import json
from pathlib import Path

import safetensors.torch

from pipeline.config.fine_tuning import FineTuning
from pipeline.digits import CLASSES
from pipeline.export.network import CLASS_NAMES
from pipeline.inference.predictor import load_network
from pipeline.models.parity import ParityNetwork
from pipeline.run import Run
from pipeline.utils.files import write_atomic
from pipeline.utils.tensors import contiguous


def write_safetensors(run: Run, out: Path) -> None:
    """Write one file of weights, with the recipe, the temperature and the class names as metadata.

    The weights are those of the recipe's network: with outliers, their last class, `ood_class`, is that of non-digits.
    """
    recipe, card = run.recipe, run.card
    if isinstance(recipe, FineTuning):
        classes = list(recipe.labels)
        weights = ParityNetwork.load(run.folder / recipe.save_dir).model.state_dict()
    else:
        classes = CLASS_NAMES
        weights = load_network(run, recipe).state_dict()
    metadata = {
        "format": "pt",
        "recipe": recipe.model_dump_json(),
        "temperature": str(card.temperature),
        "classes": json.dumps(classes),
    }
    if not isinstance(recipe, FineTuning) and recipe.outliers:
        metadata |= {"ood_class": str(CLASSES), "ood_threshold": str(1 - card.digit_threshold)}
    write_atomic(out, safetensors.torch.save(contiguous(weights), metadata))
