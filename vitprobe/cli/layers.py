"""`vitprobe layers`: the sites of a model that an analysis can look at."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.input_options import InputOptions


@options.takes_inputs(only=("image_size", "seed"))
def command(
    model: Annotated[str, typer.Argument(help="A model spec, as for --models.", metavar="MODEL")],
    *,
    inputs: InputOptions,
) -> None:
    """List a model's layers: name, type, shape of one example, and why any is left out.

    Example: vitprobe layers vit
    """
    import torch

    from vitprobe.cli._summary import new_console
    from vitprobe.cli._table import Column, print_table
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.models import load_model
    from vitprobe.passes.inputs import survey_named

    with plain_warnings():
        loaded = load_model(model, image_size=inputs.image_size, seed=inputs.seed)
        height, width = loaded.transform.image_size or (inputs.image_size or 32,) * 2
        noise = torch.Generator().manual_seed(inputs.seed)
        images = torch.randn(4, loaded.transform.channels, height, width, generator=noise)
        sites = survey_named(loaded, model, images)
    console = new_console()
    axes = ["" if site.example_axis is None else str(site.example_axis) for site in sites]
    columns = [
        Column("layer", [site.name for site in sites], "name"),
        Column("type", [site.type for site in sites], "name"),
        Column("shape", ["x".join(map(str, site.shape)) for site in sites]),
        Column("axis", axes),
        Column("remark", [_remark(site, sites.blocks_note) for site in sites], "text"),
    ]
    print_table(console, "", columns)
    for note in (loaded.provenance["note"], sites.blocks_note):
        if note:
            console.print(note)
    fired = sum(site.reason is None for site in sites)
    distinct = sum(site.reason is None and site.twin is None for site in sites)
    console.print(
        f"{model}: {fired} layers fire, {distinct} of them distinct activations; "
        f"{len(sites) - fired} left out"
    )


def _remark(site, blocks_note: str) -> str:
    if site.reason:
        return f"left out: {site.reason}"
    is_block = site.block and site.block == site.module
    parts = ["stands for a block" if blocks_note else "block"] if is_block else []
    if site.twin:
        parts.append(f"the tensor of {site.twin}")
    return ", ".join(parts)
