"""ParityNetwork: an image classifier of Transformers, with its image processor, that tells odd digits from even."""

from collections.abc import Iterator
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
from pipeline.errors import UserError

PATIENCE = 5.0
"""Seconds that the Hugging Face hub may take to answer before it counts as out of reach."""
FILES = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]
"""Of a model on the hub; none of them is code or a pickle."""
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)
"""What Transformers raises of a folder that it cannot load."""


class ParityNetwork:
    """A network of two classes, `digit % 2`, and what makes its input of images.

    Args:
        model: an image classifier of Transformers, such as ResNetForImageClassification.
        processor: its image processor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model.eval()
        self.processor = processor

    @classmethod
    def begin(cls, recipe: FineTuning) -> Self:
        """Return the network that a fine-tuning begins with; what is not pretrained is drawn by torch's generator.

        The classifier of pretrained weights is replaced by one of two classes.

        Raises:
            UserError: the weights are not there, not whole or not those of their config.json; the hub is out of reach.
        """
        from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification

        from pipeline.models.huggingface_resnet import SHAPES

        names = dict(enumerate(recipe.labels))
        if recipe.pretrained is None:
            config = ResNetConfig(**SHAPES["resnet18"], id2label=names, label2id=_inverse(names))
            # What belongs to microsoft/resnet-18.
            processor = ConvNextImageProcessor(
                crop_pct=0.875, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD, size={"shortest_edge": 224}
            )
            network = cls(ResNetForImageClassification(config), processor)
        else:
            local = Path(recipe.pretrained)
            folder = local if local.exists() or _is_path(recipe.pretrained) else fetched(recipe.pretrained)
            network = cls.from_folder(folder, names)
        square = "shortest_edge" not in network.processor.size
        size = {"height": recipe.image_size, "width": recipe.image_size}
        network.processor.size = size if square else {"shortest_edge": recipe.image_size}
        network.processor.do_convert_rgb = True
        return network

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the network that `save` left in a run.

        Raises:
            UserError: it is missing or damaged, or knows another number of classes.
        """
        if not (folder / "config.json").exists():
            raise UserError(f"{folder}: there is no model; the run was stopped before its end: go on by --resume")
        return cls.from_folder(folder, None)

    @classmethod
    def from_folder(cls, folder: Path, names: dict[int, str] | None) -> Self:
        """Return the classifier in a folder; with `names` as one of these classes, whichever it has."""
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; give one with a config.json and a model.safetensors")
        classes = {"id2label": names, "label2id": _inverse(names)} if names else {}
        try:
            with quieter():
                known = AutoConfig.from_pretrained(folder)
                model, loading = AutoModelForImageClassification.from_pretrained(
                    folder,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                    dtype=torch.float32,
                    **classes,
                )
                processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
        except FAULTS as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{folder}: Transformers cannot load it ({reason}); copy or download it again") from None
        if not names and known.num_labels != len(PARITIES):
            raise UserError(
                f"{folder}: tells {known.num_labels} classes apart where {len(PARITIES)} are expected; "
                "copy the run again"
            )
        backbone = f"{model.base_model_prefix}."
        wrong = {key[0] if isinstance(key, tuple) else key for key in loading["mismatched_keys"]}
        wrong |= set(loading["missing_keys"])
        wrong = {name for name in wrong if names is None or name.startswith(backbone)}
        if wrong:
            raise UserError(
                f"{folder}: the weights are not those of its config.json: {min(wrong)} is missing or of another shape; "
                "copy or download it again"
            )
        return cls(model, processor)

    def save(self, folder: Path) -> None:
        """Write the model and its image processor, as `from_pretrained` loads them."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def to(self, device: torch.device) -> Self:
        """Move the model to a device, and return the network."""
        self.model.to(device)
        return self

    def pixel_values(self, pixels: Pixels) -> Tensor:
        """Return what the model sees, float32 (B, 3, S, S), of images, uint8 (B, 28, 28), 0 = paper, 255 = ink."""
        colours = torch.from_numpy(np.array(pixels)).unsqueeze(1).expand(-1, 3, -1, -1)
        values: Tensor = self.processor(
            images=colours, input_data_format="channels_first", return_tensors="pt", device=self.model.device
        )["pixel_values"]
        return values

    @torch.inference_mode()
    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return logits, float32 (B, 2), of images, uint8 (B, 28, 28)."""
        logits: NDArray[np.float32] = self.model(pixel_values=self.pixel_values(pixels)).logits.float().cpu().numpy()
        return logits


def _inverse(names: dict[int, str]) -> dict[str, int]:
    """Return the number of each name."""
    return {name: number for number, name in names.items()}


def _is_path(name: str) -> bool:
    """Tell whether a name that nothing has in the file system can only be meant as a path."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def fetched(name: str) -> Path:
    """Return the folder of a model on the Hugging Face hub: from the hub's own cache, or downloaded into it.

    Raises:
        UserError: there is no such model, or the hub is out of reach; within seconds, with the three ways on.
    """
    from huggingface_hub import constants, snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=True))
        if (folder / "config.json").exists() and list(folder.glob("*.safetensors")):
            return folder
    except (OSError, ValueError):
        pass  # it is not there, or not whole
    try:
        if constants.is_offline_mode():
            raise OSError("HF_HUB_OFFLINE is set")
        _require_answer(f"{constants.ENDPOINT}/{name}/resolve/main/config.json")
        return Path(snapshot_download(name, allow_patterns=FILES, etag_timeout=PATIENCE))
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name}: there is no such folder, and the Hugging Face hub does not give it ({reason}); try again with a "
            f"network; or give a folder, downloaded elsewhere by `hf download {name} --local-dir FOLDER`, by "
            "--set pretrained=FOLDER; or begin with random weights by --set pretrained=null"
        ) from None


def _require_answer(address: str) -> None:
    """Raise an OSError where a server gives no answer at all: the hub's client would try for half a minute."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=PATIENCE):
            pass
    except HTTPError:
        pass  # an answer; what it means is the client's to say


@contextmanager
def quieter() -> Iterator[None]:
    """Keep Transformers from saying on stderr what the run says in its own words."""
    from transformers.utils import logging as chatter

    before = chatter.get_verbosity()
    bars = chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()  # type: ignore[no-untyped-call]
    chatter.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        chatter.set_verbosity(before)
        if bars:
            chatter.enable_progress_bar()  # type: ignore[no-untyped-call]
