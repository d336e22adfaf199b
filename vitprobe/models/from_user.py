"""A user's own models: `package.module:callable`, importable as usual or from the current folder.

The callable (a function or a class) returns an nn.Module. It is given the
arguments of the spec, and `num_classes` and `image_size` or `img_size` only if its signature has
parameters of these names.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from vitprobe.errors import InputError, brief, did_you_mean
from vitprobe.models.architecture import Architecture
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.source import Frame, Source


class UserSource(Source):
    """One callable of a user's module."""

    def __init__(self, name: str):
        super().__init__(name)
        self.make = _imported(name)
        self.arguments: dict[str, Any] = {}
        try:
            self.parameters = inspect.signature(self.make).parameters
        except (TypeError, ValueError):  # compiled code may have no signature
            self.parameters = {}
        sized = (key for key in ("image_size", "img_size") if key in self.parameters)
        self.size_key = next(sized, None)
        self.takes_classes = "num_classes" in self.parameters

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        unknown = [key for key in given if key not in self.parameters]
        open_ended = any(p.kind is p.VAR_KEYWORD for p in self.parameters.values())
        if unknown and not open_ended:
            near = did_you_mean(unknown[0], self.parameters)
            takes = f": it takes {', '.join(self.parameters) or 'none'}"
            raise InputError(f"{self.name} has no argument {unknown[0]!r}{near or takes}")
        if dict(given) == self.arguments:
            return self
        new = copy(self)
        new.arguments = dict(given)
        return new

    def default_size(self, fallback: int | None) -> Frame | None:
        """The signature's own; the fallback only where the callable can't do without a size."""
        if self.size_key is None:
            return None
        own = self.parameters[self.size_key].default
        side = fallback or 32 if own is inspect.Parameter.empty else own
        return (side, side) if isinstance(side, int) else None

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        options = dict(self.arguments)
        if num_classes is not None and self.takes_classes:
            options["num_classes"] = num_classes
        if size is not None and self.size_key is not None:
            options[self.size_key] = size[0] if size[0] == size[1] else size
        with _current_folder_first():
            model = self.make(**options)
        if not isinstance(model, nn.Module):
            raise InputError(
                f"{self.name} gave a {type(model).__name__}: it must return a torch.nn.Module"
            )
        if any(is_lazy(weight) for weight in model.parameters()):
            raise InputError(
                f"{self.name} has lazy layers, which have no weights yet: let it run an image "
                "through the model before it returns it"
            )
        return model


def _imported(name: str):
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute or attribute.startswith("@"):
        raise InputError(f"model {name!r} is no package.module:callable: name both")
    try:
        with _current_folder_first():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(f"importing {module_name} failed: {brief(error)}") from error
        raise InputError(
            f"no module {error.name!r} for model {name}: install it or run in its folder"
        ) from error
    except Exception as error:  # the user's own code may raise anything
        raise InputError(f"importing {module_name} failed: {brief(error)}") from error
    make = getattr(module, attribute, None)
    if not callable(make):
        public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        near = did_you_mean(attribute, [key for key, value in public.items() if callable(value)])
        raise InputError(f"module {module_name} has no callable {attribute!r}{near}")
    return make


@contextmanager
def _current_folder_first() -> Iterator[None]:
    """The current folder at the head of sys.path, as it is for `python -m`."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
