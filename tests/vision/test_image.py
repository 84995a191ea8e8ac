import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.drawing import Drawing
from PIL import Image

from pipeline import UserError, glyphs

DRAWING = Drawing("2025", height=90)
FRAMES = np.stack([glyph.frame for glyph in glyphs(DRAWING.page())]).astype(float)


def assert_same(picture: Image.Image | np.ndarray | Path, tolerance: float = 0.05) -> None:
    """Assert that the frames of a picture equal those of the drawing, up to a fraction of their ink."""
    found = glyphs(picture)
    assert len(found) == len(FRAMES)
    assert np.abs(np.stack([glyph.frame for glyph in found]) - FRAMES).sum() < tolerance * FRAMES.sum()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_every_mode_gives_the_same_frames(mode: str) -> None:
    page = DRAWING.page()
    converted = page if mode in {"HSV", "YCbCr", "CMYK", "P", "RGBX", "RGBA"} else page.convert("L")
    assert_same((converted.convert("LA") if mode == "PA" else converted).convert(mode), 0.1)


def test_sixteen_bits_give_the_same_frames() -> None:
    grey = np.asarray(DRAWING.page().convert("L")).astype(np.uint16) * 257
    assert_same(grey)
    assert_same(Image.fromarray(grey))
    assert_same(Image.fromarray(grey.astype(np.int32)))


def test_a_palette_may_be_transparent(tmp_path: Path) -> None:
    page = DRAWING.page().quantize(8)
    page.info["transparency"] = page.getpixel((0, 0))
    page.save(tmp_path / "page.png")
    assert_same(tmp_path / "page.png")


@pytest.mark.parametrize("channels", ["L", "RGB", "RGBA"])
def test_arrays_give_the_same_frames(channels: str) -> None:
    values = np.asarray(DRAWING.page().convert(channels))
    assert_same(values)
    assert_same(values / 255)
    assert_same((values / 255).astype(np.float32))
    assert_same(values[:, ::-1][:, ::-1])


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "webp", "tif", "avif", "ppm"])
def test_every_file_format_gives_the_same_frames(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"page.{kind}"
    DRAWING.page().save(path)
    assert_same(path, 0.1)
    assert len(glyphs(str(path))) == 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_of_a_photo_is_applied(orientation: int, tmp_path: Path) -> None:
    turns = [
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ]
    turn = turns[orientation - 1]
    page = DRAWING.page() if turn is None else DRAWING.page().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    page.save(tmp_path / "page.jpg", quality=95, exif=exif)
    assert_same(tmp_path / "page.jpg", 0.1)
    found = glyphs(tmp_path / "page.jpg")
    assert np.abs(np.subtract([glyph.box for glyph in found], DRAWING.boxes)).max() <= 2


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    other = Drawing("31").page()
    DRAWING.page().save(tmp_path / "page.gif", save_all=True, append_images=[other, other])
    assert_same(tmp_path / "page.gif")


def png(width: int, height: int) -> bytes:
    """Return a PNG with one bit per pixel, all 0; it takes few bytes at any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    compressor = zlib.compressobj(9)
    row = bytes(1 + -(-width // 8))
    body = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def saved(kind: str) -> bytes:
    """Return the drawing as the bytes of a file."""
    file = io.BytesIO()
    DRAWING.page().save(file, kind)
    return file.getvalue()


FAULTS = {
    "text.png": (b"two thousand and twenty-five", "is not a picture in a supported format"),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "is not a picture in a supported format"),
    "page.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture in a supported format"),
    "header.png": (saved("png")[:20], "is not a picture in a supported format"),
    "empty.png": (b"", "is empty"),
    "half.jpg": (saved("jpeg")[:4000], "is damaged"),
    "half.png": (saved("png")[:900], "is damaged"),
    "half.gif": (saved("gif")[:900], "is damaged"),
    "wrong.png": (saved("png").replace(b"IDAT\x78", b"IDAT\x00"), "is damaged"),
    "large.png": (png(7_200, 7_000), "7,200 x 7,000 pixels are over the limit of 50,000,000"),
    "bomb.png": (png(20_000, 20_000), "over the limit of 50,000,000 pixels"),
    "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(1000), "is a HEIC photo; save it as JPEG"),
    "photo.jpg": (b"\0\0\0\x18ftypmif1" + bytes(1000), "is a HEIC photo; save it as JPEG"),
    "heavy.bmp": (b"BM" + bytes(20_000_000), "20.0 MB are over the limit of 20 MB"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_file_is_refused_in_one_line_with_its_name_and_a_remedy(name: str, tmp_path: Path) -> None:
    body, fault = FAULTS[name]
    path = tmp_path / name
    path.write_bytes(body)
    with pytest.raises(UserError) as refused:
        glyphs(path)
    line = str(refused.value)
    assert str(path) in line and fault in line and ";" in line
    assert "\n" not in line


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; name a picture in it"):
        glyphs(tmp_path)
    with pytest.raises(UserError, match="there is no such file"):
        glyphs(tmp_path / "absent.png")
    with pytest.raises(UserError, match="there is no such file"):
        glyphs("https://example.org/2025.png")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (np.zeros(9), "not ndarray (9,)"),
        (np.zeros((5, 5, 2)), "not ndarray (5, 5, 2)"),
        (np.zeros((1, 5, 5, 3)), "not ndarray (1, 5, 5, 3)"),
        (np.zeros((0, 5)), "has no pixels"),
        (np.full((5, 5), np.nan), "from nan to nan"),
        (np.full((5, 5), 200.0), "from 200.0 to 200.0"),
        (np.full((5, 5), -1), "int64 from -1 to -1"),
        (np.full((5, 5), "ink"), "a picture of <U3 cannot be read"),
        (np.zeros((8_000, 8_000), dtype=np.uint8), "the picture: 8,000 x 8,000 pixels are over the limit"),
        ([[0, 1]], "not list"),
        (None, "not NoneType"),
    ],
)
def test_a_bad_array_is_refused_in_one_line(values: object, fault: str) -> None:
    with pytest.raises(UserError) as refused:
        glyphs(values)  # type: ignore[arg-type]
    assert fault in str(refused.value) and "\n" not in str(refused.value)


def test_an_image_over_the_limit_is_refused() -> None:
    with pytest.raises(UserError, match="the picture: 8,000 x 8,000 pixels"):
        glyphs(Image.new("1", (8_000, 8_000)))


def test_a_picture_is_not_modified(tmp_path: Path) -> None:
    canvas = DRAWING.canvas()
    before = canvas.copy()
    glyphs(canvas)
    assert canvas == before
    Image.new("L", (4000, 3000)).save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as image:
        glyphs(image)
        assert image.size == (4000, 3000)
