"""Which images probes are fitted on, which choose the penalty, and which they are tested on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitprobe.data import ImageData, PairedLoader
from vitprobe.errors import InputError, option
from vitprobe.probes import shots_of
from vitprobe.training.split import split_rows

TEST, HELD = 0.2, 0.2  # shares that are kept for the test, and of the others to choose a penalty by


@dataclass(frozen=True)
class Roles:
    """Numbers in the data, int64 and ascending, without a common one.

    labels: int64 of every image of the data, by its number; None: they come with the batches.
    classes: how many; 0: not known yet. draws: for each draw of a few-shot probe the places in
    `fit` that it has; None: none, or not known yet. own: whether the data say which images are for
    training. notes: what a reader of the result should know.
    """

    fit: Tensor
    held: Tensor
    test: Tensor
    labels: Tensor | None
    classes: int
    own: bool
    draws: list[list[int]] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def order(self) -> Tensor:
        """All of them: the order of the rows that are kept."""
        return torch.cat([self.fit, self.held, self.test])

    @property
    def trained(self) -> int:
        """Training images of one probe that nothing is held out for, or of one draw."""
        return len(self.draws[0] if self.draws else self.fit)

    @property
    def described(self) -> dict[str, Any]:
        """As JSON can hold it."""
        counts = {name: len(getattr(self, name)) for name in ("fit", "held", "test")}
        return {**counts, "classes": self.classes, "draws": self.draws, "own": self.own}


def roles_of(
    loader: PairedLoader, *, hold: bool, shots: int | None = None, draws: int = 0, seed: int = 0
) -> Roles:
    """Of joined data the first are for training; else a fifth of every class is for the test.

    A split depends on the seed and on which images there are: never on batches or on their order.

    Args:
        hold: whether a fifth of the training images of every class is held out to choose by.
        shots: training images of each class, drawn `draws` times, from the seed on; only these are
            in `fit`.

    Raises:
        InputError: no labels, one class, too few images, or data of unknown length.
    """
    name, data = loader.name, loader.data
    if loader.passes > 1:
        raise InputError(f"a probe sees every image once: give one pass, not {loader.passes}")
    if isinstance(data, Tensor):
        raise InputError(
            "a tensor has no labels: give torch.utils.data.TensorDataset(images, labels)"
        )
    if loader.shown is None:
        raise InputError(
            f"how many examples {name} has is not known, and probes need training and test images: "
            f"give {option('examples', 'N')}"
        )
    rows = loader.shown.sort().values.numpy()
    labels = data.labels if isinstance(data, ImageData) else None
    notes = []
    if labels is not None:
        labelled = labels[rows] >= 0
        if not labelled.any():
            raise InputError(f"{name} has no labels: probes need the class of every image")
        if not labelled.all():
            notes.append(f"{(~labelled).sum():,} images without a class are left out")
        rows = rows[labelled]
    trained = getattr(data, "trained", None)
    if trained is None:
        train, test = _split(rows, labels, TEST, seed)
    else:
        train, test = rows[rows < trained], rows[rows >= trained]
    fit, held = _split(train, labels, HELD, seed) if hold else (train, train[:0])
    drawn = None
    classes = 0
    if labels is not None:
        classes = max(data.num_classes, int(labels.max()) + 1)
        known = len(np.unique(labels[labels >= 0]))  # a subset of ImageNet may skip numbers
        check_classes(name, labels[train], labels[test], known)
        if hold and not len(held):
            raise InputError(
                f"{name}: no class has two training images, so none is left to choose a penalty "
                f"by: use more images, or give one {option('l2')}"
            )
        if shots:
            drawn = draw(name, torch.from_numpy(labels[fit]), shots, draws, seed)
            some = np.unique(np.concatenate(drawn))
            fit, drawn = fit[some], [np.searchsorted(some, one).tolist() for one in drawn]
    return Roles(
        *(torch.from_numpy(each) for each in (fit, held, test)),
        None if labels is None else torch.from_numpy(labels),
        classes,
        trained is not None,
        drawn,
        notes,
    )


def draw(name: str, labels: Tensor, shots: int, draws: int, seed: int) -> list[np.ndarray]:
    """Which of these images each draw has, as big_vision draws.

    Raises:
        InputError: a class has fewer.
    """
    found, counts = labels.unique(return_counts=True)
    if counts.min() < shots:
        least = int(counts.argmin())
        raise InputError(
            f"{name}: class {int(found[least])} has {int(counts[least])} training images, and "
            f"{option('shots', shots)} needs as many of each: give fewer"
        )
    return [shots_of(labels, shots, seed + k).numpy() for k in range(draws)]


def check_classes(name: str, train: np.ndarray, test: np.ndarray, classes: int = 0) -> None:
    """Raise InputError unless a probe can learn the classes of these labels; classes: how many the
    data name."""
    found = len(np.unique(np.concatenate([train, test])))
    classes = max(classes, found)
    if found < 2:
        raise InputError(f"{name} has images of one class only: a probe needs two or more")
    if len(train) < classes:
        raise InputError(
            f"{name}: {len(train)} training images of {classes} classes are too few: a probe needs "
            "one of each at least: use more images"
        )
    if len(np.unique(train)) < 2:
        raise InputError(f"{name}: all training images are of one class: a probe needs two or more")
    if not len(test):
        raise InputError(f"{name}: no image is left for the test: use more images")


def _split(
    rows: np.ndarray, labels: np.ndarray | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The larger part and the smaller one, of every class where classes are known."""
    if labels is not None and len(rows):
        larger, smaller = split_rows(labels[rows], validation=share, fraction=1.0, seed=seed)
        return rows[larger.numpy()], rows[smaller.numpy()]
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = round(share * len(rows))
    return rows[np.sort(order[cut:])], rows[np.sort(order[:cut])]
