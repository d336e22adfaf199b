"""Where a model is looked at from its first map to its last: stem, blocks, what is pooled."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import nn

from vitprobe.taps.map_view import MapView
from vitprobe.taps.sites import Site, Survey


def stage_ends(survey: Survey, views: Mapping[str, MapView | str]) -> list[str]:
    """Names of the sites that end the stages, in the order in which they fire; [] without blocks.

    - of the stem: the last map before the first block, but before a pooling: of as many positions
      as the last convolution there gives. It follows norm and activation, where they are modules;
    - every block's output;
    - after the last block the last map, if it is another tensor: of the last norm, say, or of the
      convolution before the global pooling. What has one position only is no map here.

    Where layers stand for blocks (VGG), the last map of each, before a pooling.
    views: of `map_views`.
    """
    fired = [site for site in survey if site.where is not None]
    inside = [place for place, site in enumerate(fired) if site.block]
    if not inside:
        return []
    if all(fired[place].block == fired[place].module for place in inside):
        bounds = [0, *(place + 1 for place in inside), len(fired)]
        parts = [fired[begin:end] for begin, end in pairwise(bounds)]
        return [site.name for part in parts for site in _last_map(survey, part, views)]
    stem = _last_map(survey, fired[: inside[0]], views)
    blocks = [site for site in fired if site.block == site.module != "" and site.keys is None]
    end = _last_map(survey, fired[inside[-1] + 1 :], views)
    return [site.name for site in [*stem, *blocks, *end]]


def _last_map(
    survey: Survey, sites: Sequence[Site], views: Mapping[str, MapView | str]
) -> list[Site]:
    """The last site that is a map and no twin, on the grid of the last convolution among them; []
    if there is none."""
    maps = []
    for site in sites:
        view = views[site.name]
        if site.module and site.twin is None and isinstance(view, MapView) and view.positions > 1:
            maps.append((site, view.positions))
    convolved = [size for site, size in maps if issubclass(survey.types[site.module], nn.Conv2d)]
    return [site for site, size in maps if size == (convolved or [size])[-1]][-1:]
