"""FineTuning: the settings with which Transformers' Trainer teaches a network to tell odd digits from even."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.config.settings import Settings

Strategy = Literal["steps", "epoch"]
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""The name of a folder in the run's own."""
TAKEN = {"figures", "tensorboard"}
"""Folders of a run that hold other things."""


class FineTuning(Settings):
    """One way to fine-tune an image classifier of Transformers on the parity of digits, all its weights."""

    trainer: Literal["transformers"]
    """That it is Transformers' Trainer, and not our own loop; by this key such a recipe is known."""
    seed: Annotated[int, Field(ge=0)] = 42

    # Data
    dataset: str = "mnist"
    """Where the digits come from, as `--source` means it; what `--source` says goes before it."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of the rows, set aside to choose the best checkpoint on."""
    labels: tuple[str, str] = ("even", "odd")
    """What the two classes are called, in the order of digit % 2."""

    # Network
    pretrained: str | None
    """The weights to begin with: a model's name on the Hugging Face hub, or a folder that holds one; null begins with
    random weights, in a network of ResNet-18's shape."""
    image_size: Annotated[int, Field(ge=16, le=1024)] = 224
    """Pixels along one side of what the network sees."""

    # Schedule
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    evaluation_batch_size: Annotated[int, Field(ge=1)] = 100
    eval_strategy: Strategy = "steps"
    """When the validation rows are read: every `eval_steps` updates and at the end, or after each epoch."""
    eval_steps: Annotated[int, Field(ge=1)] = 500
    save_strategy: Strategy = "steps"
    """When a checkpoint is kept, as `eval_strategy`: of those that were evaluated the best is the one that is taken."""
    save_steps: Annotated[int, Field(ge=1)] = 500
    save_total_limit: Annotated[int, Field(ge=2)] = 2
    """Checkpoints that are kept: the best and the last ones."""

    # Optimisation, by AdamW; the learning rate falls in a straight line to 0
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast in training where the device has instructions for it, float32 elsewhere."""

    # Where it is kept, in the folder of the run
    output_dir: Folder = "checkpoints"
    """What `--resume` goes on from."""
    save_dir: Folder = "transformers"
    """The model that was best, as `AutoModelForImageClassification.from_pretrained` loads it."""

    @field_validator("labels")
    @classmethod
    def differ(cls, labels: tuple[str, str]) -> tuple[str, str]:
        """Refuse one name for both."""
        if labels[0] == labels[1]:
            raise ValueError("the two need names that differ, that of even digits first")
        return labels

    @field_validator("save_strategy")
    @classmethod
    def is_evaluated(cls, strategy: str, known: ValidationInfo) -> str:
        """Refuse checkpoints that are kept when nothing is known of them."""
        if strategy != known.data.get("eval_strategy", strategy):
            raise ValueError("only what was evaluated can be the best; set it as eval_strategy is")
        return strategy

    @field_validator("save_steps")
    @classmethod
    def is_evaluated_then(cls, steps: int, known: ValidationInfo) -> int:
        """Refuse checkpoints between two evaluations."""
        if known.data.get("save_strategy") == "steps" and steps % known.data.get("eval_steps", 1):
            raise ValueError(f"only what was evaluated can be the best; set a multiple of {known.data['eval_steps']}")
        return steps

    @field_validator("output_dir", "save_dir")
    @classmethod
    def is_free(cls, folder: str, known: ValidationInfo) -> str:
        """Refuse a folder that holds something else."""
        if folder in TAKEN or folder == known.data.get("output_dir"):
            raise ValueError("that folder of the run holds something else; choose another name")
        return folder
