"""Write the model card (README.md) of an exported run: provenance, accuracy and usage."""

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.metrics.interval import format_accuracy
from pipeline.run import Run

CODE_NOTICE = """
Transformers has no class for this network. The folder contains its code: `modeling_digits.py` and the file that it
imports. `trust_remote_code=True` lets Transformers run this code with all permissions of your process: review it first.
"""
OOD_NOTICE = """
The output `ood_score` is the probability that the image is not a digit. Reject images above `ood_threshold`, which is
in config.json.
"""
MNIST_TEST_ROWS = 10_000


def model_card(run: Run, address: str, *, code: bool) -> str:
    """Return the model card of a run in the format of the Hugging Face Hub: YAML front matter, then Markdown.

    Args:
        run: the run.
        address: the folder, or the repository on the Hub, that the model is loaded from.
        code: whether the folder contains custom code.
    """
    recipe, card = run.recipe, run.card
    classes = "odd or even" if isinstance(recipe, FineTuning) else "0 to 9"
    ood = OOD_NOTICE if isinstance(recipe, Recipe) and recipe.outliers else ""
    trust = ", trust_remote_code=True" if code else ""
    return f"""---
library_name: transformers
pipeline_tag: image-classification
tags: [mnist, handwritten-digits]
---

# {run.folder.name}

Classifies an image of one handwritten digit as {classes}. Recipe: {recipe.summary}.

```python
from PIL import Image
from transformers import pipeline

classifier = pipeline("image-classification", model="{address}"{trust})
classifier(Image.open("digit.png"))  # one digit in MNIST's format: 28x28, white ink on black
```

Images must have MNIST's format: greyscale, 28x28, light ink on a dark background, the digit scaled to 20x20 with its
centre of mass in the middle. Images of other sizes are resized, but not reframed.
{CODE_NOTICE if code else ""}{ood}
Trained with the recipe {card.recipe}, seed {card.seed}, on {card.train_rows:,} rows ({card.source}).

{_format_accuracies(run)}
"""


def _format_accuracies(run: Run) -> str:
    """Return the known accuracies of a run, one line of Markdown each."""
    card = run.card
    lines = [f"- Validation accuracy: {card.validation_in_words}"]
    for key, name in (("mnist_accuracy", "accuracy"), ("mnist_parity_accuracy", "parity accuracy")):
        if key in card.scores:
            accuracy = format_accuracy(round(card.scores[key] * MNIST_TEST_ROWS), MNIST_TEST_ROWS)
            lines.append(f"- MNIST test set, {name}: {accuracy}")
    return "\n".join(lines)
