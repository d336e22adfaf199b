"""What stands for blocks in a model that has none of the usual kind (VGG, GoogLeNet, Inception).

Either its larger parts: the outermost modules with two weight matrices or more, as members of a
Sequential or under names of their own (`inception3a`); where these are few, the parts that they
list themselves (`s3.b1` of a RegNet). Or, where there are no such parts, its layers: each layer
with weights together with what follows beside it (a norm, an activation, a pooling), known by the
last of these.
"""

from collections.abc import Iterator, Sequence

from torch import nn

from vitprobe.models.quantised import is_quantised, weight_matrices
from vitprobe.taps.sites import Site

_PLAIN = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_FEW = 5  # parts below which those inside them are looked for
_LEAST_PARTS, _LEAST_LAYERS = 3, 2


def stages(model: nn.Module, sites: Sequence[Site]) -> tuple[list[str], str]:
    """(paths of the modules that stand for blocks, in the order in which they fire; a sentence that
    says which they are), or ([], "").

    sites: those that fire, in order, as the survey found them.
    """
    order = list(dict.fromkeys(site.module for site in sites if site.where is not None))
    fired = set(order)
    parts = _parts(model, "", fired)
    while len(parts) < _FEW:
        inner = [found for path in parts for found in _expanded(model, path, fired)]
        if inner == parts:
            break
        parts = inner
    if len(parts) >= _LEAST_PARTS:
        found = sorted(parts, key=order.index)
        return found, _sentence(f"{len(found)} parts", found)
    found = _layers(model, sites)
    if len(found) < _LEAST_LAYERS:
        return [], ""
    kind = f"{len(found)} layers with weights (each with what follows it)"
    return list(dict.fromkeys(found)), _sentence(kind, found)


def _sentence(kind: str, found: list[str]) -> str:
    return f"the model lists no blocks: {kind} stand for them ({found[0]} ... {found[-1]})"


def _parts(module: nn.Module, path: str, fired: set[str]) -> list[str]:
    """The outermost composite modules; one of torch's containers is none if it holds any."""
    found = []
    for name, child in module.named_children():
        child_path = f"{path}.{name}" if path else name
        if not _composite(child, child_path, fired):
            continue
        inside = _parts(child, child_path, fired) if type(child) in _PLAIN else []
        found += inside or ([child_path] if child_path in fired else [])
    return list(dict.fromkeys(found))


def _composite(module: nn.Module, path: str, fired: set[str]) -> bool:
    """Has it parts, with at least two weight matrices, and does it take part in the forward?"""
    if type(module).__module__.startswith("torch.nn.") and type(module) not in _PLAIN:
        return False
    ran = path in fired or any(other.startswith(path + ".") for other in fired)
    return ran and any(True for _ in module.children()) and weight_matrices(module) >= 2


def _expanded(model: nn.Module, path: str, fired: set[str]) -> Iterator[str]:
    """The parts of a part whose composite children are all of one class of their own; else it."""
    module = model.get_submodule(path)
    inside = _parts(module, path, fired)
    kinds = {type(model.get_submodule(part)) for part in inside}
    listed = len(kinds) == 1 and not kinds & set(_PLAIN)
    yield from inside if listed else [path]


def _layers(model: nn.Module, sites: Sequence[Site]) -> list[str]:
    """The last module of each layer, one module for several where they share it; without the layer
    whose output is the model's."""
    modules = dict(model.named_modules())
    ends: list[str] = []
    beside = None  # where the last layer with weights is
    for site in sites:
        module = modules[site.module]
        if not site.module or site.keys is not None or not _leaf(module):
            continue
        if _has_weights(module):
            beside = _parent(site.module)
            ends.append(site.module)
        elif beside == _parent(site.module) and site.where is not None and site.twin is None:
            ends[-1] = site.module
    last = next((site for site in sites if not site.module and site.keys is None), None)
    by_name = {site.name: site for site in sites}
    if last is not None and last.twin and ends and by_name[last.twin].module == ends[-1]:
        ends.pop()
    return ends


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _leaf(module: nn.Module) -> bool:
    return is_quantised(module) or not any(True for _ in module.children())


def _has_weights(module: nn.Module) -> bool:
    return weight_matrices(module) > 0
