"""An image classifier that stands on its own: written by `nas export`, it needs PyTorch and Pillow alone.

    python model.py image.png ...        prints the likeliest classes of each image

    from model import load
    model = load()                       # a torch.nn.Module with its trained weights
    model.predict("image.png")           # {"cat": 0.93, "dog": 0.04, ...}, the likeliest first

The weights lie beside this file, in model.safetensors.
"""

from __future__ import annotations

import argparse
import io
import json
import stat
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor, nn

# The network {
# This example is what an export replaces by its own network.

CLASSES = ("dark", "light")
CHANNELS, HEIGHT, WIDTH = 1, 8, 8
MEAN = (0.5,)
STD = (0.25,)


def network() -> nn.Module:
    """The layers."""
    return nn.Sequential(OrderedDict([("flatten", nn.Flatten()), ("classifier", nn.Linear(64, 2))]))


# }


class Model(nn.Module):
    """Images (batch, CHANNELS, HEIGHT, WIDTH) as `preprocess` makes them in, logits (batch, classes) out."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits

    def predict(self, image: str | Path | Image.Image) -> dict[str, float]:
        """The probability of every class, the likeliest first, for an image of any kind and size."""
        with torch.inference_mode():
            probabilities = self(preprocess(image)[None])[0].softmax(0).tolist()
        return dict(sorted(zip(CLASSES, probabilities, strict=True), key=lambda pair: -pair[1]))


def load() -> Model:
    """The trained network, in evaluation mode on the CPU."""
    model = Model()
    model.network.load_state_dict(read_safetensors(Path(__file__).with_name("model.safetensors")))
    return model.eval()


# From an image file to what the network was trained on -------------------------------------------------

SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
EIGHT_BIT = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "RGBX", "LAB")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TYPES = (
    *("PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "ICO"),
    "TGA",  # the last one, because anything may look like it
)
MAX_PIXELS = 250_000_000  # width times height of the largest image that is read: 1 GB in memory
MAX_TEXT = 1 << 26  # bytes of one text or profile in a PNG


# The pixels [


def preprocess(source: str | Path | Image.Image) -> Tensor:
    """One image as float32 (CHANNELS, HEIGHT, WIDTH), normalised.

    It is turned upright, made grey or RGB, and scaled, antialiased, to cover WIDTH x HEIGHT pixels, of which
    the centre is taken.
    """
    if not isinstance(source, Image.Image):
        with limits(), open_image(Path(source)) as opened:
            side = 2 * max(HEIGHT, WIDTH)
            opened.draft(None, (side, side))  # lets libjpeg leave out detail that scaling would remove
            return preprocess(opened)
    image = flatten(upright(source))
    if image.size != (WIDTH, HEIGHT):
        image = ImageOps.fit(image, (WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    data = bytearray(image.convert("L" if CHANNELS == 1 else "RGB").tobytes())
    pixels = torch.frombuffer(data, dtype=torch.uint8).reshape(HEIGHT, WIDTH, CHANNELS)
    return ((pixels / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1).contiguous()


# ]


def open_image(file: Path) -> Image.Image:
    """An image of a known type, by its content. No other program is started, as Pillow would for EPS."""
    mode = file.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or str(file).startswith(("/dev/fd/", "/dev/stdin"))):
        raise OSError("it is a pipe, a socket or a device, and no file")
    Image.init()  # all types that this Pillow knows
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        if file.suffix.lower() in (".heic", ".heif"):
            raise OSError("HEIC images need pillow-heif: pip install pillow-heif") from None
    else:
        register_heif_opener()
    return Image.open(file, formats=[name for name in TYPES if name in Image.OPEN])


@contextmanager
def limits() -> Iterator[None]:
    """Pillow's limits are ours in this block; they are those of the whole process."""
    before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # it refuses twice as many as it says
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_TEXT
    try:
        yield
    except Image.DecompressionBombError as error:
        raise ValueError(f"it has more pixels than MAX_PIXELS = {MAX_PIXELS:,} allows") from error
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before


def upright(image: Image.Image) -> Image.Image:
    """Turned by its EXIF orientation, if that can be read."""
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # of metadata alone; the pixels are decoded
        return image
    return image if turn is None else image.transpose(turn)


def flatten(image: Image.Image) -> Image.Image:
    """An image of any mode as 8-bit grey (L) or RGB; what is transparent is blended onto black."""
    if image.mode in SIXTEEN_BIT:
        image = image.convert("I")
        extrema: Any = image.getextrema()
        if min(extrema) < 0 or max(extrema) > 65535:
            raise ValueError("it has 32-bit values outside 0..65535")
        return image.point([(value + 128) // 257 for value in range(65536)], "L")
    if image.mode in ALPHA or "transparency" in image.info:
        black = Image.new("RGBA", image.size, "black")
        return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
    if image.mode not in EIGHT_BIT:
        raise ValueError(f"pixels of mode {image.mode} have no fixed range; save 8 or 16 bits per channel")
    return image if image.mode == "L" else image.convert("RGB")


# Weights -----------------------------------------------------------------------------------------------

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(file: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    The file is the length of a header (8 bytes, little-endian), the header (JSON: the type, shape and place
    of every tensor), and the tensors' bytes.
    """
    tensors = {}
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(min(length, 100_000_000)))  # the most that the format allows
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype, (start, stop) = DTYPES[entry["dtype"]], entry["data_offsets"]
            stream.seek(8 + length + start)
            data = bytearray(stream.read(stop - start))
            # torch.frombuffer refuses an empty buffer
            tensor = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            tensors[name] = tensor.reshape(entry["shape"])
    return tensors


# The command line --------------------------------------------------------------------------------------


def main() -> int:
    """Print the likeliest classes of the images named on the command line; 2 if one of them is unreadable."""
    parser = argparse.ArgumentParser(description="Say what images show.")
    parser.add_argument("images", nargs="+", metavar="image", help="an image file of any kind and size")
    images = parser.parse_args().images
    warnings.simplefilter("ignore")  # of decoders, before they fail
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a class may have a name that no terminal can show
    try:
        model = load()
    except Exception as error:
        return fail("model.safetensors", error)
    code = 0
    for image in images:
        try:
            probabilities = model.predict(image)
        except Exception as error:  # the decoders of the many formats raise almost anything
            code = fail(image, error)
            continue
        print(image)
        for name, probability in list(probabilities.items())[:5]:
            print(f"  {100 * probability:5.1f} %  {name}")
    return code


def fail(file: str, error: Exception) -> int:
    """Print one line; 2, the exit code."""
    reason = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    print(f"{file} cannot be read: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
