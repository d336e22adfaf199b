"""`vitprobe report`: a page of results that are there already."""

from typing import Annotated

import typer


def command(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Files (.nc) that commands wrote, tables (.csv) of vitprobe train, or folders "
            "of them, such as that of vitprobe paper, in the order of the page; also matrices that "
            "torch_cka and others saved (.pt, .npy, .npz, .pkl).",
            metavar="RESULT...",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        str | None,
        typer.Option(
            help="File (.html) or folder (default: beside the first result; NAME.html of one "
            "result, report.html of several).",
            metavar="FILE|DIR",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(help="Instead of the models' names.", metavar="TEXT", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace whatever has the name (default: an older page of these results alone).",
        ),
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Show results on one page (.html) that opens without a network: maps, lines, images, findings.

    It holds all it needs, and links to the files beside it: results, figures and tables.

    Example: vitprobe report results/cka-vit@digits-resnet20@digits.nc
    """
    from vitprobe.cli._browser import shown
    from vitprobe.cli._report_file import write_page
    from vitprobe.cli._summary import new_console, say
    from vitprobe.cli._warned import plain_warnings

    with plain_warnings():
        path = write_page(results, output, title, overwrite)
    say(new_console(), "wrote", str(path))
    if show and not shown(path):
        say(new_console(), "", "no browser could be started here: open the file in one")
