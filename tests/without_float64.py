"""A stand-in for Apple's GPU on machines without one: a device that has no float64.

Its tensors hold CPU tensors, which the operators compute with. An operator that takes or gives
float64 on the device raises TypeError, also on the way to the CPU, and so do operators on tensors
of both devices. It tells nothing of which operators the real device lacks, of its rounding or its
speed. torch takes one such device a process, for good: tests use it in a child.
"""

from contextlib import contextmanager
from functools import cache

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "standin"
aten = torch.ops.aten
BETWEEN = (aten._to_copy.default, aten.copy_.default)  # devices
INDEXED = ("index.", "index_put", "_index_put")  # by tensors that may be on the CPU


class Held(torch.Tensor):
    """A tensor of the stand-in; `held` has the numbers."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME, 0),
        )

    def __init__(self, held: torch.Tensor):
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})


class Factories(TorchDispatchMode):
    """In here tensors may be made on the stand-in. operators: what it was asked to compute."""

    def __init__(self):
        super().__init__()
        self.operators: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(isinstance(x, Held) for x in tree_leaves((args, kwargs))):
            self.operators.add(str(func).removeprefix("aten."))
        return computed(func, args, kwargs or {})


def computed(func, args, kwargs):
    """The operator on what is held; its results are on the device where they would be."""
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    own = [x for x in given if isinstance(x, Held)]
    asked = None if kwargs.get("device") is None else torch.device(kwargs["device"])
    if not own and (asked is None or asked.type != NAME):
        return func(*args, **kwargs)
    name = str(func).removeprefix("aten.")
    others = [x for x in given if not isinstance(x, Held) and x.ndim]
    if own and others and func not in BETWEEN and not name.startswith(INDEXED):
        raise TypeError(f"{name}: tensors on {NAME} and on cpu")
    arguments, options = tree_map(lambda x: getattr(x, "held", x), (args, kwargs))
    if asked is not None:
        options["device"] = torch.device("cpu")
    found = func(*arguments, **options)
    on_device = bool(own) if asked is None else asked.type == NAME
    if func is aten.copy_.default:
        on_device = isinstance(args[0], Held)
    touched = [x.dtype for x in own]
    touched += [x.dtype for x in tree_leaves(found) if isinstance(x, torch.Tensor) and own]
    if on_device:
        touched += [x.dtype for x in tree_leaves(found) if isinstance(x, torch.Tensor)]
    if torch.float64 in touched:
        raise TypeError(f"{name}: {NAME} has no float64")
    if not on_device:
        return found
    known = {id(x.held): x for x in own}  # an operator in place gives its own tensor

    def placed(x):
        return known.get(id(x), x if not isinstance(x, torch.Tensor) else Held(x))

    return tree_map(placed, found)


class Backend:
    """What torch asks a device of others for."""

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def is_initialized() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        pass

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16]


@cache
def registered() -> torch.device:
    """The stand-in, known to torch from now on."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(NAME, Backend)
    for name, kernel in (("empty_strided", _empty_strided), ("_copy_from", _copy_from)):
        KERNELS.impl(name, kernel, "PrivateUse1")
    return torch.device(NAME, 0)


KERNELS = torch.library.Library("aten", "IMPL")  # for what torch asks past all modes: x[[0, 1]]


def _empty_strided(size, stride, *, dtype=None, **options):
    return Held(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source, target, non_blocking=False):
    getattr(target, "held", target).copy_(getattr(source, "held", source))
    return target


@contextmanager
def stand_in():
    """In here `--device mps` is the stand-in."""
    device = registered()
    kept = torch.__future__.get_overwrite_module_params_on_conversion()
    with pytest.MonkeyPatch.context() as patch, Factories() as mode:
        patch.setattr("vitprobe.models.device.apple_gpu", lambda: device)
        patch.setattr("vitprobe.ops.wide.WITHOUT_FLOAT64", (NAME,))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            yield mode
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(kept)
