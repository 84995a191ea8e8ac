"""FineTuning: settings for fine-tuning a Transformers model on parity, odd or even, with Transformers' Trainer."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.config.settings import Settings

Strategy = Literal["steps", "epoch"]
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Name of a folder inside the run's folder."""
RESERVED_FOLDERS = {"figures", "tensorboard"}
"""Folders of a run that hold other files."""


class FineTuning(Settings):
    """A recipe that fine-tunes the weights of a Transformers image classifier on the parity of digits."""

    trainer: Literal["transformers"]
    """Selects Transformers' Trainer instead of this project's training loop; this key marks a fine-tuning recipe."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42

    # Data
    dataset: str = "mnist"
    """Data source, a value of `--source`; the option takes precedence."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Fraction of the rows that are validation rows, which select the best checkpoint."""
    labels: tuple[str, str] = ("even", "odd")
    """Names of the two classes, in the order of digit % 2."""

    # Network
    pretrained: str | None
    """Initial weights: the name of a model on the Hugging Face hub, or a folder with a model. With null, a network of
    ResNet-18's architecture is initialised randomly."""
    image_size: Annotated[int, Field(ge=16, le=1024)] = 224
    """Side of the network's input, in pixels."""
    freeze: tuple[str, ...] = ()
    """Layers whose parameters are not trained: names of modules of the model, each with all that is in it. For ResNet:
    resnet.embedder, resnet.encoder.stages.0 to .3, or resnet, which leaves only the classifier. One name, or a list."""

    # Schedule
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    evaluation_batch_size: Annotated[int, Field(ge=1)] = 100
    eval_strategy: Strategy = "steps"
    """When the model is evaluated on the validation rows: every `eval_steps` updates and at the end, or each epoch."""
    eval_steps: Annotated[int, Field(ge=1)] = 500
    save_strategy: Strategy = "steps"
    """When a checkpoint is saved, as for `eval_strategy`. The best evaluated checkpoint becomes the model."""
    save_steps: Annotated[int, Field(ge=1)] = 500
    """Number of updates between two checkpoints, equal to `eval_steps`."""
    save_total_limit: Annotated[int, Field(ge=2)] = 2
    """Number of checkpoints to keep: the best one and the last ones."""

    # Optimisation: AdamW, with a learning rate that decreases linearly to 0
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast in training if the device has instructions for it, float16 on CUDA GPUs that have only
    that, else float32."""

    # Output folders, inside the run's folder
    output_dir: Folder = "checkpoints"
    """Checkpoints, from which `--resume` continues."""
    save_dir: Folder = "transformers"
    """The best model, for `AutoModelForImageClassification.from_pretrained`."""

    @field_validator("freeze", mode="before")
    @classmethod
    def check_freeze(cls, names: Any) -> Any:
        """Take one name as a list of one."""
        return [names] if isinstance(names, str) else names

    @field_validator("labels")
    @classmethod
    def check_labels(cls, labels: tuple[str, str]) -> tuple[str, str]:
        """Reject equal names."""
        if labels[0] == labels[1]:
            raise ValueError("the two names must differ; give the name of even digits first")
        return labels

    @field_validator("save_strategy")
    @classmethod
    def check_save_strategy(cls, strategy: str, known: ValidationInfo) -> str:
        """Reject checkpoints that are saved without an evaluation."""
        if strategy != known.data.get("eval_strategy", strategy):
            raise ValueError("only an evaluated checkpoint can be the best; set it to the value of eval_strategy")
        return strategy

    @field_validator("save_steps")
    @classmethod
    def check_save_steps(cls, steps: int, known: ValidationInfo) -> int:
        """Reject checkpoints that are not evaluated, and evaluations whose checkpoint is not saved."""
        if known.data.get("save_strategy") == "steps" and steps != known.data.get("eval_steps", steps):
            raise ValueError("every evaluation needs its checkpoint, because it may be the best; set it to eval_steps")
        return steps

    @field_validator("output_dir", "save_dir")
    @classmethod
    def check_folder(cls, folder: str, known: ValidationInfo) -> str:
        """Reject a folder that the run uses for other files."""
        if folder in RESERVED_FOLDERS or folder == known.data.get("output_dir"):
            raise ValueError("the run uses that folder for other files; choose another name")
        return folder
