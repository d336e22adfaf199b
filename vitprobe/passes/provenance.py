"""Where the numbers come from, as attributes that a netCDF file can hold."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from vitprobe.passes.inputs import Inputs
from vitprobe.passes.subjects import Subject
from vitprobe.text import printable


def model_facts(key: str, subject: Subject) -> dict:
    """The model's label under `key`, and `key_spec`, `key_weights`, `key_image_size`, ..."""
    facts = {key: as_attribute(subject.label)}
    for name, value in subject.provenance.items():
        facts[f"{key}_{name}"] = as_attribute(value)
    facts[f"{key}_image_size"] = as_attribute(subject.transform.image_size)
    for name in ("mean", "std"):
        values = getattr(subject.transform, name)
        facts[f"{key}_{name}"] = as_attribute(values and [round(value, 4) for value in values])
    return facts


def data_facts(inputs: Inputs) -> dict:
    """What decides the numbers, beside the models and what is asked of them: the images. And which
    options of theirs were given, where the rest does not tell."""
    loader, options = inputs.loader, inputs.options
    return {
        "dataset": as_attribute(loader.name),
        "split": inputs.split,
        "examples_planned": loader.examples or 0,  # 0: a stream's are not known
        "batch_size": loader.batch_size or 0,
        "order": loader.order,
        "seed": options.seed,
        "ignore_orientation": int(options.ignore_orientation),
        "skip_bad_images": int(options.skip_bad_images),
        "dtype": options.precision,
        "examples_asked": options.examples or 0,
        "image_size_asked": options.image_size or 0,
    }


def facts_of_each(
    analysis: str, inputs: Inputs, asked: Mapping[str, Any] = MappingProxyType({})
) -> list[dict]:
    """For each model by itself what decides the numbers: `Reader.facts` of most analyses.

    asked: what is asked of them, beside models and images, as attributes.
    """
    shared = {**data_facts(inputs), **asked}
    return [
        {"analysis": analysis, **model_facts("model", subject), **shared}
        for subject in inputs.subjects
    ]


def run_attributes(facts: Mapping[str, Any]) -> dict:
    """The facts that decide a result and are known before it; and `run`, their SHA-256: two results
    that share it are of one run."""
    return {**facts, "run": run_id(facts)}


def run_id(facts: Mapping[str, Any]) -> str:
    """SHA-256 of facts, in hex."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()


def versions() -> dict:
    """`vitprobe_version`, `torch_version`, `timm_version`."""
    return {f"{name}_version": version(name) for name in ("vitprobe", "torch", "timm")}


def device_name(device: torch.device) -> str:
    """`cpu`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def as_attribute(value):
    """What a netCDF attribute can hold: numbers and strings as they are, the rest as text."""
    if isinstance(value, str):
        return printable(value, None)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(key)} {as_attribute(item)}" for key, item in value.items())
    if isinstance(value, Sequence):
        return ", ".join(str(as_attribute(item)) for item in value)
    return "" if value is None else printable(value, None)


def strings(values: Sequence[str]) -> np.ndarray:
    """Names as an array that xarray can write, also when there are none."""
    values = [printable(value, None) for value in values]
    return np.array(values, dtype=object) if len(values) else np.array([], dtype="<U1")
