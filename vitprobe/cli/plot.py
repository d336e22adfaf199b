"""`vitprobe plot`: figures of results that are there already."""

from collections.abc import Sequence
from os.path import commonprefix
from pathlib import Path
from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError, did_you_mean

_SHOWN = "What is drawn"


def command(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Files (.nc) that commands wrote, of one analysis, or matrices that torch_cka and "
            "others saved (.pt, .npy, .npz, .pkl); several give one figure.",
            metavar="RESULT.nc...",
            show_default=False,
        ),
    ],
    *,
    difference: Annotated[
        bool,
        typer.Option(
            "--difference",
            help="The first of two results minus the second (cka, attention).",
            rich_help_panel=_SHOWN,
        ),
    ] = False,
    title: Annotated[
        str | None,
        typer.Option(
            help="Instead of what was done.",
            rich_help_panel=_SHOWN,
            metavar="TEXT",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Names for the models, with commas, in the order in which they appear.",
            rich_help_panel=_SHOWN,
            metavar="A,B",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            help="all, blocks, names, globs or, where the result has them, types, with commas; "
            "once, or (cka) once for rows and once for columns.",
            rich_help_panel=_SHOWN,
            show_default=False,
        ),
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            help="What distances are divided by (attention).",
            rich_help_panel=_SHOWN,
            show_default=False,
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            help="Of a result of cka --measure, those to draw beside each other, with commas.",
            rich_help_panel=_SHOWN,
            metavar="NAME,...",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="png, svg or pdf, several with commas (default: as --output ends, or png).",
            metavar="FORMAT",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="File or folder (default: beside the first result, with its name).",
            metavar="FILE|DIR",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw a result again, several in one figure, or the difference of two.

    Example: vitprobe plot results/cka-vit-resnet18.nc --layers blocks --format pdf
    """
    from vitprobe.analyses.load_result import load_result
    from vitprobe.cli._summary import new_console, say
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.figures import figure_bytes, plot
    from vitprobe.files import expanded
    from vitprobe.writing import write_together

    asked = {
        "title": title,
        "labels": None if labels is None else options.names("--labels", labels),
        "layers": [options.names("--layers", text) for text in layers] if layers else None,
        "normalize": normalize,
        "measure": None if measure is None else options.names("--measure", measure),
    }
    stem = _stem([Path(path).stem for path in results], difference)
    stem += "" if measure is None else "-measures"
    place = expanded(results[0], "result").parent if output is None else output
    folder, kinds = _targets(place, stem, format, output is not None)
    with plain_warnings():
        datasets = [load_result(path) for path in results]
        _spare(results, [folder / name for name in kinds])
        figure = plot(*datasets, difference=difference, **asked)
        contents = {name: figure_bytes(figure, kind) for name, kind in kinds.items()}
    try:
        paths = write_together(folder, contents)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
    for path in paths:
        say(new_console(), "wrote", str(path))


def _targets(
    place: str | Path, stem: str, formats: str | None, told: bool
) -> tuple[Path, dict[str, str]]:
    """The folder, tried, and name -> format of the files.

    place: a folder, or a file where it ends as one and there is no such folder.
    """
    from vitprobe.figures import FORMATS
    from vitprobe.file_names import shortened
    from vitprobe.files import expanded
    from vitprobe.writing import check_folder

    path = expanded(place, "--output")
    kinds = _kinds(formats)
    ending = path.suffix[1:].lower()
    if told and ending and not path.is_dir() and not str(place).endswith("/"):
        if ending not in FORMATS:
            raise InputError(
                f"--output {place} ends in .{ending}: figures are {', '.join(FORMATS)}; a folder "
                "that is to be made ends in /"
            )
        if kinds not in (None, [ending]):
            raise InputError(
                f"--output {place} is one file, --format {formats} another: leave one of them out, "
                "or name a folder"
            )
        names = {path.name: ending}
        path = path.parent
    else:
        names = {f"{shortened(stem)}.{kind}": kind for kind in kinds or FORMATS[:1]}
    return check_folder(path, names), names


def _kinds(text: str | None) -> list[str] | None:
    from vitprobe.figures import FORMATS

    if text is None:
        return None
    kinds = list(dict.fromkeys(each.lower() for each in options.names("--format", text)))
    for kind in kinds:
        if kind not in FORMATS:
            raise InputError(
                f"no format {kind!r}: give {', '.join(FORMATS)}{did_you_mean(kind, FORMATS)}"
            )
    return kinds


def _stem(stems: Sequence[str], difference: bool) -> str:
    """What the figure is called: `cka-vit+resnet20+deit`, `attention-vit-minus-deit`.

    What all results' names share stands once, as does each word of the rest. No result's own figure
    has such a name.
    """
    if len(stems) == 1:
        return stems[0]
    words = [stem.split("-") for stem in stems]
    begin = len(commonprefix(words))
    end = len(commonprefix([each[begin:][::-1] for each in words]))
    rest = [each[begin : len(each) - end] for each in words]
    if difference:
        between = "-".join([*rest[0], "minus", *rest[-1]])
    else:
        between = "+".join(dict.fromkeys(word for each in rest for word in each)) or "+"
    return "-".join(filter(None, [*words[0][:begin], between, *words[0][len(words[0]) - end :]]))


def _spare(results: Sequence[str], targets: Sequence[Path]) -> None:
    """A result that is called x.png is not replaced by its own figure."""
    for path in targets:
        if path.exists() and any(path.samefile(Path(each).expanduser()) for each in results):
            raise InputError(f"the figure would replace the result {path}: give --output")
