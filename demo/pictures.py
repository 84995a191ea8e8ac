"""Pictures that the page shows, as data URLs."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FOR_COLOUR, AGAINST_COLOUR = (255, 122, 26), (56, 150, 255)
"""Saliency colours (RGB) of pixels that support the digit, and of pixels against it."""
MAX_SHOWN_SIDE_PX = 1200
"""Maximum longer side of a picture that is shown with bounding boxes, in pixels."""


def open_shown(path: Path) -> tuple[Image.Image, tuple[float, float]]:
    """Return an upright picture, at most `MAX_SHOWN_SIDE_PX` large and without transparency, and its full size."""
    file = Image.open(path)
    side = max(file.size)
    file.draft("RGB", (MAX_SHOWN_SIDE_PX, MAX_SHOWN_SIDE_PX))  # decodes a large JPEG at 1/2, 1/4 or 1/8 scale
    image: Image.Image = ImageOps.exif_transpose(file)
    width, height = (each * side / max(image.size) for each in image.size)
    image.thumbnail((MAX_SHOWN_SIDE_PX, MAX_SHOWN_SIDE_PX))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        shown = Image.new("RGB", image.size, "white")
        shown.paste(image, mask=image.getchannel("A"))
    else:
        shown = (_scale_levels(image) if image.mode.startswith(("I", "F")) else image).convert("RGB")
    return shown, (width, height)


def _scale_levels(image: Image.Image) -> Image.Image:
    """Return an image of more than 8 bits in mode L, with its largest value as white."""
    levels = np.nan_to_num(np.asarray(image, dtype=np.float32)).clip(0)
    return Image.fromarray((levels * (255 / max(255, float(levels.max())))).astype(np.uint8))


def heat(saliency: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a signed saliency map, float32 (28, 28), as RGBA, uint8 (28, 28, 4).

    The colour shows the sign and the opacity the strength.
    """
    strength = np.abs(saliency) / max(float(np.abs(saliency).max()), 1e-12)
    colour = np.where((saliency > 0)[..., None], FOR_COLOUR, AGAINST_COLOUR)
    return np.dstack([colour, np.sqrt(strength) * 255]).astype(np.uint8)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels as the content of a PNG."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def png_url(pixels: NDArray[np.uint8]) -> str:
    """Return pixels as the data URL of a PNG."""
    return data_url(encode_png(pixels), "png")


def jpeg_url(image: Image.Image) -> str:
    """Return an image as the data URL of a JPEG."""
    file = BytesIO()
    image.save(file, "jpeg")
    return data_url(file.getvalue(), "jpeg")


def data_url(file: bytes, kind: str) -> str:
    """Return the content of an image file as a data URL; `kind` is "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
