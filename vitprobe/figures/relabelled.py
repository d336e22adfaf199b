"""Other names for the models of results."""

from collections.abc import Hashable, Sequence

import numpy as np
import xarray

from vitprobe.errors import InputError, option

# which result; the attribute, or the coordinate and which of it
Place = tuple[int, str | tuple[str, int]]
DIMS = ("model", "checkpoint")  # of results that hold several models


def view_of(dataset: xarray.Dataset, side: str) -> Hashable:
    """What makes one side of a result of two models the same as another: label, weights, tokens,
    layers."""
    attrs = dataset.attrs
    facts = [attrs.get(f"model_{side}{end}") for end in ("", "_weights_sha256")]
    tokens = attrs.get(f"tokens_{side}", attrs.get("tokens"))
    layers = dataset.coords.get(f"layer_{side}")
    names = () if layers is None else tuple(str(name) for name in layers.values)
    return (*facts, tokens, names)


def relabelled(datasets: Sequence[xarray.Dataset], labels: Sequence[str]) -> list[xarray.Dataset]:
    """The same results, whose models are called so, in the order in which they first appear.

    A model of results of pairs counts once; of results of one model each has a label.

    Raises:
        InputError: too few labels, or too many.
    """
    places = _places(datasets)
    labels = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    if len(labels) != len(places):
        models = ", ".join(_label(datasets, found[0]) for found in places.values())
        raise InputError(
            f"{option('labels')} has {len(labels)} names for {len(places)} models: {models}"
        )
    renamed = list(datasets)
    for label, found in zip(labels, places.values(), strict=True):
        for k, key in found:
            if isinstance(key, str):
                renamed[k] = renamed[k].assign_attrs({key: label})
            else:
                dim, place = key
                names = renamed[k][dim].values.astype(object)
                names = np.where(np.arange(len(names)) == place, label, names)
                renamed[k] = renamed[k].assign_coords({dim: names})
    return renamed


def _places(datasets: Sequence[xarray.Dataset]) -> dict[Hashable, list[Place]]:
    """Of each model the places where its name stands."""
    found: dict[Hashable, list[Place]] = {}
    for k, dataset in enumerate(datasets):
        dims = [dim for dim in DIMS if dim in dataset.dims]
        for dim in dims:
            found |= {(k, i): [(k, (dim, i))] for i in range(dataset.sizes[dim])}
        if not dims and "model" in dataset.attrs:
            found[k] = [(k, "model")]
        for side in "ab":
            if f"model_{side}" in dataset.attrs:
                found.setdefault(view_of(dataset, side), []).append((k, f"model_{side}"))
    return found


def _label(datasets: Sequence[xarray.Dataset], place: Place) -> str:
    k, key = place
    if isinstance(key, str):
        return str(datasets[k].attrs[key])
    return str(datasets[k][key[0]].values[key[1]])
