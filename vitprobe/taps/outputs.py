"""The tensors in what a module returns, and how each is named."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch

Keys = tuple[Any, ...]  # the way from a module's output to a tensor in it: () is the output itself


def tensors(output: Any) -> list[tuple[Keys | None, torch.Tensor]]:
    """Every tensor in a (nested) tuple, list, mapping or dataclass, in order, with its keys.

    The first has the keys `None`: it stands for the module. An output without tensors gives `[]`.
    A quantised tensor comes as the float32 numbers that it stands for.
    """
    if isinstance(output, torch.Tensor):
        return [(None, _as_numbers(output))]
    found = list(_walk(output, ()))
    return [(None if i == 0 else keys, tensor) for i, (keys, tensor) in enumerate(found)]


def _walk(value: Any, keys: Keys) -> Iterator[tuple[Keys, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield keys, _as_numbers(value)
        return
    if isinstance(value, Mapping):  # also an OrderedDict such as transformers' ModelOutput
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    else:
        return
    for key, item in items:
        yield from _walk(item, (*keys, key))


def _as_numbers(x: torch.Tensor) -> torch.Tensor:
    return x.dequantize() if x.is_quantized else x


def site_name(path: str, call: int, keys: Keys | None) -> str:
    """`blocks.0.attn`, `relu#2` (second call), `lstm[1]`, `encoder[states][3]`; the root: `output`.

    A child of the root that is itself called `output` gets a leading dot: names stay unique.
    """
    name = {"": "output", "output": ".output"}.get(path, path)
    if call > 1:
        name += f"#{call}"
    return name + "".join(f"[{key}]" for key in keys or ())
