"""`vitprobe layers`: the sites of a model that an analysis can look at."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options


def command(
    model: Annotated[str, typer.Argument(help="A model spec, as for --models.", metavar="MODEL")],
    image_size: options.ImageSize = None,
    seed: options.Seed = 0,
) -> None:
    """List a model's layers: name, type, shape of one example, and why any is left out.

    Example: vitprobe layers vit
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from vitprobe.cli._warned import plain_warnings
    from vitprobe.models import load_model
    from vitprobe.taps import survey

    with plain_warnings():
        loaded = load_model(model, image_size=image_size, seed=seed)
        height, width = loaded.transform.image_size or (image_size or 32,) * 2
        noise = torch.Generator().manual_seed(seed)
        sites = survey(loaded, torch.randn(4, 3, height, width, generator=noise))
    table = Table(box=None, pad_edge=False)
    for heading in ("layer", "type", "shape", "axis", "block", "remark"):
        table.add_column(heading, overflow="fold")
    for site in sites:
        shape = "x".join(map(str, site.shape))
        axis = "" if site.example_axis is None else str(site.example_axis)
        remark = f"the tensor of {site.twin}" if site.twin else ""
        remark = f"left out: {site.reason}" if site.reason else remark
        table.add_row(site.name, site.type, shape, axis, site.block, remark)
    console = Console(highlight=False)
    console.print(table)
    kept = [site for site in sites if site.reason is None]
    distinct = sum(site.twin is None for site in kept)
    console.print(
        f"{model}: {len(kept)} layers fire, {distinct} of them distinct activations; "
        f"{len(sites) - len(kept)} left out"
    )
