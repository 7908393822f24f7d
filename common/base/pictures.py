"""Finding, decoding and encoding pictures: the one place that does."""
from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

from common.base import files
from common.base.errors import UserError
from common.base.files import PathLike

if TYPE_CHECKING:
    import numpy as np

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
           ".webp": "WEBP"}
"""The formats that are meant, by suffix. No other is ever opened, whatever a file is called: Pillow hands an EPS to
Ghostscript, which runs it."""
KINDS = list(dict.fromkeys(FORMATS.values()))
SUFFIXES = tuple(FORMATS)
SMALL = 100_000
"""Pixels of a picture that is encoded before OpenCV is even imported."""
FLAT = 0.5
"""Share of values equal to their left neighbour from which looking for runs makes a PNG faster, and smaller by far."""


def find(folder: PathLike, what: str = "pictures", suffixes: Tuple[str, ...] = SUFFIXES,
         count: Optional[int] = None) -> List[Path]:
    """The visible files of `folder` that end in one of `suffixes` (any case), sorted by name, at most `count`.

    Raises `UserError` when there is no such folder, when no file is found, when one is a link to a file that is gone or
    no regular file, when a name is not UTF-8, or when two share a stem (their results would overwrite each other).
    """
    folder = files.existing_folder(folder, what)
    paths = sorted(path for path in folder.iterdir()
                   if path.suffix.lower() in suffixes and not path.name.startswith(".") and not path.is_dir())
    if not paths:
        raise UserError(f"{folder}: expected {what} ({' '.join(suffixes)}), found none{_below(folder, suffixes)}")
    stems: Dict[str, Path] = {}
    for path in paths:
        files.utf8(files.existing_file(path, "a picture"))
        if path.stem in stems:
            raise UserError(f"{path}: has the same stem as {stems[path.stem].name}; rename one of them")
        stems[path.stem] = path
    return paths[:count]


def _below(folder: Path, suffixes: Tuple[str, ...]) -> str:
    """Where such files lie one level deeper, as an archive leaves them that was unpacked into a folder of its own."""
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not files.passed_over(path.name)):
        if any(path.suffix.lower() in suffixes and not path.name.startswith(".") for path in place.iterdir()):
            return f"; {place} holds some: give that folder"
    return ""


@contextlib.contextmanager
def opened(path: PathLike) -> Iterator[Any]:
    """A picture as Pillow's image, its header read; whatever goes wrong in the block is said of the file in one line.

    Raises `UserError` for a file of another format than `FORMATS`, for one that does not decode, and for one of so many
    pixels that Pillow takes it for an attack (179 million).
    """
    files.existing_file(path, "a picture")
    from PIL import Image
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters is an error, which is said in a line
    try:
        with Image.open(path, formats=KINDS) as image:
            yield image
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory") from error
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{path}: cannot be decoded as a picture: it is none of {', '.join(KINDS)} "
                        "(or its header is broken); replace or remove it") from error
    except Exception as error:  # a broken file makes decoders raise nearly anything
        raise UserError(f"{path}: cannot be decoded as a picture ({error or type(error).__name__}); replace or remove "
                        "it") from error


def depth(image: Any) -> int:
    """Bits a channel of an opened picture, as its file has them: Pillow decodes some of 16 bits into a mode of 8."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(258) or (1,))  # BitsPerSample
    if image.format == "PNG" and image.tile:
        layout = image.tile[0][3]
        layout = layout if isinstance(layout, str) else layout[0]  # such as RGB;16B
        return 16 if ";16" in layout else 8
    return 16 if image.mode.startswith("I") else 8


def read_size(path: PathLike) -> Tuple[int, int]:
    """Width and height in pixels from a picture's header, without decoding it."""
    with opened(path) as image:
        return image.size


def read_rgb(path: PathLike, upright: bool = False) -> "np.ndarray":
    """Decode a picture with Pillow: uint8 [H, W, 3], RGB. upright: turned as its EXIF orientation says, as cameras and phones
    leave photos; else as it is stored, as every dataset is read.

    Grey, palette and bilevel pictures are converted (a grey value fills all three channels), so are those with an alpha
    channel or a transparent colour where no pixel is transparent. Raises `UserError` for transparency, more than 8 bits
    a channel, several pages, and files that do not decode.
    """
    import numpy as np
    with opened(path) as image:
        found = _to_rgb(path, image)
        if upright:
            from PIL import ImageOps
            found = ImageOps.exif_transpose(found)
        return np.asarray(found)


def _to_rgb(path: PathLike, image: Any, grey: bool = False) -> Any:
    """An opened picture in mode RGB, or L where it is grey and may stay so; refused as `read_rgb` says."""
    bits, mode = depth(image), image.mode
    if bits > 8:
        raise UserError(f"{path}: mode {mode} is not supported, expected 8-bit RGB or grey; it has {bits} bits a channel, "
                        "of which the lower ones would be lost: convert it")
    if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
        raise UserError(f"{path}: has {image.n_frames} pages, expected one picture; write each into a file of its own")
    image.load()
    if "transparency" in image.info and mode in ("P", "L", "RGB", "1"):
        if mode == "1":
            image = image.convert("L")
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA"):
        if image.getchannel("A").getextrema()[0] < 255:
            raise UserError(f"{path}: has transparent pixels ({mode}); flatten it onto a background")
    elif mode not in ("RGB", "L", "P", "1"):
        raise UserError(f"{path}: mode {mode} is not supported, expected 8-bit RGB or grey")
    return image if image.mode == "RGB" or grey and image.mode == "L" else image.convert("RGB")


def read_ids(path: PathLike, bits: int, what: str = "ids") -> "np.ndarray":
    """Decode a one-channel picture whose values are ids, not shades: [H, W], uint8 for 8 bits, uint16 for 16.

    Raises `UserError` when the picture has another depth or more channels, and when it does not decode.
    """
    import numpy as np
    depths = {"L": 8, "I;16": 16, "I;16B": 16, "I": 16}  # before Pillow 11.3 some 16-bit pictures are "I"
    with opened(path) as image:
        image.load()
        found, mode = depths.get(image.mode) if depth(image) <= 16 else 32, image.mode
        if found != bits:
            other = f"{found}-bit" if found else f"mode {mode}"
            raise UserError(f"{path}: expected {what} in {bits}-bit grey, found a picture of {other}")
        return np.asarray(image).astype(np.uint8 if bits == 8 else np.uint16)


def read_values(path: PathLike) -> "np.ndarray":
    """Decode a picture whose lower bits count: uint16 where the file has 16 bits a channel, else uint8 as `read_rgb`;
    [H, W] of a grey one, else [H, W, 3] RGB.

    A fourth channel must be opaque. Raises `UserError` as `read_rgb` does, but for the depth.
    """
    import numpy as np
    with opened(path) as image:
        if depth(image) <= 8:
            return np.asarray(_to_rgb(path, image, grey=True))
        image.load()  # what does not decode is said here, not by OpenCV, which prints
        if "transparency" in image.info:
            raise UserError(f"{path}: has a transparent colour; flatten it onto a background")
        if depth(image) > 16:
            raise UserError(f"{path}: has {depth(image)} bits a channel, expected 8 or 16")
        if image.mode.startswith("I"):
            return np.asarray(image).astype(np.uint16)
    import cv2
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise UserError(f"{path}: is not supported, expected RGB or grey of 8 or 16 bits a channel")
    if values.shape[2] == 4 and values[..., 3].min() < 65535:
        raise UserError(f"{path}: has transparent pixels; flatten it onto a background")
    return values[..., 2::-1]


def write_rgb(path: PathLike, pixels: "np.ndarray") -> None:
    """Write uint8 [H, W, 3] RGB (or [H, W] grey, uint16 too) as a picture, atomically; the suffix picks the format.

    It is encoded in memory first: Pillow does not notice that a disk is full.
    """
    files.write_bytes(path, encoded(path, pixels))


def encoded(path: PathLike, pixels: "np.ndarray") -> "memoryview":
    """The bytes of a picture of that name, of pixels as `write_rgb` takes them.

    PNG by OpenCV, whose choice for speed (zlib's run lengths after the filter Sub) takes a quarter to a seventh of the
    time of Pillow's defaults, for files of up to twice the size on label maps and a few per cent more on photos. Photos,
    which have hardly a run, by Huffman codes alone: a sixth less time in the mean and three tenths on street photos, the
    size within a few per cent. Small pictures by Pillow, at its fastest level, which starts sooner.
    """
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if kind == "PNG" and pixels.shape[0] * pixels.shape[1] > SMALL:
        import cv2
        some = pixels[::16].reshape(-1, *pixels.shape[2:])
        photo = (some[1:] == some[:-1]).mean() < FLAT
        done, content = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels,
                                     [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY] if photo else [])
        if not done:
            raise UserError(f"{path}: cannot be encoded as PNG")
        return memoryview(content)
    from PIL import Image
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"compress_level": 1} if kind == "PNG" else {}))
    return buffer.getbuffer()
