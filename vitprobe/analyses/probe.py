"""What layers know: accuracy of probes on every layer. Raghu et al. 2021, figures 11 and 13."""

from collections.abc import Sequence
from typing import Any

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.probe_data import probe_data
from vitprobe.analyses.probe_reader import ProbeReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike

READER = ProbeReader


@takes_inputs()
def probe(
    model: ModelLike,
    data: DataLike = "digits",
    *,
    train: DataLike | None = None,
    layers: Any = None,
    tokens: str = "mean",
    pool: tuple[int, int] | None = None,
    solver: str = "ridge",
    l2: float | Sequence[float] | None = None,
    shots: int | None = None,
    draws: int | None = None,
    convention: str | None = None,
    k: int | None = None,
    temperature: float | None = None,
    width: int = 2048,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """Accuracy on test images of a probe on every layer, fitted on training images (Alain and
    Bengio 2016; Raghu et al. 2021, Fig. 11 and 13).

    One pass shows training and test images. Of training images a ridge probe needs sums alone.

    Args:
        model: a model spec (`vit`, any timm name, ...), any module in eval mode (batch norm keeps
            its statistics), or a dict with one of them under its label.
        data: what is tested on: a data set's name, a Dataset of (image, label), or a DataLoader.
        train: what is fitted on. None: of a name its training part, of what has none four fifths of
            every class, the rest being tested on; of other data the same.
        layers: as for `vitprobe.cka`; None: `all`, every distinct activation (of tokens `each`:
            `blocks`).
        tokens: what of a layer's tokens, or a map's positions, a probe gets: `mean` (of the
            patches), `mean-all` (with class token and registers), `cls`, `first`; `each`: every
            token has a probe of its own. A pooled vector is taken as it is.
        pool: for `mean`, rows and columns: the means of so many parts of the grid, side by side.
        solver: `ridge` to targets 1 and -1 in closed form, `logistic` regression on standardised
            features, `knn`, the k nearest training images by cosine.
        l2: penalty, or several to choose from: ridge |X W + b - Y|^2 + l2 |W|^2, logistic sum of
            log-losses + l2 / 2 |W|^2. None: of ridge 10^-6 to 10^2 times the sum of a feature's
            squared deviations (mean over features), of logistic 0.01 to 100. Of several, the best
            on a fifth of the training images, which are then trained on, too.
        shots: train on so many images of each class alone, drawn anew `draws` times (5).
        convention: `big_vision`: the few-shot probe of that repository, `l2` 1024.
        k, temperature: of `knn`: 20 neighbours, each with weight exp(cosine / 0.07).
        width: features; layers with more are projected at random to so many, unless all features
            of all images take 64 MiB at most.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset, float64: `accuracy`, `accuracy_se` (layer; of tokens `each`: layer, token): the
        error is over test images (binomial), of several draws over draws; `l2`, the penalty;
        `accuracy_of_draw`; `accuracy_map` (layer, row, col) of tokens `each`. Along `layer`:
        `block_output`, `features`, `width`, `solved_by`, `blank`. Attributes: `chance`,
        `own_accuracy` of the model's own classifier, where it has the data's classes,
        `examples_train`, `examples_test`; provenance and seconds.

    Raises:
        InputError: what was asked for cannot be done: no labels, one class, fewer images than
            classes or shots; one line says what to do.
    """
    options = InputOptions(**inputs)
    reader = ProbeReader(
        layers,
        tokens=tokens,
        pool=pool,
        solver=solver,
        l2=l2,
        shots=shots,
        draws=draws,
        convention=convention,
        k=k,
        temperature=temperature,
        width=width,
    )
    images = probe_data(data, train, options)
    results = run(prepare([model], images, options), [reader], Bar() if progress else Progress())[0]
    if len(results) > 1:
        raise InputError(f"one model is looked at, not {len(results)}: call it for each")
    return results[0]
