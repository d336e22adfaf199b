"""A result of `vitprobe compare` that is made: models as points on a line of kinds."""

import numpy as np
import xarray

from vitprobe.analyses.model_map import with_map


def made_compare(count=5, *, label="model {}", blank=(), same=(), null=True, spread=0.4):
    """Models of three kinds, the later the farther; `blank` have no value; `same` are all one."""
    numbers = np.random.default_rng(0)
    places = numbers.normal(0, 0.05, (count, 3)) + np.eye(3)[np.arange(count) % 3] * spread
    for k in same:
        places[k] = places[same[0]]
    similarity = 1 - np.linalg.norm(places[:, None] - places[None], axis=2)
    similarity[list(blank)] = similarity[:, list(blank)] = np.nan
    pair = ("model", "model2")
    error = 0.01 * (1 - np.eye(count)) + 0 * similarity
    variables = {
        "similarity": (pair, similarity),
        "similarity_se": (pair, error),
        "matched": (pair, similarity),
        "matched_se": (pair, error),
    }
    if null:
        for name, value in (("p_value", 0.01), ("null_line", 0.02), ("null_mean", 0.001)):
            variables[name] = (pair, value + 0 * similarity)
        variables["calibrated"] = (pair, np.clip((similarity - 0.02) / 0.98, 0, 1))
    names = np.array([label.format(k) for k in range(count)], object)
    coordinates = {
        "model": names,
        "model2": names,
        "layers_compared": ("model", np.full(count, 7)),
        "weights": ("model", np.array(["random", "digits"], object)[np.arange(count) % 2]),
        "blank": ("model", np.array(["gone" if k in blank else "" for k in range(count)], object)),
    }
    attrs = {"analysis": "compare", "dataset": "digits", "examples": 360, "layers": "blocks",
             "se_df": 7.0, **{f"model_{k + 1}": name for k, name in enumerate(names)}}  # fmt: skip
    return with_map(xarray.Dataset(variables, coordinates, attrs))
