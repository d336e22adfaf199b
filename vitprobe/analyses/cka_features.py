"""CKA of activations that were stored, without a model."""

from collections.abc import Sequence

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.cka import compared_pair
from vitprobe.analyses.cka_measures import reader_of_measures
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions, StoredOptions, takes_inputs
from vitprobe.passes.inputs import prepare
from vitprobe.passes.stored import FeaturesLike, stored

OPTIONS = tuple(StoredOptions.__annotations__)


@takes_inputs(only=OPTIONS)
def cka_features(
    features_a: FeaturesLike,
    features_b: FeaturesLike | None = None,
    *,
    layers: LayerSpec = "all",
    layers_b: LayerSpec | None = None,
    passes: int = 1,
    estimator: str = "unbiased",
    kernel: str = "linear",
    null: int | None = None,
    measure: str | Sequence[str] = "cka",
    progress: bool = False,
    **inputs: Unpack[StoredOptions],
) -> xr.Dataset:
    """`vitprobe.cka` of activations that were stored: files of one array for each layer.

    Files are read in batches of examples, and may be larger than the memory. The same activations
    in the same batches give the same numbers as the model that they are of.

    Args:
        features_a: a file (.npz, .npy, .safetensors); a dict of arrays by the names of their
            layers; or a dict with one or two of these under their labels: `{"early": "a.npz"}`.
            Each array is (examples, ...), of any floating-point or integer type.
        features_b: what to compare with, of the same examples; None compares features_a with
            itself.
        layers: `all`, a name, a glob, or a list of them.
        layers_b: the same for features_b, or for the columns of one; None: as `layers`.
        passes: times through the examples, each in a new order.
        estimator: as for `vitprobe.cka`, as are kernel, null, measure.
        kernel, null, measure: see there.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        As of `vitprobe.cka`; `model_a_spec` is the file, `model_a_weights_sha256` of names, shapes,
        types and a sample of the numbers.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    models, rows = stored([features_a] if features_b is None else [features_a, features_b])
    if len(models) > 2:
        raise InputError(f"two are compared, not {len(models)}: call it for each pair")
    models *= 1 if len(models) == 2 else 2
    given = prepare(models, rows, InputOptions(**inputs), passes=passes)
    reader = reader_of_measures(
        measure,
        layers_of_each=[layers, layers if layers_b is None else layers_b],
        estimator=estimator,
        kernel=kernel,
        null=null,
    )
    return compared_pair(given, reader, progress)
