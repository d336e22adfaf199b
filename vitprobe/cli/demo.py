"""`vitprobe demo`: every analysis of two small models that ship with vitprobe, on one page."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.cli._options import RunOptions
from vitprobe.input_options import InputOptions

MODELS = ("vit@digits", "resnet20@digits")
NEXT = (
    ("next", "vitprobe paper --models vit_tiny_patch16_224@YOUR_FILE,resnet20@digits --report"),
    ("", "vitprobe cka --models vit@digits,vit --null 200 --report   # one analysis: chance, too"),
)


def command(
    output: options.Output = "results",
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Show the page in the browser at the end."),
    ] = True,
) -> None:
    """Look at a small ViT and a small ResNet in every way, and show it on one page.

    What vitprobe paper does, with models and images that ship with vitprobe: no network, no GPU,
    about a minute.

    Example: vitprobe demo
    """
    from vitprobe.analyses.paper import IMAGES, pictures
    from vitprobe.analyses.paper_reader import PaperReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._browser import shown
    from vitprobe.cli._ending import first_process
    from vitprobe.cli._folder import REPORT
    from vitprobe.cli._paper_summary import WRITERS, Told, print_summary
    from vitprobe.cli._summary import new_console, say

    console = new_console()
    if first_process():
        say(
            console,
            "demo",
            "a small Vision Transformer and a ResNet-20, trained on images of digits, in every "
            "way that vitprobe can look at them: about a minute, then a page",
        )
    written = analyse(
        PaperReader("blocks", IMAGES),
        MODELS,
        "digits",
        InputOptions(),
        RunOptions(output=output, report=True),
        WRITERS,
        Told(),
        print_summary,
        beside=lambda given: pictures(given, IMAGES),
    )
    for path in written:  # none in other processes than the first
        page = path.with_name(REPORT)
        opened = "shown in your browser" if browser and shown(page) else "open it in a browser"
        console.print()
        say(console, "page", f"{page}: {opened}")
        for label, command in NEXT:
            say(console, label, command, whole=True)
