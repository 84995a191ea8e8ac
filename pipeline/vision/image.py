"""Pictures as people have them, checked at the door: any raster file, PIL image or array, as one channel of grey."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps, ImageStat

from pipeline.errors import UserError

FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]
"""What Pillow reads by itself; for some others it would start programs."""
MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
WORKING_SIDE = 1500
"""Pixels along the longer side of the copy that is worked on; a digit on a page has enough of them."""

ORIENTATION = 0x0112
"""EXIF's tag; above 4, width and height change places."""

Picture = Image.Image | str | Path | NDArray[Any]
"""A PIL image, the path of a file, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or floats in 0..1."""
Grey = NDArray[np.float32]


def opened(picture: Picture) -> Image.Image:
    """Return a picture as a PIL image of at most 50 megapixels; of a file only the header has been decoded.

    Raises:
        UserError: there is no such file, it is no picture, over 20 MB or over the limit of pixels; an array has another
            shape, dtype or range.
    """
    if isinstance(picture, str | Path):
        image = _opened_file(Path(picture))
    else:
        image = picture if isinstance(picture, Image.Image) else _from_array(picture)
    if image.width * image.height > MAX_PIXELS:
        raise UserError(
            f"{_name_of(picture)}: {image.width:,} x {image.height:,} pixels are over the limit of {MAX_PIXELS:,}; "
            "make it smaller"
        )
    return image


def _opened_file(path: Path) -> Image.Image:
    """Return the picture in a file, its header decoded."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a picture in it")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; check its name")
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path} is empty; save or copy it again")
    if size > MAX_BYTES:
        raise UserError(f"{path}: {size / 1e6:,.1f} MB are over the limit of {MAX_BYTES / 1e6:.0f} MB; save it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit of pixels is lower
            return Image.open(BytesIO(path.read_bytes()), formats=FORMATS)  # no file stays open, whatever it holds
    except Image.DecompressionBombError:
        raise UserError(f"{path}: over the limit of {MAX_PIXELS:,} pixels; make it smaller") from None
    except PermissionError:
        raise UserError(f"{path} may not be read; change its permissions") from None
    except Exception:  # decoders raise nearly anything on a malformed header
        raise UserError(
            f"{path} is not a picture of a known kind ({', '.join(FORMATS)}); export it as PNG or JPEG"
        ) from None


def _from_array(values: NDArray[Any]) -> Image.Image:
    """Return an array as an image of mode L, RGB or RGBA."""
    shape = getattr(values, "shape", None)
    if not isinstance(values, np.ndarray) or not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in {3, 4})):
        raise UserError(
            f"a picture must be a PIL image, a path, or an array (H, W), (H, W, 3) or (H, W, 4), not "
            f"{type(values).__name__}{'' if shape is None else f' {tuple(shape)}'}: reshape it"
        )
    if values.size == 0:
        raise UserError(f"a picture of shape {values.shape} has no pixels; give one that has")
    return Image.fromarray(_bytes_of(values))


def _bytes_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers of a picture as uint8."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating) and values.min() >= 0 and values.max() <= 1:  # false of NaN
        return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    span = f" from {values.min()} to {values.max()}" if np.issubdtype(values.dtype, np.number) else ""
    raise UserError(f"a picture of {values.dtype}{span} cannot be read: give uint8, uint16, or floats from 0 to 1")


def grey_of(picture: Picture) -> tuple[Grey, tuple[float, float]]:
    """Return a working copy of a picture, and how many of the picture's pixels one of its pixels is, across and down.

    Upright, as its EXIF orientation says; of an animation the first frame; transparency is paper. Colours become the
    one channel that varies most, for yellow on white differs in blue alone.

    Returns:
        grey: float32 (h, w) in 0..1, h and w at most 1,500.
        scale: (across, down), each at least 1 or nearly so.

    Raises:
        UserError: as `opened` says, or the file is damaged.
    """
    image = opened(picture)
    width, height = image.size
    try:
        if image is not picture:
            image.draft(None, (WORKING_SIDE, WORKING_SIDE))  # a JPEG is decoded at a half, a quarter or an eighth
        if image.getexif().get(ORIENTATION, 1) > 4:
            width, height = height, width
        image = eight_bit(ImageOps.exif_transpose(image))
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise UserError(f"{_name_of(picture)} is damaged ({error}); save or copy it again") from None
    if max(image.size) > WORKING_SIDE:
        shrink = WORKING_SIDE / max(image.size)
        smaller = [max(1, round(side * shrink)) for side in image.size]
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.BOX)
    grey = _one_channel(image).filter(ImageFilter.GaussianBlur(max(image.size) / WORKING_SIDE))  # less noise
    return np.asarray(grey, dtype=np.float32) / np.float32(255), (width / image.width, height / image.height)


def eight_bit(image: Image.Image) -> Image.Image:
    """Return an image of any mode, decoded, as L, RGB, or RGBA where there is transparency."""
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        whole = next((top for top in (1, 255, 65535) if values.max() <= top), values.max())
        return Image.fromarray(np.rint(values.clip(0, whole) * (255 / whole)).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")


def _one_channel(image: Image.Image) -> Image.Image:
    """Return an image of mode L, RGB or RGBA as L: of its colours the one that varies most."""
    if image.mode == "L":
        return image
    if image.mode == "RGBA":
        image = _on_paper(image)
    spread = ImageStat.Stat(image).stddev
    return image.getchannel(spread.index(max(spread)))


def _on_paper(image: Image.Image) -> Image.Image:
    """Return an image of mode RGBA as RGB, with paper where it is transparent.

    Where little is opaque that is ink, and the paper is white or black, whichever differs more; else the opaque part
    has paper of its own, and its median is what surrounds it.
    """
    opacity = image.getchannel("A")
    seen = ImageStat.Stat(image.convert("RGB"), mask=opacity.point(lambda value: 255 * (value > 127)))
    if seen.count[0] < image.width * image.height / 2:
        ink_is_light = seen.count[0] and sum(seen.mean) > 3 * 127.5
        paper = (0, 0, 0) if ink_is_light else (255, 255, 255)
    else:
        red, green, blue = seen.median
        paper = (red, green, blue)
    return Image.alpha_composite(Image.new("RGBA", image.size, paper), image).convert("RGB")


def _name_of(picture: Picture) -> str:
    """Return how an error calls a picture."""
    return str(picture) if isinstance(picture, str | Path) else "the picture"


def resized(values: Grey, shape: tuple[int, int] | list[int]) -> Grey:
    """Return values at another (height, width), antialiased."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
