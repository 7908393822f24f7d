"""Finding and decoding pictures."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from common.base.errors import UserError
from common.base.files import PathLike, atomic, existing_folder, write_bytes

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
SMALL = 100_000
"""Pixels of a picture that is encoded before OpenCV is even imported."""


def find(folder: PathLike, what: str = "pictures", suffixes: Tuple[str, ...] = SUFFIXES,
         count: Optional[int] = None) -> List[Path]:
    """The visible files of `folder` that end in one of `suffixes` (any case), sorted by name, at most `count`.

    Raises `UserError` when there is no such folder, when no file is found, or when two share a stem (their
    results would overwrite each other).
    """
    folder = existing_folder(folder, what)
    paths = sorted(path for path in folder.iterdir()
                   if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file())
    if not paths:
        raise UserError(f"{folder}: expected {what} ({' '.join(suffixes)}), found none")
    stems = {}
    for path in paths:
        if path.stem in stems:
            raise UserError(f"{path}: has the same stem as {stems[path.stem].name}; rename one of them")
        stems[path.stem] = path
    return paths[:count]


def read_size(path: PathLike) -> Tuple[int, int]:
    """Width and height in pixels from a picture's header, without decoding it."""
    from PIL import Image
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def read_rgb(path: PathLike) -> "np.ndarray":
    """Decode a picture with Pillow: uint8 [H, W, 3], RGB.

    Grey, palette and bilevel pictures are converted (a grey value fills all three channels), so is RGBA whose alpha
    is 255 everywhere. Raises `UserError` for transparency, more than 8 bits a channel, and files that do not decode.
    """
    import numpy as np
    from PIL import Image
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")
            if image.mode in ("RGBA", "LA"):
                if image.getchannel("A").getextrema()[0] < 255:
                    raise UserError(f"{path}: has transparent pixels ({image.mode}); flatten it onto a background")
            elif image.mode not in ("RGB", "L", "P", "1"):
                raise UserError(f"{path}: mode {image.mode} is not supported, expected 8-bit RGB or grey")
            return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def read_ids(path: PathLike, bits: int, what: str = "ids") -> "np.ndarray":
    """Decode a one-channel picture whose values are ids, not shades: [H, W], uint8 for 8 bits, uint16 for 16.

    Raises `UserError` when the picture has another depth or more channels, and when it does not decode.
    """
    import numpy as np
    from PIL import Image
    depths = {"L": 8, "I;16": 16, "I;16B": 16, "I": 16}  # before Pillow 11.3 some 16-bit pictures are "I"
    try:
        with Image.open(path) as image:
            image.load()
            found, mode = depths.get(image.mode), image.mode
            if found != bits:
                depth = f"{found}-bit" if found else f"mode {mode}"
                raise UserError(f"{path}: expected {what} in {bits}-bit grey, found a picture of {depth}")
            return np.asarray(image).astype(np.uint8 if bits == 8 else np.uint16)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def write_rgb(path: PathLike, pixels: "np.ndarray") -> None:
    """Write uint8 [H, W, 3] RGB (or [H, W] grey, uint16 too) as a picture, atomically; the suffix picks the format.

    PNG by OpenCV, whose choice for speed (zlib's run lengths after the filter Sub) takes a quarter to a seventh of the
    time of Pillow's defaults, for files of up to twice the size on label maps and a few per cent more on photos. Small
    pictures by Pillow, at its fastest level, which starts sooner.
    """
    png = Path(path).suffix.lower() == ".png"
    if png and pixels.shape[0] * pixels.shape[1] > SMALL:
        import cv2
        done, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels)
        if not done:
            raise UserError(f"{path}: cannot be encoded as PNG")
        write_bytes(path, encoded)
        return
    from PIL import Image
    with atomic(path) as temporary:
        Image.fromarray(pixels).save(temporary, **({"compress_level": 1} if png else {}))


def _unreadable(path: PathLike, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: no such file")
    return UserError(f"{path}: cannot be decoded as a picture ({error}); replace or remove it")
