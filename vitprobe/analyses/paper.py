"""Every analysis that the models allow, at once: results, and what they show in plain sentences.

The questions are those of Raghu et al. 2021, "Do Vision Transformers See Like Convolutional Neural
Networks?" (arXiv 2108.08810).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.features import features_of
from vitprobe.analyses.maps import maps_of
from vitprobe.analyses.paper_parts import LeftOut
from vitprobe.analyses.paper_reader import PaperReader
from vitprobe.analyses.paper_result import findings_table, left_out_table, with_left_out
from vitprobe.analyses.pictures import choose
from vitprobe.errors import InputError
from vitprobe.input_options import SAVE_EVERY, ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, Inputs, prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike, listed

READER = PaperReader
IMAGES = 0  # which are drawn, unless others are asked for
# Of single images.
PICTURES: Mapping[str, Callable[..., xr.Dataset]] = {
    "maps": maps_of,
    "features": features_of,
}
_MERGED = "images are shown to a model, and where shares are merged there is none"


@dataclass(frozen=True)
class Paper:
    """What `vitprobe.paper` gives.

    summary: findings and what was left out, as one Dataset. results: those of each analysis.
    """

    summary: xr.Dataset
    results: dict[str, list[xr.Dataset]] = field(default_factory=dict)

    @property
    def findings(self) -> pd.DataFrame:
        """A row for each: `finding`, `told`, `analysis`, `question`, `figure`, `models`, `value`,
        `error`, `unit`."""
        return findings_table(self.summary)

    @property
    def left_out(self) -> pd.DataFrame:
        """A row for what there is not: `analysis`, `model` ("": of any), `reason`."""
        return left_out_table(self.summary)

    def __str__(self) -> str:
        return "\n".join(self.findings["finding"])


@takes_inputs()
def paper(
    models: ModelLike | Sequence[ModelLike],
    data: DataLike = "digits",
    *,
    layers: LayerSpec = "blocks",
    index: int | Sequence[int] | None = IMAGES,
    partial: str | Path | None = None,
    resume: bool = False,
    save_every: float = SAVE_EVERY,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> Paper:
    """Every analysis that these models allow, from one pass over the images, and what they show.

    >>> found = vitprobe.paper(["vit", "resnet18"], examples=64)
    >>> print(found)

    Args:
        models: one or more, as for `vitprobe.cka`.
        data: as for `vitprobe.cka`. Receptive fields are of the first 32 examples.
        layers: of CKA and dominant examples, for all models; `all` takes a few times as long.
        index: images whose attention maps and feature maps are made, counted from 0 in stored
            order; None: none.
        partial, resume, save_every: as for `vitprobe.run`.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        `Paper`: `findings`, a pandas.DataFrame with a row for each sentence; `left_out`, one with
        what there is not, of which model, and why; `results`, for each analysis the Datasets that
        its own function gives; `summary`, a Dataset of findings and left out. A finding is `told`
        where the numbers differ beyond their errors (95 %); the sentence says otherwise that it
        cannot be told. ± is one standard error.

    Raises:
        InputError: models, data or an image that cannot be had, or a forward that fails. What a
            model does not allow is no error: it is left out.
    """
    if resume and partial is None:
        raise InputError("resume goes on from a file: give partial='NAME.partial'")
    given = prepare(listed(models), data, InputOptions(**inputs))
    keeper = Keeper(None if partial is None else Path(partial), None, save_every, resume)
    (results,) = run(given, [PaperReader(layers, index)], Bar() if progress else Progress(), keeper)
    return gathered([*results, *pictures(given, index)])


def gathered(results: Sequence[xr.Dataset | LeftOut]) -> Paper:
    """Of what the reader gave, first the findings, and of `pictures`."""
    left_out = [each for each in results if isinstance(each, LeftOut)]
    summary, *others = [each for each in results if not isinstance(each, LeftOut)]
    there = {each.attrs["analysis"] for each in others} | {each.analysis for each in left_out}
    left_out += [LeftOut(name, "", _MERGED) for name in PICTURES if name not in there]
    found: dict[str, list[xr.Dataset]] = {}
    for each in others:
        found.setdefault(each.attrs["analysis"], []).append(each)
    return Paper(with_left_out(summary, left_out), found)


def pictures(inputs: Inputs, index: int | Sequence[int] | None) -> list[xr.Dataset | LeftOut]:
    """Attention maps and feature maps of single images, of each model; or why there are none."""
    if index is None:
        return [LeftOut(name, "", "no image was asked for") for name in PICTURES]
    found: list[xr.Dataset | LeftOut] = []
    for name, of in PICTURES.items():
        for subject in inputs.subjects:
            try:
                chosen = choose(inputs.loader.data, index, subject.transform)
                found.append(of(subject, chosen, inputs.options))
            except InputError as error:
                found.append(LeftOut(name, subject.label, str(error)))
    return found
