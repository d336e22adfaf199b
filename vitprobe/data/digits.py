"""scikit-learn's handwritten digits: 1,797 grey images, embedded, no network needed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vitprobe.data.images import ArrayImages

SIZE = 32  # as shown; the originals are 8 x 8
TEST_IMAGES = 360
# channel_statistics of the 1,437 training images as shown (32 x 32, pixels in [0, 1])
MEAN_STD = ((0.3057,) * 3, (0.3235,) * 3)


def digits(split: str) -> ArrayImages:
    """The stratified random split with seed 0: 1,437 train and 360 test images, ten classes.

    Levels 0..16 become 0..255, and the 8 x 8 images are enlarged to 32 x 32 (bilinear), so that
    models for 32 px take them. Within a split the images keep scikit-learn's order.
    Source: UCI "Optical Recognition of Handwritten Digits", test part.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    originals = load_digits()
    train, test = train_test_split(
        np.arange(len(originals.target)),
        test_size=TEST_IMAGES,
        random_state=0,
        stratify=originals.target,
    )
    rows = np.sort(train if split == "train" else test)
    small = np.rint(originals.images[rows] * (255 / 16)).astype(np.uint8)
    shown = np.stack([_enlarge(image) for image in small])
    names = [str(name) for name in originals.target_names]
    return ArrayImages("digits", split, shown, originals.target[rows], names, MEAN_STD)


def _enlarge(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
