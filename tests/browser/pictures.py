"""Screenshots held against accepted ones; ``ACCEPT=1`` accepts what is there."""

import io
import os
from pathlib import Path

from PIL import Image, ImageChops

ACCEPTED = Path(__file__).parent / "accepted"
_NOTICED = 24
"""How much a colour may be off, of 255, as edges are smoothed differently."""
OFF = 0.002
"""The part of all pixels that may be off by more."""


def check(picture: bytes, name: str, kept: Path) -> None:
    """Hold a picture against the accepted one; what differs is kept in a folder."""
    file = ACCEPTED / f"{name}.png"
    found = Image.open(io.BytesIO(picture)).convert("RGB")
    if os.environ.get("ACCEPT"):
        ACCEPTED.mkdir(exist_ok=True)
        found.quantize(256).save(file, optimize=True)
        return
    off = difference(found, Image.open(file).convert("RGB"))
    if off > OFF:
        found.save(kept / f"{name}.png")
    assert off <= OFF, f"{off:.2%} of {name} differs; it is {kept / name}.png"


def difference(found: Image.Image, wanted: Image.Image) -> float:
    """Return the part of all pixels of two pictures of one size that differ noticeably."""
    assert found.size == wanted.size
    worst = ImageChops.difference(found, wanted).convert("L").point(lambda one: one > _NOTICED)
    return sum(worst.histogram()[1:]) / (found.width * found.height)
