"""The filters that meet the image first."""

from torch import Tensor, nn

from vitprobe.ops.wide import wide
from vitprobe.taps import Survey


def first_filters(model: nn.Module, survey: Survey, channels: int) -> tuple[str, Tensor] | str:
    """Of the first convolution that runs, over so many channels: its name, and its weights as they
    are stored, (D, C, height, width) float64. Or the reason why there is none.
    """
    for site in survey:
        if site.where is None or not site.module:
            continue
        module = model.get_submodule(site.module)
        if not isinstance(module, nn.Conv2d):
            continue
        if (module.in_channels, module.groups) == (channels, 1):
            return site.module, wide(module.weight.detach())
        return f"the first convolution, {site.module}, is not over the image's {channels} channels"
    return "the model has no convolution: its first layer has no filters over pixels"
