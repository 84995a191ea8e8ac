"""Export to safetensors: one file of weights with metadata."""

import json
from pathlib import Path

import safetensors.torch

from pipeline.config.fine_tuning import FineTuning
from pipeline.export.network import class_names
from pipeline.inference.predictor import load_network
from pipeline.models.parity import ParityNetwork
from pipeline.run import Run
from pipeline.utils.files import write_atomic
from pipeline.utils.tensors import contiguous


def write_safetensors(run: Run, out: Path) -> None:
    """Write one file of weights, with the recipe, the temperature and the class names as metadata."""
    recipe, card = run.recipe, run.card
    if isinstance(recipe, FineTuning):
        classes = list(recipe.labels)
        weights = ParityNetwork.load(run.folder / recipe.save_dir).model.state_dict()
    else:
        classes = class_names(recipe)
        weights = load_network(run, recipe).state_dict()
    metadata = {
        "format": "pt",
        "recipe": recipe.model_dump_json(),
        "temperature": str(card.temperature),
        "classes": json.dumps(classes),
    }
    write_atomic(out, safetensors.torch.save(contiguous(weights), metadata))
