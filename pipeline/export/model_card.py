"""What the README.md of an exported run says: where it comes from, what it reaches, how to use it."""

from pipeline.config.fine_tuning import FineTuning
from pipeline.metrics.interval import accuracy_in_words
from pipeline.run import Run

CODE = """
The folder holds the code of the network, which Transformers does not have: `modeling_digits.py` and the file that it
imports. `trust_remote_code=True` lets Transformers run them, with all that your process may do: read them first, as you
would any program of others.
"""
MNIST_TEST_ROWS = 10_000


def model_card(run: Run, *, code: bool) -> str:
    """Return the model card of a run as the Hugging Face hub reads it: YAML between two lines, then Markdown.

    Args:
        code: whether the folder comes with code of its own.
    """
    recipe, card = run.recipe, run.card
    says = "whether it is odd or even" if isinstance(recipe, FineTuning) else "which it is"
    trust = ", trust_remote_code=True" if code else ""
    return f"""---
library_name: transformers
pipeline_tag: image-classification
tags: [mnist, handwritten-digits]
---

# {run.folder.name}

It looks at one handwritten digit and says {says}. What it is: {recipe.summary}.

```python
from PIL import Image
from transformers import pipeline

classifier = pipeline("image-classification", model="FOLDER"{trust})
classifier(Image.open("digit.png"))  # one digit as in MNIST: 28x28, white ink on black
```

A picture is to look as MNIST's do: grey, 28x28, light ink on dark, the digit within 20x20 and its centre of mass in the
middle. Others are scaled, and no more.
{CODE if code else ""}
Trained by the recipe {card.recipe}, seed {card.seed}, on {card.train_rows:,} rows ({card.source}).

{_accuracies(run)}
"""


def _accuracies(run: Run) -> str:
    """Return what is known of a run's accuracy, a line of Markdown for each set of digits."""
    card = run.card
    lines = [f"- Validation accuracy: {card.validation_in_words}"]
    for key, words in (("mnist_accuracy", "digits"), ("mnist_parity_accuracy", "odd or even")):
        if key in card.scores:
            told = accuracy_in_words(round(card.scores[key] * MNIST_TEST_ROWS), MNIST_TEST_ROWS)
            lines.append(f"- MNIST's test digits, {words}: {told}")
    return "\n".join(lines)
