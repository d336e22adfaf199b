"""What is done to training images at random, as a recipe says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from vitprobe.errors import InputError, did_you_mean
from vitprobe.text import shown

MAGNITUDES = 31  # RandAugment's scale: 0 to 30
# option: the largest value and what it is of; the smallest is 0, which is "off"
LIMITS = {
    "crop": (0.5, "the side"),
    "resized_crop": (1, "the area"),
    "flip": (1, "a probability"),
    "rotation": (180, "degrees"),
    "translate": (1, "the side"),
    "scale": (0.9, "the size"),
    "jitter": (1, "a strength"),
    "erase": (1, "a probability"),
    "mixup": (100, "the Beta distribution's alpha"),
    "cutmix": (100, "the Beta distribution's alpha"),
}


@dataclass(frozen=True)
class AugmentOptions:
    """All are off at 0, the default.

    crop: the image, padded with black by this share of its side, cut at a random place (0.125:
        4 px at 32). resized_crop: instead, a random part of at least this share of the area and of
        aspect ratio 3/4 to 4/3, enlarged to the full size (Inception's crop).
    flip: probability of a mirror image. rotation: degrees to either side. translate: share of the
        side, in both directions. scale: 0.1 is 0.9 to 1.1 times the size.
    jitter: brightness, contrast and saturation times 1 - jitter to 1 + jitter.
    rand_augment: (number of operations, magnitude 0..30), of RandAugment (arXiv 1909.13719).
    erase: probability that a rectangle is blanked (random erasing, arXiv 1708.04896).
    mixup (arXiv 1710.09412), cutmix (arXiv 1905.04899): alpha; with both, each batch has one.

    Raises InputError for values out of range and for both kinds of crop at once.
    """

    crop: float = 0.0
    resized_crop: float = 0.0
    flip: float = 0.0
    rotation: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    jitter: float = 0.0
    rand_augment: tuple[int, int] | None = None
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self):
        for name, (most, what) in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InputError(f"augmentation {name} must be a number, got {shown(value)}")
            if not 0 <= value <= most:
                raise InputError(
                    f"augmentation {name} ({what}) must be 0 to {most}, got {shown(value)}"
                )
        if self.crop and self.resized_crop:
            raise InputError(
                f"augmentation crop = {self.crop} and resized_crop = {self.resized_crop} are two "
                "ways to cut the same image: give one"
            )
        if self.rand_augment is not None:
            object.__setattr__(self, "rand_augment", _rand_augment(self.rand_augment))

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> AugmentOptions:
        """The options of a TOML table. Raises InputError for an unknown key as well."""
        known = [field.name for field in fields(cls)]
        for key in table:
            if key not in known:
                near = did_you_mean(str(key), known) or f": use {', '.join(known)}"
                raise InputError(f"unknown augmentation {key!r}{near}")
        return cls(**table)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with others (see `Mix`)."""
        return bool(self.mixup or self.cutmix)


def _rand_augment(value) -> tuple[int, int] | None:
    whole = isinstance(value, (list, tuple)) and all(type(part) is int for part in value)
    if whole and len(value) == 2 and value[0] >= 1 and 0 <= value[1] < MAGNITUDES:
        return tuple(value)
    if whole and not value:  # TOML has no null: an empty list switches it off
        return None
    raise InputError(
        "augmentation rand_augment must be [operations, magnitude], at least 1 and 0 to "
        f"{MAGNITUDES - 1}, such as [2, 9], got {shown(value)}"
    )
