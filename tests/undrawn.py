"""Commands whose figures nobody looks at: an empty one stands for each that is drawn of results."""

import pkgutil
from importlib import import_module

from vitprobe import cli, figures
from vitprobe.figures import style

# What commands import where they use it.
LATE = (("maps", "figure"), ("features", "figure"), ("filters", "filter_figure"))
LATE += (("positions", "position_figure"),)


def undraw(put=setattr):
    """Let the commands of this process draw an empty figure, which is returned; `put` is
    `setattr`, or that of a MonkeyPatch."""
    blank = style.new_figure()
    blank.set_size_inches(1, 1)

    def nothing(*results, **how):
        return blank

    for name, function in LATE:
        put(import_module(f"{figures.__name__}.{name}"), function, nothing)
    for found in pkgutil.iter_modules(cli.__path__):
        module = import_module(f"{cli.__name__}.{found.name}")
        for function in {"plot", "compare"} & vars(module).keys():
            if function != found.name:  # that one is the command's own
                put(module, function, nothing)
    return blank
