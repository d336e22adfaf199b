"""Results of studies of sizes as they come out, made up."""

import json

import numpy as np
import xarray

GROUPS = ["patches", "cls", "registers"]
WITHOUT = "this model has no attention: nothing in it looks like self-attention of tokens"


def names_of(blocks, form):
    return [form.format(k) for k in range(blocks)]


def made(models, variants=(), *, seeds=3, fraction=True, without=(), blank=(), **attrs):
    """models: name -> how many blocks; variants: fractions. without: models without attention.
    blank: (model, fraction, seed) of runs without a value."""
    random = np.random.default_rng(0)
    dims = ("model", "fraction", "seed") if fraction else ("model", "seed")
    sizes = [len(models), *([len(variants)] if fraction else []), seeds]
    most = max(models.values())
    accuracy = random.uniform(0.2, 0.9, sizes)
    cka = np.sort(random.uniform(0.3, 1, (*sizes, most + 1)))[..., ::-1].copy()
    other = np.sort(random.uniform(0.7, 1, (*sizes, most + 1)))[..., ::-1].copy()
    if seeds == 1:
        other[:] = np.nan
    distance = random.uniform(3, 9, (*sizes, most))
    skip = random.uniform(0.5, 20, (*sizes, 2 * most, 3))
    reason = np.full(sizes, "", dtype=object)
    columns = {
        "layer": np.full((len(models), most + 1), "", dtype=object),
        "attention_layer": np.full((len(models), most), "", dtype=object),
        "skip_layer": np.full((len(models), 2 * most), "", dtype=object),
    }
    kinds = np.full((len(models), 2 * most), "", dtype=object)
    depth = np.full((len(models), most + 1), np.nan)
    blanks = {
        name: np.full(values.shape[: len(sizes) + 1], "", dtype=object)
        for name, values in (("cka", cka), ("distance", distance), ("skip", skip))
    }
    for k, (model, blocks) in enumerate(models.items()):
        columns["layer"][k, : blocks + 1] = [*names_of(blocks, "blocks.{}"), "output"]
        depth[k, :blocks] = np.linspace(0, 1, blocks) if blocks > 1 else 1
        columns["skip_layer"][k, : 2 * blocks] = [
            f"blocks.{i}.{part}" for i in range(blocks) for part in ("attn", "mlp")
        ]
        kinds[k, : 2 * blocks] = ["attention", "mlp"] * blocks
        for values, end in ((cka, blocks + 1), (other, blocks + 1), (distance, blocks)):
            values[k, ..., end:] = np.nan
        skip[k, ..., 2 * blocks :, :] = np.nan
        if model in without:
            distance[k] = np.nan
            blanks["distance"][k] = WITHOUT
        else:
            columns["attention_layer"][k, :blocks] = names_of(blocks, "blocks.{}.attn")
    for place in blank:
        reason[place] = "the loss is nan"
        for values in (accuracy, cka, other, distance, skip):
            values[place] = np.nan
        for name in blanks:
            blanks[name][place] = "the loss is nan"
    layer, attention, skips = ((*dims, name) for name in ("layer", "attention_layer", "skip_layer"))
    zeros = np.zeros(sizes)
    texts = np.full(sizes, "runs/x.pt", dtype=object)
    result = xarray.Dataset(
        {
            **dict.fromkeys(("accuracy", "val_accuracy"), (dims, accuracy)),
            **dict.fromkeys(("best_epoch", "epochs", "seconds"), (dims, zeros)),
            "checkpoint": (dims, texts),
            "reason": (dims, reason),
            "parameters": ("model", 1000 * 3 ** np.arange(len(models))),
            "cka": (layer, cka),
            "cka_se": (layer, cka * 0.01),
            "cka_other_seeds": (layer, other),
            "cka_blank": (layer, blanks["cka"]),
            "cka_other_seeds_blank": (layer, blanks["cka"]),
            "distance": (attention, distance),
            "distance_blank": (attention, blanks["distance"]),
            "skip_ratio": ((*skips, "group"), skip),
            "skip_blank": (skips, blanks["skip"]),
            "skip_kind": (("model", "skip_layer"), kinds),
            "layer_depth": (("model", "layer"), depth),
            "matched_layer": (("model", "layer"), columns["layer"]),
            **{f"{dim}_name": (("model", dim), names) for dim, names in columns.items()},
        },
        coords={"model": list(models), "seed": list(range(seeds)), "group": GROUPS}
        | ({"fraction": list(variants)} if fraction else {}),
        attrs={"title": "A study", "study": "mine", "dataset": "digits", "test_dataset": "digits"}
        | {"num_classes": 10, "examples": 360, "seconds_looking": 2.0, "notes": ""}
        | {"config": json.dumps({}), "analysis": "data_size" if fraction else "model_size"}
        | attrs,
    )
    if not fraction:
        names = list(models)
        result = result.assign_coords(
            family=("model", ["ViT"] * len(models)), largest=("model", [names[-1]] * len(models))
        )
    return result
