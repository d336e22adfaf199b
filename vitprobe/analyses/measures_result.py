"""Values of measures -> variables of the labelled Dataset of one pair of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from vitprobe.analyses.cka_result import PairLayers, layers_dataset
from vitprobe.analyses.measures_sums import Found, needs_all
from vitprobe.measures import Chosen
from vitprobe.passes.provenance import run_attributes, strings, versions


def variables_of(a: PairLayers, b: PairLayers, found: Mapping[Chosen, Found]) -> dict[str, Any]:
    """For each measure its values, their standard errors, and why layers have none."""
    dims, variables = ("layer_a", "layer_b"), {}
    for measure, (value, se, reasons) in found.items():
        key = measure.key
        told = {
            "measure": measure.spec,
            "long_name": measure.measure.title,
            "distance": int(measure.distance),
            **{f"option_{name}": option for name, option in measure.options.items()},
        }
        square = value[a.rows][:, b.rows].cpu().numpy()
        error = se[a.rows][:, b.rows].cpu().numpy()
        variables[key] = (dims, square, told)
        none = " (it is of all examples together: NaN)" if needs_all(measure) else ""
        variables[f"{key}_se"] = (dims, error, {"long_name": f"standard error of {key}{none}"})
        for side, layers in (("a", a), ("b", b)):
            texts = strings([reasons[row] for row in layers.rows])
            said = {"long_name": f"why a layer has no {key}"}
            variables[f"{key}_blank_{side}"] = (f"layer_{side}", texts, said)
    return variables


def measures_dataset(
    a: PairLayers,
    b: PairLayers,
    found: Mapping[Chosen, Found],
    facts: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Layers a and b out of all layers' values, with names, reasons and provenance."""
    dataset = layers_dataset(a, b, variables_of(a, b, found))
    dataset.attrs = {**run_attributes(facts), **attributes, **versions()}
    return dataset


def compared(dataset: xr.Dataset) -> list[str]:
    """The variables that a layer has with each other layer: `cka`, `cka_se`, `rsa`, `rsa_se`..."""
    names = [name for name in dataset.data_vars if "measure" in dataset[name].attrs]
    names = [name for name in ("cka", *names) if name in dataset]
    return [each for name in names for each in (name, f"{name}_se")]
