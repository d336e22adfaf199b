"""The residual branches of a model, read where they are added, with the examples first."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.data.model_input import ModelInput, run
from vitprobe.errors import InputError
from vitprobe.models import unwrapped
from vitprobe.models.quantised import has_quantised
from vitprobe.models.residual import ResidualSum, residual_calls, residual_sums
from vitprobe.models.restore import as_found
from vitprobe.models.sum_calls import SumCall, SumKey
from vitprobe.taps.axes import ExampleAxis, difference, foldings, rounding, sample, scaled_axis
from vitprobe.taps.given import given
from vitprobe.taps.hooks import hooked
from vitprobe.taps.three import three_of
from vitprobe.taps.tokens import TokenReader, TokenView

# Images 0 and 1; then with one more, each in another place.
_TWO = [0, 1]
_MOVED = [2, 0, 1]
_LAYERS = (nn.Conv2d, nn.Linear)  # whose outputs' shapes tell tokens from channels
_MOVED_BACK = [_MOVED.index(i) for i in _TWO]


@dataclass(frozen=True)
class ResidualSite:
    """A residual sum, and how its examples lie in both operands.

    sum: which one it is. shape: of one example, in `where.view`. where: the examples; None where
    they cannot be read. tokens: where they are in `shape`, or why that cannot be told. reason: why
    it cannot be read, or "".
    """

    sum: ResidualSum
    shape: tuple[int, ...] = ()
    where: ExampleAxis | None = None
    tokens: TokenView | str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """As in ResidualSum."""
        return self.sum.name


Take = Callable[[ResidualSite, Tensor, Tensor], None]


def residual_sites(model: nn.Module, images: Any) -> list[ResidualSite]:
    """Every residual sum of a model, in the order in which they are made; [] where there is none.

    The model runs on two images and on three, in eval mode, and is left as found; once more on the
    two where examples are not on the first axis.

    Args:
        model: any module, also in a wrapper.
        images: (n, ...) as the model takes them, or a tuple, list or mapping (see
            vitprobe.data.takes); one is enough (noise makes others of it).

    Raises:
        InputError: no image, or no floating-point one; a TorchScript program.
    """
    model = unwrapped(model)
    three = three_of(given(model, images))
    layers = {p: m for p, m in model.named_modules() if isinstance(m, _LAYERS)}
    shapes: dict[bool, dict[tuple[int, ...], None]] = {True: {}, False: {}}  # maps, others

    def observe(path: str, call: int, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 2 and len(output) == len(_TWO):
            shapes[isinstance(layers[path], nn.Conv2d)][tuple(output.shape[1:])] = None

    two: dict[SumKey, _Seen] = {}
    with torch.inference_mode(False):
        with hooked(model, layers, observe, two.clear):
            sums = residual_sums(
                model, three[_TWO], lambda key, z, f: two.update({key: _seen(f, _likely(f))})
            )
        if not sums:
            return []
        moved = _run(model, sums, three[_MOVED], lambda key, f: _scaled(two[key].shape, f))
        if any(moved[key].samples.keys() - two[key].samples.keys() for key in moved):
            two = _run(model, sums, three[_TWO], lambda key, f: list(moved[key].samples))
    tolerance = rounding({seen.dtype for seen in two.values()}, three.device, has_quantised(model))
    sites = [_site(each, two[each.key], moved[each.key], tolerance) for each in sums]
    maps, others = shapes[True], shapes[False]
    kept = [site.shape for site in sites if site.where]
    reader = TokenReader(model, [*kept, *maps, *others], maps)
    return [_with_tokens(site, reader) for site in sites]


@contextmanager
def capture_residuals(
    model: nn.Module, sites: Sequence[ResidualSite], take: Take
) -> Iterator[None]:
    """Inside, every forward hands the two operands of each of these sums to `take(site, z, f)`,
    before the sum is made.

    z: the skip; f: the long branch as it is added, after layer scale and stochastic depth. Both
    (n, ...) of the site's shape: views, to be read at once and not written. The number of examples
    may differ between forwards. The model runs in eval mode, without gradients, and is left as
    found, also when the forward or `take` raises. A sum that is not made gets no call.

    Raises InputError before any forward for a site that cannot be read, and inside the forward
    when it has not the shape that it had when it was looked for.
    """
    for site in sites:
        if site.reason:
            raise InputError(f"the skip of {site.name!r} cannot be read: {site.reason}")
    by_sum = {site.sum: site for site in sites}

    def act(each: ResidualSum, call: SumCall) -> Tensor:
        site = by_sum[each]
        parts = each.parts(call)
        for part in parts:
            if site.where.count(part.shape, site.shape) is None:
                raise InputError(
                    f"the skip of {site.name!r} has the shape {tuple(part.shape)}, but "
                    f"{site.shape} per example when it was looked for: look for it with images of "
                    "this size"
                )
        take(site, *map(site.where.view, parts))
        return call.add()

    with as_found(unwrapped(model)), torch.no_grad(), residual_calls(model, list(by_sum), act):
        yield


@dataclass(frozen=True)
class _Seen:
    """What is kept of one sum of one run."""

    shape: tuple[int, ...] = ()
    dtype: torch.dtype | None = None
    samples: dict[ExampleAxis, Tensor] = field(default_factory=dict)
    reason: str = "it is made in some forwards only"


_Guess = Callable[[SumKey, Tensor], list[ExampleAxis] | str]  # where the examples may be


def _run(
    model: nn.Module, sums: Sequence[ResidualSum], images: Tensor | ModelInput, guess: _Guess
) -> dict[SumKey, _Seen]:
    found = {each.key: _Seen() for each in sums}

    def act(each: ResidualSum, call: SumCall) -> Tensor:
        _, f = each.parts(call)
        found[each.key] = _seen(f, guess(each.key, f))
        return call.add()

    with as_found(model), torch.no_grad(), residual_calls(model, sums, act):
        run(model, images)
    return found


def _seen(f: Tensor, where: list[ExampleAxis] | str) -> _Seen:
    if isinstance(where, str):
        return _Seen(tuple(f.shape), f.dtype, reason=where)
    return _Seen(tuple(f.shape), f.dtype, {axis: sample(f, axis) for axis in where}, "")


def _likely(f: Tensor) -> list[ExampleAxis]:
    """Where the examples of a first forward lie most often: on the first axis."""
    k, rest = divmod(len(f), len(_TWO))
    return [] if rest else foldings(0, k)


def _scaled(shape: tuple[int, ...], f: Tensor) -> list[ExampleAxis] | str:
    found = scaled_axis(shape, len(_TWO), tuple(f.shape), len(_MOVED))
    return found if isinstance(found, str) else foldings(*found)


def _site(each: ResidualSum, two: _Seen, moved: _Seen, tolerance: float) -> ResidualSite:
    reason = moved.reason or two.reason
    if reason:
        return ResidualSite(each, reason=reason)
    errors = {
        where: difference(values[_MOVED_BACK], two.samples[where])
        for where, values in moved.samples.items()
    }
    where = min(errors, key=errors.__getitem__)  # the first of equals
    if errors[where] > tolerance:
        return ResidualSite(
            each,
            reason="it is not the same for an image wherever in the batch that is: mixed, or by "
            "chance",
        )
    return ResidualSite(each, where.per_example(two.shape), where)


def _with_tokens(site: ResidualSite, reader: TokenReader) -> ResidualSite:
    if site.where is None:
        return site
    return replace(site, tokens=reader.read(site.shape, site.where.folded))
