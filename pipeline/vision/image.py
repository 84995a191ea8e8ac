"""Pictures: validate any raster file, PIL image or array, and convert it to one grey channel."""

import re
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps, ImageStat

from pipeline.errors import UserError
from pipeline.utils.files import list_files, refuse_pipe, unreadable

FILE_FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM"]
"""Formats that Pillow decodes itself; for some others it starts external programs."""
SIGNATURES = re.compile(
    rb"\x89PNG|\xff\xd8\xff|GIF8|BM....\0\0\0\0|RIFF....WEBP|II\*\0|MM\0\*|....ftypavi[fs]|P[1-6][\s#]", re.DOTALL
)
"""First bytes of the files in FILE_FORMATS."""
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
"""Types that the header of a HEIC photo names. Phones save it, sometimes as .jpg, and Pillow does not decode it."""
MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
WORKING_SIDE = 1500
"""Longer side of the working copy in pixels; a digit on a page has enough of them."""
MIN_SIDE = 200
"""A smaller picture is enlarged, by at most MAX_ENLARGEMENT: its strokes are a pixel wide."""
MAX_ENLARGEMENT = 4

ORIENTATION_TAG = 0x0112
"""EXIF tag of the orientation; values above 4 swap width and height."""

Picture = Image.Image | str | Path | NDArray[Any]
"""A PIL image, the path of a file, or an array (H, W), (H, W, 1), (1, H, W), (H, W, 3) or (H, W, 4). Its values are
integers from 0 to 255, uint16 up to 65535, floats from 0 to 1, or booleans."""
Grey = NDArray[np.float32]


def open_picture(picture: Picture) -> Image.Image:
    """Return a picture as a PIL image of at most 50 megapixels; only the header of a file is decoded.

    Raises:
        UserError: the file is missing, is not a picture, or is over 20 MB or the pixel limit; an array has another
            shape, dtype or range.
    """
    if isinstance(picture, str | Path):
        image = _open_file(Path(picture))
    else:
        image = picture if isinstance(picture, Image.Image) else _from_array(picture)
    if image.width * image.height > MAX_PIXELS:
        raise UserError(
            f"{_describe(picture)}: {image.width:,} x {image.height:,} pixels are over the limit of {MAX_PIXELS:,}; "
            "make it smaller"
        )
    return image


def _open_file(path: Path) -> Image.Image:
    """Return the picture in a file, with its header decoded."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a picture in it")
    refuse_pipe(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; check its name")
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path} is empty; save or copy it again")
    if size > MAX_BYTES:
        raise UserError(f"{path}: {size / 1e6:,.1f} MB are over the limit of {MAX_BYTES / 1e6:.0f} MB; save it smaller")
    content = b""
    try:
        content = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is lower
            return Image.open(BytesIO(content), formats=FILE_FORMATS)  # leaves no file handle open
    except Image.DecompressionBombError:
        raise UserError(f"{path}: over the limit of {MAX_PIXELS:,} pixels; make it smaller") from None
    except PermissionError:
        raise UserError(f"{path} cannot be read: permission denied; change its permissions") from None
    except Exception:  # decoders raise almost any exception on a malformed header
        if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
            raise UserError(
                f"{path} is a HEIC photo; save it as JPEG, or take a screenshot of it "
                "(on an iPhone, Settings > Camera > Formats > Most Compatible takes photos as JPEG)"
            ) from None
        raise UserError(
            f"{path} is not a picture in a supported format ({', '.join(FILE_FORMATS)}); export it as PNG or JPEG"
        ) from None


def _from_array(values: NDArray[Any]) -> Image.Image:
    """Return an array as an image of mode L, RGB or RGBA."""
    if isinstance(values, np.ndarray) and values.ndim == 3 and 1 in {values.shape[0], values.shape[2]}:
        values = values[0] if values.shape[0] == 1 else values[:, :, 0]
    shape = getattr(values, "shape", None)
    if not isinstance(values, np.ndarray) or not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in {3, 4})):
        raise UserError(
            f"a picture must be a PIL image, a path, or an array (H, W), (H, W, 3) or (H, W, 4), not "
            f"{type(values).__name__}{'' if shape is None else f' {tuple(shape)}'}: reshape it"
        )
    if values.size == 0:
        raise UserError(f"a picture of shape {values.shape} has no pixels; pass an array with pixels")
    return Image.fromarray(_to_uint8(values))


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the values of an array picture as uint8."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16 and values.max() > 255:
        return (values >> 8).astype(np.uint8)
    if np.issubdtype(values.dtype, np.integer) and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8) * np.uint8(255 if values.max() <= 1 else 1)
    if np.issubdtype(values.dtype, np.floating) and values.min() >= 0 and values.max() <= 1:  # false for NaN
        return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    span = f" from {values.min()} to {values.max()}" if np.issubdtype(values.dtype, np.number) else ""
    raise UserError(
        f"a picture of {values.dtype}{span} cannot be read: pass integers from 0 to 255, uint16, or floats from 0 to 1"
    )


def is_picture(content: bytes) -> bool:
    """Return whether content starts like a picture in FILE_FORMATS."""
    return SIGNATURES.match(content) is not None


def list_pictures(folder: Path) -> list[Path]:
    """Return the result of `find_pictures`; raise a UserError also if the folder contains no picture."""
    found = find_pictures(folder)
    if not found:
        raise UserError(f"{folder}: contains no picture; choose another folder")
    return found


def find_pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder and the folders in it, by name; names that begin with "." or "_" are skipped.

    Raises:
        UserError: a file or folder cannot be read.
    """
    found = []
    for path in list_files(folder):
        try:
            with path.open("rb") as file:
                if is_picture(file.read(16)):
                    found.append(path)
        except OSError as error:
            raise unreadable(path, error) from None
    return found


def to_grey_levels(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture of one digit in one grey channel, uint8 (h, w), h and w at most MIN_SIDE; see `to_grey`."""
    image = open_picture(picture)
    try:
        grey = _one_channel(to_eight_bit(ImageOps.exif_transpose(image)))
    except Exception as error:  # decoders raise almost any exception on damaged data
        raise UserError(f"{_describe(picture)} is damaged ({error}); save or copy it again") from None
    grey.thumbnail((MIN_SIDE, MIN_SIDE))
    return np.array(grey)


def to_grey(picture: Picture) -> tuple[Grey, tuple[float, float]]:
    """Return a working copy of a picture in one grey channel, and its scale.

    The copy is upright according to EXIF orientation. An animation gives its first frame. Transparency becomes paper.
    The grey channel is the colour channel with the largest standard deviation; yellow on white, for example, differs
    only in blue.

    Returns:
        grey: float32 (h, w) in 0..1, h and w at most 1,500.
        scale: (across, down), pixels of the picture per pixel of the copy; each is 1 or more, up to rounding.

    Raises:
        UserError: the errors of `open_picture`, or the file is damaged.
    """
    image = open_picture(picture)
    width, height = image.size
    try:
        if image is not picture:
            image.draft(None, (WORKING_SIDE, WORKING_SIDE))  # decodes a JPEG at 1/2, 1/4 or 1/8 of its size
        if image.getexif().get(ORIENTATION_TAG, 1) > 4:
            width, height = height, width
        image = to_eight_bit(ImageOps.exif_transpose(image))
    except Exception as error:  # decoders raise almost any exception on damaged data
        raise UserError(f"{_describe(picture)} is damaged ({error}); save or copy it again") from None
    if max(image.size) > WORKING_SIDE:
        shrink = WORKING_SIDE / max(image.size)
        smaller = [max(1, round(side * shrink)) for side in image.size]
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.BOX)
    grey = _one_channel(image)
    if max(grey.size) < MIN_SIDE:
        enlarge = min(MAX_ENLARGEMENT, 2 * MIN_SIDE / max(grey.size))
        grey = grey.resize((round(grey.width * enlarge), round(grey.height * enlarge)), Image.Resampling.BICUBIC)
    grey = grey.filter(ImageFilter.GaussianBlur(max(image.size) / WORKING_SIDE))  # reduces noise
    return np.asarray(grey, dtype=np.float32) / np.float32(255), (width / grey.width, height / grey.height)


def to_eight_bit(image: Image.Image) -> Image.Image:
    """Return a decoded image of any mode as RGBA if it has transparency, else as L or RGB."""
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        white = next((top for top in (1, 255, 65535) if values.max() <= top), values.max())
        return Image.fromarray(np.rint(values.clip(0, white) * (255 / white)).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")


def _one_channel(image: Image.Image) -> Image.Image:
    """Return an image of mode L, RGB or RGBA as L: the colour channel with the largest standard deviation."""
    if image.mode == "L":
        return image
    if image.mode == "RGBA":
        image = _fill_transparency(image)
    counts, levels = np.reshape(image.histogram(), (3, 256)), np.arange(256)
    variances = counts @ levels**2 - (counts @ levels) ** 2 / (image.width * image.height)
    return image.getchannel(int(variances.argmax()))


def _fill_transparency(image: Image.Image) -> Image.Image:
    """Return an image of mode RGBA as RGB, with paper behind its transparent pixels.

    If less than half of the pixels are opaque, they are ink; the paper is black or white, whichever differs more.
    Otherwise the opaque part includes paper, and its median colour fills the rest.
    """
    opacity = image.getchannel("A")
    opaque = ImageStat.Stat(image.convert("RGB"), mask=opacity.point(lambda value: 255 * (value > 127)))
    if opaque.count[0] < image.width * image.height / 2:
        ink_is_light = opaque.count[0] and sum(opaque.mean) > 3 * 127.5
        paper = (0, 0, 0) if ink_is_light else (255, 255, 255)
    else:
        red, green, blue = opaque.median
        paper = (red, green, blue)
    return Image.alpha_composite(Image.new("RGBA", image.size, paper), image).convert("RGB")


def _describe(picture: Picture) -> str:
    """Return the name of a picture in error messages."""
    return str(picture) if isinstance(picture, str | Path) else "the picture"


def resize(values: Grey, shape: tuple[int, int] | list[int]) -> Grey:
    """Return values resized to (height, width), with antialiasing."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
