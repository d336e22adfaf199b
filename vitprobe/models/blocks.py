"""Which modules are the residual or transformer blocks of a model."""

from torch import nn

from vitprobe.models.quantised import weight_matrices

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_TORCH_BLOCKS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def block_paths(model: nn.Module) -> list[str]:
    """Paths of the blocks, in registration order; blocks do not nest.

    A block is a member of a Sequential, ModuleList or ModuleDict, of a class that is not torch.nn's
    own (its TransformerEncoderLayer and TransformerDecoderLayer count), with at least two weight
    matrices below it: a patch embedding, a patch merging or a convolution with its norm has one.
    A member that itself lists blocks of one class in a direct child (`stage.blocks`) is a stage,
    and is descended into.
    """
    found: list[str] = []
    _collect(model, "", found, set())
    return found


def enclosing_block(path: str, blocks: set[str]) -> str:
    """The block that the module is, or is in; `""` outside all blocks."""
    while path and path not in blocks:
        path = path.rpartition(".")[0]
    return path


def _collect(module: nn.Module, path: str, found: list[str], seen: set) -> None:
    for name, child in module.named_children():
        if child in seen:  # shared weights: a module has the first of its names
            continue
        seen.add(child)
        child_path = f"{path}.{name}" if path else name
        is_member = isinstance(module, _CONTAINERS) and _could_be_block(child)
        if is_member and not _is_stage(child):
            found.append(child_path)
        else:
            _collect(child, child_path, found, seen)


def _could_be_block(module: nn.Module) -> bool:
    if isinstance(module, _CONTAINERS):
        return False
    if type(module).__module__.startswith("torch.nn.") and not isinstance(module, _TORCH_BLOCKS):
        return False
    if not any(True for _ in module.children()):
        return False
    return weight_matrices(module) >= 2


def _is_stage(module: nn.Module) -> bool:
    for child in module.children():
        members = list(child.children()) if isinstance(child, _CONTAINERS) else []
        if members and len({type(m) for m in members}) == 1 and _could_be_block(members[0]):
            return True
    return False
