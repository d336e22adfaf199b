"""What the models of a study are like -> variables of its result, each at its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from vitprobe.analyses.study_look import Looked
from vitprobe.passes.provenance import strings

NONE = "this model has fewer of them"
# (names in the file, blocks of one model, of the one compared with) -> their partners' places
Match = Callable[[Sequence[str], Sequence[str]], list[int]]


@dataclass(frozen=True)
class Member:
    """One run of a study. place: along the result's dimensions, the last of which is the seed.

    label: the run's name. spec: of the trained model; "": there is none, and `reason` says why.
    reference: whether it is one of those that the others of its group are compared with.
    """

    label: str
    place: tuple[int, ...]
    spec: str = ""
    reason: str = ""
    reference: bool = False


def with_looks(
    dataset: xr.Dataset,
    groups: Sequence[tuple[Sequence[Member], Looked | None]],
    match: Match,
    compared_with: str,
) -> xr.Dataset:
    """The result of the training with what was seen of its models.

    dataset: with `accuracy` over the result's dimensions, the first of which is the model. groups:
    the runs that are compared with each other, and what was seen of them; None: no run has a
    model. match: which layer each is compared with. compared_with: what the references are, in
    words.
    """
    dims = dataset["accuracy"].dims
    sizes = [dataset.sizes[dim] for dim in dims]
    cka = _cka(sizes, dims, groups, match, compared_with)
    distance = _distance(sizes, dims, groups)
    skips = _skips(sizes, dims, groups)
    return dataset.assign({**cka, **distance, **skips}).assign_coords(
        group=strings(["patches", "cls", "registers"])
    )


def relative_places(blocks: Sequence[str], others: Sequence[str]) -> list[int]:
    """For each layer that of the same relative depth: block k of n with block k (N - 1) / (n - 1)
    of N, rounded, halves down; a single block with the last. The output is matched with the output.

    blocks, others: the block that each layer is, "" for the output.
    """
    own = [place for place, block in enumerate(blocks) if block]
    there = [place for place, block in enumerate(others) if block]
    places = [len(others) - 1] * len(blocks)
    steps, room = len(own) - 1, len(there) - 1
    for k, place in enumerate(own):
        if there:
            nearest = -(-(2 * k * room - steps) // (2 * steps)) if steps else room
            places[place] = there[nearest]
    return places


def same_places(blocks: Sequence[str], others: Sequence[str]) -> list[int]:
    """Each layer with itself."""
    return list(range(len(blocks)))


def relative_depths(blocks: Sequence[str]) -> list[float]:
    """0 for the first block, 1 for the last (and for a single one); NaN for the output."""
    own = [place for place, block in enumerate(blocks) if block]
    depths = [np.nan] * len(blocks)
    for k, place in enumerate(own):
        depths[place] = k / (len(own) - 1) if len(own) > 1 else 1.0
    return depths


def _cka(sizes, dims, groups, match: Match, compared_with: str) -> dict[str, tuple]:
    """CKA of each layer with that of the reference of the same seed, and of the others."""
    most = max([1, *(len(names) for _, seen in groups if seen for names in seen.layers.values())])
    values, errors, others = (np.full((*sizes, most), np.nan) for _ in range(3))
    blank, other_blank = (np.full((*sizes, most), "", dtype=object) for _ in range(2))
    names, blocks, matched = (np.full((sizes[0], most), "", dtype=object) for _ in range(3))
    depth = np.full((sizes[0], most), np.nan)
    for members, seen in groups:
        references = [each for each in members if each.reference]
        for each in members:
            if not each.spec or seen is None:
                blank[each.place] = other_blank[each.place] = each.reason
                continue
            own, model = seen.layers[each.label], each.place[0]
            count = len(own)
            names[model, :count], blocks[model, :count] = own, seen.blocks[each.label]
            depth[model, :count] = relative_depths(seen.blocks[each.label])
            reasons: dict[bool, str] = {}  # by whether the reference has the same seed
            found: list[np.ndarray] = []
            for reference in references:
                same = reference.place[-1] == each.place[-1]
                if not reference.spec:
                    reasons.setdefault(same, f"{compared_with} has no value: {reference.reason}")
                    continue
                label = reference.label
                places = match(seen.blocks[each.label], seen.blocks[label])
                matched[model, :count] = [seen.layers[label][place] for place in places]
                both = [of[np.arange(count), places] for of in seen.cka(each.label, label)]
                if same:
                    values[each.place][:count], errors[each.place][:count] = both
                    why = [seen.blanks[label][place] for place in places]
                    blank[each.place][:count] = [
                        a or b for a, b in zip(seen.blanks[each.label], why, strict=True)
                    ]
                    if reference is each:  # exactly, whatever rounding says
                        there = np.isfinite(values[each.place][:count])
                        values[each.place][:count][there] = 1.0
                        errors[each.place][:count][there] = 0.0
                else:
                    found.append(both[0])
            if True in reasons:
                blank[each.place] = reasons[True]
            if found:
                others[each.place][:count] = np.mean(found, axis=0)
                other_blank[each.place][:count] = [
                    "" if np.isfinite(value) else why or "a layer it is compared with is blank"
                    for value, why in zip(
                        others[each.place][:count], seen.blanks[each.label], strict=True
                    )
                ]
            else:
                other_blank[each.place] = reasons.get(False, "one seed: there is no other")
            for reasons_of in (blank, other_blank):
                reasons_of[each.place][count:] = NONE
    layer = (*dims, "layer")
    about = f"CKA with {compared_with}"
    return {
        "cka": (layer, values, {"long_name": f"{about} of the same seed"}),
        "cka_se": (layer, errors, {"long_name": "standard error of cka over batches"}),
        "cka_other_seeds": (layer, others, {"long_name": f"{about} of each other seed, mean"}),
        "cka_blank": (layer, blank),
        "cka_other_seeds_blank": (layer, other_blank),
        "layer_name": (("model", "layer"), names),
        "layer_block": (("model", "layer"), blocks),
        "matched_layer": (("model", "layer"), matched),
        "layer_depth": (("model", "layer"), depth),
    }


def _distance(sizes, dims, groups) -> dict[str, tuple]:
    """Attention distance, the mean over a layer's heads."""
    filled = _Filled(sizes, "attention", groups)
    values = filled.array()
    for each, of in filled.seen():
        distance = of["distance"].values
        count = len(distance)
        there = np.isfinite(distance)
        total = np.where(there, distance, 0).sum(1)
        values[each.place][:count] = np.where(
            there.any(1), total / np.maximum(there.sum(1), 1), np.nan
        )
    about = {"long_name": "mean attention distance of a layer's heads", "units": "px"}
    return {
        "distance": ((*dims, "attention_layer"), values, about),
        "distance_blank": ((*dims, "attention_layer"), filled.blank),
        "attention_layer_name": (("model", "attention_layer"), filled.names),
    }


def _skips(sizes, dims, groups) -> dict[str, tuple]:
    """|skip| / |branch|, of patches, class token and registers."""
    filled = _Filled(sizes, "skips", groups)
    values = filled.array(3)
    kinds = np.full(filled.names.shape, "", dtype=object)
    for each, of in filled.seen():
        kinds[each.place[0], : of.sizes["layer"]] = of["kind"].values
        ratio = of["ratio"].sel(group=["patches", "cls", "registers"]).values
        values[each.place][: len(ratio)] = ratio
    about = {"long_name": "norm of the skip over that of the long branch", "units": "1"}
    return {
        "skip_ratio": ((*dims, "skip_layer", "group"), values, about),
        "skip_blank": ((*dims, "skip_layer"), filled.blank),
        "skip_layer_name": (("model", "skip_layer"), filled.names),
        "skip_kind": (("model", "skip_layer"), kinds),
    }


class _Filled:
    """What an analysis of each model by itself fills: names, reasons of blanks, room for values."""

    def __init__(self, sizes, kind: str, groups):
        self.sizes, self.kind, self.groups = sizes, kind, groups
        held = [of for _, seen in groups if seen for of in getattr(seen, kind).values()]
        self.most = max([1, *(of.sizes["layer"] for of in held)])
        self.names = np.full((sizes[0], self.most), "", dtype=object)
        self.blank = np.full((*sizes, self.most), "", dtype=object)
        for members, seen in groups:
            for each in members:
                if not each.spec or seen is None:
                    self.blank[each.place] = each.reason
                elif each.label in seen.why[kind]:
                    self.blank[each.place] = seen.why[kind][each.label]
                else:
                    of = getattr(seen, kind)[each.label]
                    count = of.sizes["layer"]
                    self.names[each.place[0], :count] = of["layer"].values
                    self.blank[each.place][:count] = of["blank"].values
                    self.blank[each.place][count:] = NONE

    def array(self, *more: int) -> np.ndarray:
        return np.full((*self.sizes, self.most, *more), np.nan)

    def seen(self):
        """Each run whose model has it, and the Dataset of that."""
        for members, seen in self.groups:
            for each in members:
                if each.spec and seen is not None and each.label in getattr(seen, self.kind):
                    yield each, getattr(seen, self.kind)[each.label]
