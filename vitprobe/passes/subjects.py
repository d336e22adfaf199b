"""The models of an analysis: as a user names them, loaded, with what each wants of an image."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader

from vitprobe.data import ImageData, ImageStream, Transform
from vitprobe.data.batch import class_count
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.models import (
    build_model,
    device_of,
    dtype_of,
    given_provenance,
    transform_of,
    unwrapped,
)
from vitprobe.models.spec import split_label
from vitprobe.taps import StoredFeatures
from vitprobe.text import printable

OneModel = str | nn.Module
ModelLike = OneModel | Mapping[str, OneModel]


@dataclass(frozen=True)
class Named:
    """A model as it was given.

    label: what it is called in results: the user's word, else the spec, else the class's name.
    model: a spec, or a module without its wrappers. chosen: whether the label is the user's.
    """

    label: str
    model: str | nn.Module
    chosen: bool = False


@dataclass(frozen=True)
class Subject:
    """One model to look at: its label in the result, what it wants done to an image, its origin."""

    model: nn.Module
    label: str
    transform: Transform
    provenance: dict

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in: the type of its first floating-point parameter."""
        return dtype_of(self.model)


def listed(models: ModelLike | Sequence[ModelLike]) -> list[ModelLike]:
    """One or several models as a list."""
    if isinstance(models, Sequence) and not isinstance(models, str):
        return list(models)
    return [models]


def named_models(models: Sequence[ModelLike]) -> list[Named]:
    """Models with their labels, in order: `vit`, `early=vit@early.pt`, a module, or a dict of such
    under their labels. A label that two modules would share is numbered.

    Raises:
        InputError: something else than a model, one label for two models, two for one.
    """
    found = []
    for given in models:
        if isinstance(given, Mapping):
            found += [_named(label, model) for label, model in given.items()]
        else:
            found.append(_named(None, given))
    for place, one in enumerate(found):
        for other in found[:place]:
            same = one.model is other.model or one.model == other.model
            if one.label == other.label and (one.chosen or other.chosen) and not same:
                raise InputError(f"two models are called {one.label!r}: give each its own label")
            if same and one.label != other.label:
                raise InputError(
                    f"{other.label} and {one.label} are one model: name it once, or twice alike"
                )
    return _numbered(found)


def _named(label: object, model: object) -> Named:
    if not isinstance(model, (str, nn.Module)):
        raise InputError(
            f"a model is a spec such as 'vit' or a torch.nn.Module, not {type(model).__name__}"
        )
    if isinstance(model, str):
        own, model = split_label(model)
        label = own or model if label is None else label
        return Named(_label(label), model, chosen=label != model)
    model = unwrapped(model)
    if label is None:
        return Named(type(model).__name__, model)
    return Named(_label(label), model, chosen=True)


def _label(label: object) -> str:
    if not isinstance(label, str) or not label.strip():
        raise InputError(f"the label of a model is a text such as 'early', not {label!r}")
    return printable(label.strip(), None)


def _numbered(found: list[Named]) -> list[Named]:
    """Two modules of one class get numbers, so that no two models share a label."""
    of_label: dict[str, list] = {}
    for one in found:
        if not any(one.model is other for other in of_label.setdefault(one.label, [])):
            of_label[one.label].append(one.model)

    def numbered(one: Named) -> Named:
        others = of_label[one.label]
        if len(others) == 1 or isinstance(one.model, str):
            return one
        number = next(k for k, other in enumerate(others, 1) if other is one.model)
        return replace(one, label=f"{one.label} ({number})")

    return [numbered(one) for one in found]


@contextmanager
def moved(model: nn.Module, device: torch.device) -> Iterator[None]:
    """The model on the device inside, back where it was outside."""
    home = device_of(model)
    if home is None or home == device:
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.to(home)


def make_subject(named: Named, data, options: InputOptions) -> Subject:
    """One model, loaded where it is a spec, with the transform that fits it to the data.

    Tensors and DataLoaders are taken as they are: nothing is done to their images, and nothing is
    claimed to be.

    Raises:
        InputError: a model that cannot be had.
    """
    model, data_size = named.model, _image_size(data)
    if isinstance(model, StoredFeatures):
        return Subject(model, named.label, Transform(), model.provenance)
    if isinstance(model, str):
        model = build_model(
            model,
            fallback_classes=class_count(data),
            image_size=options.image_size,
            fallback_image_size=data_size,
            seed=options.seed,
        )
        provenance = model.provenance
    elif any(is_lazy(parameter) for parameter in model.parameters()):
        raise InputError(f"{named.label} has lazy parameters without values: run it once first")
    else:
        provenance = given_provenance(model)
    transform = transform_of(model)
    asked = {key: getattr(options, key) for key in ("image_size", "mean", "std")}
    transform = replace(transform, **{key: value for key, value in asked.items() if value})
    if isinstance(data, (ImageData, ImageStream)):
        transform = transform.filled(image_size=data_size, mean=data.mean, std=data.std)
    if is_as_given(data):
        transform = Transform()
    return Subject(model, named.label, transform, provenance)


def is_as_given(data) -> bool:
    """Whether the data hold images that are models' inputs already."""
    return isinstance(data, (Tensor, DataLoader))


def _image_size(data) -> int | None:
    """Side of the data's images in pixels, where they have one in common."""
    if isinstance(data, Tensor):
        return data.shape[-1] if data.ndim == 4 else None
    return getattr(data.dataset if isinstance(data, DataLoader) else data, "image_size", None)
