"""The table of a model's sites."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.data.model_input import ModelInput, distinct, tensors_of
from vitprobe.errors import InputError
from vitprobe.models import unwrapped
from vitprobe.models.blocks import block_paths, enclosing_block
from vitprobe.models.restore import as_found
from vitprobe.taps.experiment import experiment
from vitprobe.taps.given import given
from vitprobe.taps.outputs import site_name
from vitprobe.taps.sites import Site, Survey
from vitprobe.taps.stages import stages
from vitprobe.taps.stored_features import StoredFeatures
from vitprobe.taps.tokens import TokenReader

_NO_FORWARD = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
_CHANNELS_FIRST = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


def survey(model: nn.Module, examples: Any) -> Survey:
    """Every site of a model: name, shape, example axis, tokens, twin; or why it is left out.

    examples: (n, ...) on the model's device, or a tuple, list or mapping, of which the model gets
    what its forward takes (see vitprobe.data.takes). Of these the first four distinct ones are
    used: three of them, then the four in another order; where these two forwards do not explain
    every activation, the three again. The example axis of an activation is the one that grows with
    the examples; what lies along it must move with its example and not depend on the others, or the
    site mixes examples and is left out. Only shapes and a sample of each activation are kept. The
    model runs in eval mode, without gradients, and is left as found.

    Of stored features the arrays are the sites, whatever the examples.

    A model in a wrapper (DataParallel, torch.compile's, an averaged one) is surveyed without it.

    Raises InputError when there are fewer than four distinct examples.
    """
    if isinstance(model, StoredFeatures):
        return model.survey()
    model = unwrapped(model)
    four = _four_distinct(given(model, examples))
    modules = dict(model.named_modules())
    with as_found(model), torch.inference_mode(False), torch.no_grad():
        findings = experiment(model, modules, four)

    sites = [
        Site(
            name=site_name(*key),
            module=key[0],
            call=key[1],
            keys=key[2],
            type=type(modules[key[0]]).__name__,
            shape=finding.shape,
            dtype=finding.dtype,
            where=finding.where,
            twin=site_name(*finding.twin) if finding.twin else None,
            written=finding.written,
            reason=finding.reason,
        )
        for key, finding in findings.items()
    ]
    fired = {site.module for site in sites}
    silent = [
        Site(
            name=site_name(path, 1, None),
            module=path,
            call=1,
            keys=None,
            type=type(module).__name__,
            reason=_why_silent(module),
        )
        for path, module in modules.items()
        if path not in fired
    ]
    types = {path: type(module) for path, module in modules.items()}
    first_path = {module: path for path, module in modules.items()}
    aliases = {
        path: first_path[module]
        for path, module in model.named_modules(remove_duplicate=False)
        if path not in modules
    }
    blocks, note = block_paths(model), ""
    if not blocks:
        blocks, note = stages(model, sites)
    sites = [
        replace(site, block=enclosing_block(site.module, set(blocks)))
        for site in _with_tokens(model, sites, types) + silent
    ]
    return Survey(sites, types, aliases, note)


def too_few(distinct: int, examples: int) -> str:
    """Why no model can be surveyed on these."""
    return f"{distinct} distinct images among {examples}: the survey of a model needs 4"


def _four_distinct(examples: Tensor | ModelInput) -> Tensor | ModelInput:
    """Of four that differ in any input; copied: an inference tensor may not be written outside
    that mode."""
    inputs = tensors_of(examples)
    rows, places = distinct(inputs, 4) if inputs[0].ndim else ([], [])
    if len(rows) < 4:
        raise InputError(too_few(len(rows), len(places)))
    with torch.inference_mode(False):
        return examples[rows]


def _why_silent(module: nn.Module) -> str:
    if isinstance(module, torch.jit.ScriptModule):
        return "never fires: a TorchScript program does not show its layers"
    if isinstance(module, _NO_FORWARD):
        return f"never fires: a {type(module).__name__} has no forward of its own"
    return "never fires: unused, or its parent uses its weights without calling it"


def _with_tokens(model: nn.Module, sites: list[Site], types: dict[str, type]) -> list[Site]:
    kept = [site for site in sites if site.where is not None]
    maps = {site.shape for site in kept if issubclass(types[site.module], _CHANNELS_FIRST)}
    reader = TokenReader(model, [site.shape for site in kept], maps)
    return [
        replace(site, tokens=reader.read(site.shape, site.where.folded)) if site.where else site
        for site in sites
    ]
