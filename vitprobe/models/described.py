"""What a built model says of itself: `transform` and `provenance`."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError
from vitprobe.models import stored
from vitprobe.models.checkpoints import state_sha256
from vitprobe.models.from_file import Loaded
from vitprobe.models.from_user import UserSource
from vitprobe.models.given import AS_GIVEN, input_channels
from vitprobe.models.spec import RANDOM, Spec
from vitprobe.text import LINE, printable


def described(loaded: Loaded, spec: Spec) -> nn.Module:
    """The model with its `transform` and `provenance`."""
    model, source, checkpoint = loaded.model, loaded.source, loaded.checkpoint
    num_classes, size = loaded.num_classes, loaded.size
    for taken in ("transform", "provenance"):
        if hasattr(model, taken):
            raise InputError(f"{source.name} has an attribute {taken!r} of its own: rename it")
    transform: Transform = source.transform(size)
    if checkpoint is not None and (held := stored.normalization(checkpoint.metadata)):
        mean, std = held
        transform = replace(transform, mean=mean, std=std)
    transform = replace(transform, channels=input_channels(model))
    if num_classes is None:
        own = getattr(model, "num_classes", 0)
        num_classes = own if isinstance(own, int) else 0
    square = size is None or size[0] == size[1]
    weights, as_typed = spec.weights, str(spec)
    if isinstance(source, UserSource) and spec.weights == RANDOM:  # trained or not: only it knows
        weights, as_typed = f"{AS_GIVEN} by {source.name}", spec.model
    model.transform = transform
    model.provenance = {
        "spec": as_typed,
        "name": source.name,
        "weights": weights,
        "weights_sha256": checkpoint.sha256 if checkpoint else state_sha256(model.state_dict()),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "num_classes": num_classes,
        "image_size": (size[0] if size else 0) if square else f"{size[0]} x {size[1]}",
        "architecture": dict(source.architecture),
        "weights_key": "",
        "weights_prefix": "",
        "inferred": {},
        "left_out": [],
        "revision": source.revision,
        **loaded.facts,
        "note": printable(loaded.note, LINE),
    }
    return model
