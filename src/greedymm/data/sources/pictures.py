"""Picture files -> pixels."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import UnreadableError

FORMATS = ("PNG", "JPEG")
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}  # of PIL, with 8 bits a channel
BACKGROUND = (0, 0, 0, 255)  # of transparent pictures, as in the renderer


def read_picture(file: Path, size: int | None = None, *, color: bool = False) -> npt.NDArray[np.uint8]:
    """Read a square PNG or JPEG of any kind with 8 bits per channel: (1 or 3, size, size). None: its own size.

    Raises:
        UnreadableError: if it is broken, truncated, or of another form; it is named.
    """
    from PIL import Image, ImageOps

    bombs = Image.DecompressionBombError, Image.DecompressionBombWarning
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # else twice Pillow's limit is read
            with Image.open(file, formats=FORMATS) as opened:
                opened.verify()  # the checksums and the end of a PNG, which `load` does not check
            with Image.open(file, formats=FORMATS) as opened:
                picture = ImageOps.exif_transpose(opened)  # cameras store a turned picture with a note to turn it back
                picture.load()
    except (OSError, SyntaxError, ValueError, IndexError, *bombs) as error:
        raise UnreadableError(f"{file.name}: no complete PNG or JPEG file ({str(error).splitlines()[0]})") from None
    if picture.mode not in MODES:
        raise UnreadableError(
            f"{file.name}: its pixels have mode '{picture.mode}'; convert it to gray or RGB of 8 bits"
        )
    if picture.width != picture.height:
        raise UnreadableError(f"{file.name}: {picture.width} x {picture.height} pixels is not square")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, BACKGROUND)
        picture = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    picture = picture.convert("RGB" if color else "L")
    if size not in {None, picture.width}:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(*picture.size, -1).transpose(2, 0, 1)
