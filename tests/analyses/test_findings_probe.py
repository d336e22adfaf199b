"""Sentences of probes, and of similarity against chance, of made results."""

import numpy as np
import pytest
import xarray as xr

from vitprobe.analyses.findings import findings_of


def said(*results):
    return {each.sentence: each.told for _, each in findings_of(results)}


def probe(accuracy, model="vit", tested=200, chance=0.1, names=None):
    accuracy = np.array(accuracy, float)
    return xr.Dataset(
        {
            "accuracy": ("layer", accuracy),
            "accuracy_se": ("layer", np.sqrt(accuracy * (1 - accuracy) / tested)),
        },
        {"layer": names or [f"{model}.{k}" for k in range(len(accuracy))]},
        {"analysis": "probe", "model": model, "examples_test": tested, "chance": chance},
    )


def test_probes():
    found = said(probe([0.2, 0.5, 0.9, 0.92]), probe([0.2, 0.3, 0.4, 0.9], model="resnet"))
    assert found[
        "a linear probe reads more of the class from vit.3 of vit than from vit.0 (accuracy "
        "92 ± 2 % against 20 ± 3 %)"
    ]
    assert found[
        "vit.2 is the first layer of vit of which a probe reads as much as of the best, vit.3 "
        "(accuracy 90 ± 2 % against 92 ± 2 %; chance: 10 %)"
    ]
    assert found[
        "half-way up, a probe reads more of the class from vit.2 of vit than from resnet.2 of "
        "resnet (accuracy 90 ± 2 % against 40 ± 3 %)"
    ]
    assert not any(said(probe([0.5, 0.51])).values())
    assert any("reads less" in text for text in said(probe([0.9, 0.2])))
    assert said(probe([np.nan, np.nan])) == {}


def test_a_probe_that_is_always_right_has_an_error():
    found = said(probe([0.9, 1.0], tested=20))
    assert not any(found.values())
    assert any("cannot be told (accuracy at most 100 ± 5 %" in text for text in found)


def test_the_output_is_no_layer_of_a_probe():
    found = said(probe([0.2, 0.5, 1.0], names=["blocks.0", "blocks.1", "output"]))
    assert not any("output" in text for text in found)


@pytest.mark.parametrize(("line", "words"), [(0.1, "all 4"), (0.35, "3 of 4")])
def test_chance(line, words):
    layers = ("layer_a", "layer_b")
    values = {"cka": [[0.5, 0.4], [0.3, 0.6]], "cka_se": 0.01, "null_line": line}
    result = xr.Dataset(
        {name: (layers, np.broadcast_to(value, (2, 2))) for name, value in values.items()},
        {"layer_a": ["blocks.0", "blocks.1"], "layer_b": ["layer.0", "layer.1"]},
        {"analysis": "cka", "model_a": "vit", "model_b": "resnet", "se_df": 7.0}
        | {"null_alpha": 0.05},
    )
    (text,) = [x for x in said(result) if "unrelated" in x]
    assert text.startswith(f"{words} pairs of layers of vit and resnet are more alike")
    assert f"blocks.1 with layer.0, CKA 0.300 against {line:.3f}" in text
