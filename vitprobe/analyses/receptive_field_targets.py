"""Which activations of a model have a receptive field: its layers, and around its residual sums."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import torch

from vitprobe.errors import InputError, option
from vitprobe.models.residual import ResidualSum, residual_sums
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import Site, select
from vitprobe.taps.centres import Grid, grid_of
from vitprobe.taps.image_gradients import Target, forward

SUBLAYERS = ("attention", "mlp")


def targets_of(
    model: Surveyed, layers, residual: str
) -> tuple[list[Target], dict[str, str], list[str]]:
    """What there is to look at in a model, in no order; what is left out, name -> reason; notes.

    layers: as `taps.select` takes them, or None: with `post` the blocks and, of residual sums that
    belong to attention or an MLP, each; with `pre` every residual sum. Where a name of a layer is
    that of such a sum, the sum is meant.

    Raises:
        InputError: nothing is meant, or nothing that has a position in the image.
    """
    label = model.subject.label
    sums = residual_sums(model.subject.model, model.images)
    if residual == "post":
        sums = [each for each in sums if each.kind in SUBLAYERS]
    elif not sums:
        raise InputError(
            f"{label} has no residual sums, and nothing that is before them: "
            f"use {option('residual', 'post')}"
        )
    sums, sites, notes = _asked(model, sums, layers, residual)
    targets, left_out = [], {}
    for site in sites:
        grid = grid_of(model.subject.model, site, model.image_size)
        kind = "block" if site.block == site.module and site.block else "layer"
        if isinstance(grid, str):
            left_out[site.name] = grid
        else:
            targets.append(Target(site.name, kind, grid, site=site))
    for each, grid in _grids(model, sums).items():
        if isinstance(grid, str):
            left_out[each.name] = grid
        else:
            targets.append(Target(each.name, each.kind, grid, sum=each, branch=residual == "pre"))
    if not targets:
        name, why = next(iter(left_out.items()))
        raise InputError(f"no layer of {label} that was asked for can be read: {name}: {why}")
    return targets, left_out, notes


def _asked(
    model: Surveyed, sums: Sequence[ResidualSum], layers, residual: str
) -> tuple[list[ResidualSum], list[Site], list[str]]:
    if layers is None:
        sites, note = [], ""
        if residual == "post":
            found = select(model.sites, "blocks")
            sites, note = [site for site in found.sites if site.module], found.note
        return list(sums), sites, [note] if note else []
    one = isinstance(layers, str | type) or not isinstance(layers, Iterable)
    patterns = [layers] if one else list(layers)
    named = {
        pattern: [each for each in sums if fnmatchcase(each.name, pattern)]
        for pattern in patterns
        if isinstance(pattern, str)
    }
    others = [pattern for pattern in patterns if not named.get(pattern) or "*" in str(pattern)]
    chosen = {each.name: each for found in named.values() for each in found}
    sites, notes = [], []
    if others:
        try:
            found = select(model.sites, others)
            sites, notes = list(found.sites), [found.note] if found.note else []
        except InputError:
            if not chosen:  # a glob over names of sums alone
                raise
    if residual == "pre":
        names = {site.name for site in sites}
        chosen |= {each.name: each for each in sums if {each.name, each.block} & names}
        if not chosen:
            raise InputError(
                f"none of these layers of {model.subject.label} has a residual sum of its own: it "
                f"has {', '.join(each.name for each in sums[:3])}, ..."
            )
        return list(chosen.values()), [], notes
    return list(chosen.values()), [site for site in sites if site.name not in chosen], notes


def _grids(model: Surveyed, sums: Sequence[ResidualSum]) -> dict[ResidualSum, Grid | str]:
    """Where the positions of residual sums are: as in a layer that gives such a tensor, of the
    block where there is one."""
    module, some = model.subject.model, model.images[:2]
    shapes: dict[str, torch.Size] = {}
    plain = [Target(each.name, each.kind, None, sum=each) for each in sums]
    forward(module, some, plain, lambda target, x: shapes.__setitem__(target.name, x.shape))
    found = {}
    for each in sums:
        shape = shapes.get(each.name)
        like = [
            site
            for site in model.sites
            if shape is not None
            and site.where is not None
            and site.where.count(shape, site.shape) == len(some)
        ]
        own = [site for site in like if each.block and site.block == each.block]
        fit = [site for site in (*own, *like) if not isinstance(site.tokens, str)] or like
        found[each] = (
            grid_of(module, fit[0], model.image_size)
            if fit
            else "no position in the image: no layer gives a tensor of its shape"
        )
    return found
