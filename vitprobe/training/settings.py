"""Every choice of one training run, as plain values."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cache
from typing import Any, get_args, get_type_hints

from timm.optim import list_optimizers

from vitprobe.errors import InputError, did_you_mean, option
from vitprobe.models.architecture import COUNTS
from vitprobe.models.without_skip import MOST
from vitprobe.text import SHORT, printable, shown
from vitprobe.training.augment_options import AugmentOptions

MODES = {
    "pretrain": "a Vision Transformer from random weights, to be fine-tuned later",
    "finetune": "all weights of a trained model, with a new classifier where classes differ",
    "resnet": "a ResNet from random weights",
    "scratch": "any model from random weights",
    "probe": "only the classifier of a trained model; the rest stays frozen",
}
TRAINED = ("finetune", "probe")  # start from trained weights
# torch's plain SGD is timm's `momentum`, and timm's `sgd` is Nesterov's.
OPTIMIZERS = {"sgd": "momentum", "nesterov": "sgd"}
SCHEDULERS = ("none", "cosine", "tanh", "poly", "step")
ARCHITECTURE = (*COUNTS, "dropout", "pool")
# Whole numbers from 1, and the most of each.
WHOLE = {
    "batch_size": 2**24,
    "epochs": 2**24,
    "num_classes": 2**24,
    "image_size": 2**14,
    "max_pixels": 2**40,
    "keep_every": 2**24,
}
# What may change between a run and its continuation: where it runs and where its files lie. Weights
# to start from are compared themselves, a recipe's values too, and a class count is only a check.
FREE = ("checkpoint", "data_dir", "device", "workers", "output", "save_every", "compile")
FREE += ("model_name", "recipe", "num_classes", "max_pixels", "keep_every")
SHOWN = 4  # differences that are told


@dataclass(frozen=True)
class Settings:
    """One run's choices; every long option of `vitprobe train` is a field.

    mode: a key of MODES. model: a name, without weights. dataset, test_dataset: names as
        `load_data` takes them; test_dataset None: the data set's own test part.
    checkpoint: the trained weights that `finetune` and `probe` start from: a file, or
        `pretrained`.
    num_classes: None: the data set's. image_size: pixels; None: the checkpoint's, else the data
        set's for our own models, the configuration's for timm's.
    patch_size (pixels), dim, heads, depth, mlp_dim, dropout, pool (`cls` or `mean`): of a ViT;
        None: the model's own. remove_skip: the block that has no skips, counted from 0.
    recipe: where the fields from batch_size to augment come from. batch_size: images a step, of
        all processes together. lr: the highest of the schedule. min_lr: the lowest, as a share of
        lr. warmup: share of all steps in which the rate rises from lr / 100. clip_grad: largest
        norm of all gradients together; 0: any. ema_decay: of averaged weights; 0: none. augment:
        see AugmentOptions.
    max_pixels, ignore_orientation: how images are decoded (see `load_data`).
    validation: share of the training images that chooses the best epoch. fraction: share of the
        others that is trained on, the same in every class.
    seed: of weights, subset, order and augmentation. precision: `fp32`, or `bf16` (autocast).
    save_every: seconds between checkpoints; one is written after every epoch too.
    keep_every: epochs between two whose weights are kept for good; None: none are.

    Raises InputError for a value that makes no sense.
    """

    mode: str
    model: str
    dataset: str
    recipe: str
    batch_size: int
    epochs: int
    optimizer: str
    lr: float
    model_name: str
    test_dataset: str | None = None
    data_dir: str | None = None
    checkpoint: str | None = None
    num_classes: int | None = None
    image_size: int | None = None
    patch_size: int | None = None
    dim: int | None = None
    heads: int | None = None
    depth: int | None = None
    mlp_dim: int | None = None
    dropout: float | None = None
    pool: str | None = None
    remove_skip: int | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    scheduler: str = "none"
    min_lr: float = 0.0
    warmup: float = 0.0
    label_smoothing: float = 0.0
    clip_grad: float = 0.0
    ema_decay: float = 0.0
    augment: dict[str, Any] = field(default_factory=dict)
    max_pixels: int | None = None
    ignore_orientation: bool = False
    validation: float = 0.1
    fraction: float = 1.0
    seed: int = 0
    device: str = "auto"
    precision: str = "fp32"
    compile: bool = False
    workers: int = 2
    output: str = "checkpoints"
    save_every: float = 60.0
    keep_every: int | None = None

    def __post_init__(self):
        for key in NAMES:
            object.__setattr__(self, key, typed(key, getattr(self, key)))
        one_of("mode", self.mode, MODES)
        one_of("scheduler", self.scheduler, SCHEDULERS)
        second_order = {"adahessian"}  # needs gradients of gradients
        one_of("optimizer", self.optimizer, [*OPTIMIZERS, *{*list_optimizers()} - second_order])
        one_of("precision", self.precision, ("fp32", "bf16"))
        if self.pool is not None:
            one_of("pool", self.pool, ("cls", "mean"))
        for key, most in (WHOLE | COUNTS).items():
            _within(key, getattr(self, key), 1, most)
        for key in ("weight_decay", "clip_grad", "save_every"):
            _within(key, getattr(self, key), 0)
        _within("remove_skip", self.remove_skip, 0, MOST)
        _within("workers", self.workers, 0, 1024)
        for key in ("momentum", "dropout", "label_smoothing", "ema_decay", "min_lr", "warmup"):
            _within(key, getattr(self, key), 0, 1)
        _within("seed", self.seed, 0, 2**63 - 1)
        AugmentOptions.from_table(self.augment)
        if not 0 < self.lr < math.inf:
            raise InputError(f"{option('lr')} must be above 0 and finite, got {self.lr}")

    @property
    def architecture(self) -> dict[str, int | float | str]:
        """The options of a ViT that were given."""
        given = {key: getattr(self, key) for key in ARCHITECTURE}
        return {key: value for key, value in given.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Field -> plain value, as a checkpoint holds them."""
        return asdict(self)


NAMES = tuple(f.name for f in fields(Settings))
# What holds where neither a recipe nor a user says otherwise.
USUAL = {f.name: f.default for f in fields(Settings) if f.default is not MISSING}


def differing(old: Mapping[str, Any], new: Settings) -> str:
    """The choices in which two runs differ: `lr 0.001 and 0.01, epochs 2 and 3`; else ""."""
    pairs = [
        f"{key} {printable(old.get(key), SHORT)} and {printable(value, SHORT)}"
        for key, value in new.as_dict().items()
        if key not in FREE and old.get(key, USUAL.get(key)) != value
    ]
    return ", ".join(pairs[:SHOWN]) + (", ..." if len(pairs) > SHOWN else "")


def one_of(key: str, value: str, options) -> None:
    """Raise InputError unless the value is one of the options."""
    if value not in options:
        near = did_you_mean(str(value), options) or f": use one of {', '.join(options)}"
        raise InputError(f"unknown {key} {value!r}{near}")


def _within(key: str, value: float | None, low: float, high: float = math.inf) -> None:
    if value is None or low <= value <= high and value < math.inf:
        return
    span = f"from {low} to {high}" if high < math.inf else f"{low} or more"
    raise InputError(f"{option(key)} must be {span}, got {shown(value)}")


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Settings)


def typed(key: str, value: Any, where: str = "") -> Any:
    """The value as its field's type; whole numbers pass for floats, nothing else is converted.

    key: a field of Settings. where: what the value was read from, for the error.
    """
    hint, name = _hints()[key], f"{where}{key}" if where else option(key)
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = tuple(getattr(kind, "__origin__", kind) for kind in kinds)
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise InputError(f"{name} is {shown(value)}: give one, or leave it out")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} must be a finite number, got {value}")
    in_range = type(value) is not int or abs(value) < 2**63
    if type(value) in kinds and in_range:
        return value
    if type(value) is int and float in kinds and in_range:
        return float(value)
    wanted = " or ".join(kind.__name__ for kind in kinds if kind is not types.NoneType)
    raise InputError(f"{where}{key} must be of type {wanted}, got {shown(value)}")
