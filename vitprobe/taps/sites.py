"""Sites: the places of a model where an activation can be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import torch

from vitprobe.errors import InputError, did_you_mean
from vitprobe.taps.axes import ExampleAxis
from vitprobe.taps.outputs import Keys
from vitprobe.taps.tokens import TokenView


@dataclass(frozen=True)
class Site:
    """One tensor that one call of one module gives, and how its examples lie in it."""

    name: str  # module path, `#2` for a second call, `[key]` for another tensor; the root: `output`
    module: str  # module path; "" is the root
    call: int  # 1 is the first call of the module in a forward
    keys: Keys | None  # way to the tensor in the output; None: the first (or only) tensor
    type: str  # class name of the module
    block: str = ""  # path of the block that the module is or is in; "" outside blocks
    shape: tuple[int, ...] = ()  # per-example shape, example axis taken out
    dtype: torch.dtype | None = None
    where: ExampleAxis | None = None  # None where it is left out
    tokens: TokenView | str = ""  # the tokens, or why there are none
    twin: str | None = None  # the earlier site whose very tensor this is
    written: bool = False  # in place, later in the forward: to be read at once or never
    reason: str | None = None  # why it is left out

    @property
    def example_axis(self) -> int | None:
        """The axis of the module's output in which the examples are."""
        return None if self.where is None else self.where.axis

    @property
    def element(self):
        """None for the first tensor of an output; else its index or key (a tuple when nested)."""
        return self.keys[0] if self.keys is not None and len(self.keys) == 1 else self.keys

    @property
    def features(self) -> int:
        """Numbers per example; 0 where there is no tensor."""
        return 0 if self.where is None else torch.Size(self.shape).numel()


class Survey(Sequence[Site]):
    """The sites of a model in the order in which they fire, then the modules that never fire.

    `survey[3]`, or by name: `survey["blocks.0.mlp"]`.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        types: dict[str, type],  # class of every module, by path
        aliases: dict[str, str],  # another path of a shared module -> its first path
        blocks_note: str = "",  # which modules stand for blocks, where there are none
        listed: str = "`vitprobe layers MODEL` lists them",  # how to learn the names, in words
    ):
        self.sites = tuple(sites)
        self.types = types
        self.aliases = aliases
        self.blocks_note = blocks_note
        self.listed = listed
        self.by_name = {site.name: site for site in self.sites}

    def __len__(self) -> int:
        return len(self.sites)

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    @overload
    def __getitem__(self, index: int | str) -> Site: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Site, ...]: ...
    def __getitem__(self, index):
        if not isinstance(index, str):
            return self.sites[index]
        if index in self.by_name:
            return self.by_name[index]
        if index in self.aliases:
            first = self.aliases[index]
            raise InputError(
                f"{index!r} is the same module as {first!r}: "
                f"ask for {first!r}, or for {first + '#2'!r} if it is called twice"
            )
        raise InputError(
            f"unknown layer {index!r}: {self.listed}{did_you_mean(index, self.by_name)}"
        )
