"""ParityNetwork: a Transformers image classifier, with its image processor, for odd and even digits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from pipeline.config.fine_tuning import FineTuning
from pipeline.digits import PARITIES, Pixels
from pipeline.errors import UserError, did_you_mean

HUB_TIMEOUT_SECONDS = 5.0
"""Time after which the Hugging Face hub counts as unreachable."""
HUB_FILE_PATTERNS = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]
"""Files that are downloaded from the hub. None of them is code or a pickle."""
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LOAD_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)
"""Exceptions that Transformers raises for a folder that it cannot load."""


class ParityNetwork:
    """A network with two classes, `digit % 2`, and the image processor that makes its input.

    Args:
        model: a Transformers image classifier, such as ResNetForImageClassification.
        processor: its image processor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model.eval()
        self.processor = processor

    @classmethod
    def from_recipe(cls, recipe: FineTuning) -> Self:
        """Return the initial network of a fine-tuning run.

        The classification head of a pretrained model is replaced by one with two classes. Weights that are not
        pretrained are drawn from torch's generator.

        Raises:
            UserError: the weights are missing, incomplete or do not match their config.json, or the hub is unreachable.
        """
        from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification

        from pipeline.models.huggingface_resnet import SHAPES

        names = dict(enumerate(recipe.labels))
        if recipe.pretrained is None:
            config = ResNetConfig(**SHAPES["resnet18"], id2label=names, label2id=_inverse(names))
            # The settings of microsoft/resnet-18.
            processor = ConvNextImageProcessor(
                crop_pct=0.875, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD, size={"shortest_edge": 224}
            )
            network = cls(ResNetForImageClassification(config), processor)
        else:
            local = Path(recipe.pretrained)
            folder = local if local.exists() or _is_path(recipe.pretrained) else fetch_from_hub(recipe.pretrained)
            network = cls.from_folder(folder, names)
        square = "shortest_edge" not in network.processor.size
        size = {"height": recipe.image_size, "width": recipe.image_size}
        network.processor.size = size if square else {"shortest_edge": recipe.image_size}
        network.processor.do_convert_rgb = True
        return network

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the network that `save` wrote into a run.

        Raises:
            UserError: the folder is missing or damaged, or its model has another number of classes.
        """
        return cls.from_folder(folder, None)

    @classmethod
    def from_folder(cls, folder: Path, names: dict[int, str] | None) -> Self:
        """Return the classifier in a folder. If `names` is given, replace the head by one for these classes."""
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; give one that contains config.json and model.safetensors")
        classes = {"id2label": names, "label2id": _inverse(names)} if names else {}
        try:
            with quiet_transformers():
                config = AutoConfig.from_pretrained(folder)
                model, loading = AutoModelForImageClassification.from_pretrained(
                    folder,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                    dtype=torch.float32,
                    **classes,
                )
                processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
        except LOAD_ERRORS as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{folder}: Transformers cannot load the model ({reason}); copy or download it again"
            ) from None
        if not names and config.num_labels != len(PARITIES):
            raise UserError(
                f"{folder}: the model has {config.num_labels} classes, expected {len(PARITIES)}; copy the run again"
            )
        backbone = f"{model.base_model_prefix}."
        wrong = {key[0] if isinstance(key, tuple) else key for key in loading["mismatched_keys"]}
        wrong |= set(loading["missing_keys"])
        wrong = {name for name in wrong if names is None or name.startswith(backbone)}
        if wrong:
            raise UserError(
                f"{folder}: the weights do not match config.json: {min(wrong)} is missing or has another shape; "
                "copy or download the model again"
            )
        return cls(model, processor)

    def save(self, folder: Path) -> None:
        """Write the model and its image processor in the format of `from_pretrained`."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def freeze(self, names: Sequence[str]) -> None:
        """Exclude the parameters of layers from training. Batch norms in them still adapt their running statistics.

        Args:
            names: names of modules of the model, such as "resnet.embedder" or "resnet.encoder.stages.0".

        Raises:
            UserError: the model has no such module, or nothing is left to train.
        """
        layers = dict(self.model.named_modules())
        for name in names:
            if not name or name not in layers:
                raise UserError(
                    f'freeze: the model has no layer "{name}"{did_you_mean(name, layers)}; give names such as '
                    f"{', '.join(child for child, _ in self.model.named_children())}"
                )
            layers[name].requires_grad_(False)
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise UserError(f"freeze: {', '.join(names)} leaves nothing to train; freeze fewer layers")

    def to(self, device: torch.device) -> Self:
        """Move the model to a device and return the network."""
        self.model.to(device)
        return self

    def pixel_values(self, pixels: Pixels) -> Tensor:
        """Return the model input, float32 (B, 3, S, S), for images, uint8 (B, 28, 28), 0 = paper, 255 = ink."""
        colours = torch.from_numpy(np.array(pixels)).unsqueeze(1).expand(-1, 3, -1, -1)
        values: Tensor = self.processor(
            images=colours, input_data_format="channels_first", return_tensors="pt", device=self.model.device
        )["pixel_values"]
        return values

    @torch.inference_mode()
    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return logits, float32 (B, 2), for images, uint8 (B, 28, 28)."""
        logits: NDArray[np.float32] = self.model(pixel_values=self.pixel_values(pixels)).logits.float().cpu().numpy()
        return logits


def _inverse(names: dict[int, str]) -> dict[str, int]:
    """Return a mapping from class name to class index."""
    return {name: number for number, name in names.items()}


def _is_path(name: str) -> bool:
    """Return whether a name that does not exist in the file system can only be a path."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def fetch_from_hub(name: str) -> Path:
    """Return the folder of a Hugging Face hub model in the hub's cache, downloading it if it is not cached.

    Raises:
        UserError: there is no such model, or the hub is unreachable. This takes seconds. The message gives three
            remedies.
    """
    from huggingface_hub import constants, snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=HUB_FILE_PATTERNS, local_files_only=True))
        if (folder / "config.json").exists() and list(folder.glob("*.safetensors")):
            return folder
    except (OSError, ValueError):
        pass  # not cached, or incomplete
    try:
        if constants.is_offline_mode():
            raise OSError("HF_HUB_OFFLINE is set")
        _require_response(f"{constants.ENDPOINT}/{name}/resolve/main/config.json")
        return Path(snapshot_download(name, allow_patterns=HUB_FILE_PATTERNS, etag_timeout=HUB_TIMEOUT_SECONDS))
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name}: no such folder, and the download from the Hugging Face hub failed ({reason}); check your network "
            f"connection and try again, download the model elsewhere with `hf download {name} --local-dir FOLDER` and "
            "use --set pretrained=FOLDER, or start from random weights with --set pretrained=null"
        ) from None


def _require_response(address: str) -> None:
    """Raise an OSError if a server does not respond. The hub's client would retry for half a minute."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=HUB_TIMEOUT_SECONDS):
            pass
    except HTTPError:
        pass  # the server responds; the hub's client handles the status


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence Transformers' log and progress bars on stderr. The run logs its own."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    progress_bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if progress_bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
