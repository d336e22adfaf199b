"""Sentences of made results: what they say where the numbers carry it, and where they do not."""

import numpy as np
import pytest
import xarray as xr

from vitprobe.analyses.findings import findings_of

DF = 7.0


def cka(values, errors=0.01, a="vit", b="resnet", rows=None, columns=None):
    values = np.array(values, float)
    rows = rows or [f"blocks.{k}" for k in range(len(values))]
    columns = columns or [f"layer.{k}" for k in range(values.shape[1])]
    return xr.Dataset(
        {
            "cka": (("layer_a", "layer_b"), values),
            "cka_se": (("layer_a", "layer_b"), np.full(values.shape, errors)),
        },
        {"layer_a": rows, "layer_b": columns},
        {"analysis": "cka", "model_a": a, "model_b": b, "se_df": DF},
    )


def attention(distance, error=0.1, examples=100):
    distance = np.array(distance, float)
    layers = len(distance)
    return xr.Dataset(
        {
            "distance": (("layer", "head"), distance),
            "distance_se": (("layer", "head"), np.full(distance.shape, error)),
        },
        {
            "layer": [f"blocks.{k}.attn" for k in range(layers)],
            "block": ("layer", [f"blocks.{k}" for k in range(layers)]),
            "distance_uniform": ("layer", np.full(layers, 16.5)),
        },
        {"analysis": "attention", "model": "vit", "examples": examples},
    )


def head_subsets(local, far, error=0.01):
    return xr.Dataset(
        {
            "cka": (("subset", "layer"), [[local, local], [far, far]]),
            "cka_se": (("subset", "layer"), np.full((2, 2), error)),
            "distance": ("subset", [3.0, 14.0]),
        },
        {"layer": ["layer1.0", "layer1.1"], "size": ("subset", [1, 1]), "head": [0, 1]},
        {
            "analysis": "head_subsets",
            "model_a": "vit",
            "model_b": "resnet",
            "layer_a": "blocks.0.attn",
            "se_df": DF,
        },
    )


def skips(patches, cls=None, error=0.01, model="vit"):
    cls = np.full(len(patches), np.nan) if cls is None else cls
    values = np.stack([cls, patches], 1).astype(float)
    return xr.Dataset(
        {
            "ratio": (("layer", "group"), values),
            "ratio_se": (("layer", "group"), np.full(values.shape, error)),
        },
        {"layer": [f"blocks.{k}" for k in range(len(patches))], "group": ["cls", "patches"]},
        {"analysis": "skips", "model": model, "examples": 100},
    )


def receptive_field(r50, error=0.1, model="vit", size="32, 32", side=32):
    return xr.Dataset(
        {"r50": ("layer", r50), "r50_se": ("layer", np.full(len(r50), error))},
        {
            "layer": [f"{model}.{k}" for k in range(len(r50))],
            "kind": ("layer", ["block"] * len(r50)),
            "row": np.arange(side),
        },
        {
            "analysis": "receptive_field",
            "model": model,
            "examples": 32,
            "model_image_size": size,
        },
    )


def localization(own, others, error=0.01, model="vit"):
    cells = np.full((2, 2, 2, 2), float(others))
    for row in range(2):
        for column in range(2):
            cells[row, column, row, column] = own
    dims = ("token_row", "token_col", "row", "col")
    return xr.Dataset(
        {
            "cka": (dims, cells),
            "cka_se": (dims, np.full(cells.shape, error)),
            "own_place": 0.75,
            "own_place_chance": 0.25,
            "counted": 4,
        },
        {name: [0, 1] for name in dims},
        {"analysis": "localization", "model": model, "layer": "blocks.5", "se_df": DF},
    )


def dominant(whole, without, shares=(0.2, 0.6), error=0.01):
    def square(value):
        return ("layer_a", "layer_b"), np.full((2, 2), value)

    return xr.Dataset(
        {
            "cka": square(whole),
            "cka_se": square(error),
            "cka_without": square(without),
            "cka_without_se": square(error),
            "first_share": ("layer", list(shares)),
            "first_share_se": ("layer", [error, error]),
        },
        {"layer": ["layer1.0", "layer2.0"]},
        {
            "analysis": "dominant",
            "model": "resnet",
            "se_df": DF,
            "examples": 360,
            "examples_left_out": 24,
        },
    )


def said(*results):
    """sentence -> whether it is told."""
    found = {each.sentence: each.told for _, each in findings_of(results)}
    assert all(told == ("cannot be told" not in text) for text, told in found.items())
    return found


LOW, HIGH = [0.9, 0.9, 0.2, 0.2], [0.2, 0.2, 0.5, 0.7]


def test_which_layers_are_alike():
    values = np.array([LOW, LOW, HIGH, HIGH, [0.1] * 4])
    found = said(cka(values))
    assert found[
        "the lower half of resnet is most like blocks 0 and 1 of vit (CKA 0.90 ± 0.01 with "
        "blocks.0; the others: 0.20 ± 0.01 at most)"
    ]
    assert found[
        "the upper half of resnet is most like blocks 2 and 3 of vit (CKA 0.60 ± 0.01 with "
        "blocks.2; the others: 0.20 ± 0.01 at most)"
    ]
    assert found[  # blocks 3 and 4, of five: the middle one is in neither half
        "the upper half of vit is most like layer.3 of resnet (CKA 0.40 ± 0.01; the others: "
        "0.30 ± 0.01 at most)"
    ]
    assert found[
        "the lower halves of vit and resnet are more alike than the upper ones (mean CKA "
        "0.90 ± 0.01 against 0.35 ± 0.01)"
    ]
    assert len(found) == 5


def test_which_layers_are_alike_cannot_be_told():
    values = np.array([LOW, LOW, HIGH, HIGH])
    found = said(cka(values, errors=0.4))
    assert not found[
        "which layers of vit the lower half of resnet is most like cannot be told: none of its 4 "
        "layers is told apart from the best, blocks.0 (CKA 0.9 ± 0.4)"
    ]
    assert not any(found.values())
    assert not any(said(cka(values, errors=np.nan)).values())  # one batch
    assert "without an error bar" in next(iter(said(cka(values, errors=np.nan))))


def test_blanks_and_the_output_do_not_count():
    values = np.array([LOW, [np.nan] * 4, HIGH, [1.0] * 4])
    names = ["blocks.0", "blocks.1", "blocks.2", "output"]
    found = said(cka(values, rows=names))
    assert any("is most like blocks.0 of vit (CKA 0.90 ± 0.01; the others" in x for x in found)
    assert not any("output" in text for text in found)
    assert said(cka(np.full((2, 2), np.nan))) == {}


@pytest.mark.parametrize(
    ("between", "error", "words", "told"),
    [
        (0.3, 0.01, "less alike than layers of the same half (mean CKA 0.30 ± 0.01 against", True),
        (0.95, 0.01, "more alike than layers of the same half (mean CKA 0.95", True),
        (0.79, 0.1, "less alike than layers of the same half cannot be told (mean CKA", False),
    ],
)
def test_a_models_own_layers(between, error, words, told):
    values = np.full((4, 4), between)
    values[:2, :2] = values[2:, 2:] = 0.8
    np.fill_diagonal(values, 1)  # a layer with itself says nothing
    found = said(cka(values, error, "vit", "vit"))
    ((text, is_told),) = found.items()
    assert words in text and is_told == told and "0.8" in text


def test_two_models_are_alike_in_themselves():
    flat, steep = np.full((4, 4), 0.8), np.full((4, 4), 0.3)
    one, other = cka(flat, 0.01, "vit", "vit"), cka(steep, 0.01, "resnet", "resnet")
    assert said(one, other)[
        "the lower and the upper half of vit are more alike than those of resnet (mean CKA "
        "0.80 ± 0.01 against 0.30 ± 0.01)"
    ]
    assert any("of resnet are less alike than those of vit" in text for text in said(other, one))


def test_how_far_heads_look():
    found = said(attention([[3.1, 14.9], [8, 8], [14, 15]]))
    assert found["the 2 heads of blocks.0 of vit look 3.1 ± 0.1 to 14.9 ± 0.1 px far "
                 "(uniform attention: 16.5 px)"]  # fmt: skip
    assert found[
        "heads of the last layer of vit (blocks.2) look farther than those of the first (mean "
        "14.5 ± 0.1 px against 9.0 ± 0.1 px)"
    ]
    nearer = said(attention([[14, 15], [3, 4]]))
    assert any("look less far than those of the first" in text for text in nearer)
    vague = said(attention([[9, 9.1], [9, 9.2]], error=0.2))
    assert not any(vague.values()) and len(vague) == 3
    assert any("whether the 2 heads of blocks.0 of vit differ cannot be told" in x for x in vague)
    blank = attention([[np.nan, np.nan], [9, 12]])
    assert [text[:26] for text in said(blank)] == ["the 2 heads of blocks.1 of"]


def test_extremes_of_many_heads_need_more():
    """Of 12 equal heads the largest and the smallest differ by about 3 errors."""
    two, many = attention([[9.0, 9.4]]), attention([[9.0, 9.4, *[9.2] * 10]])
    assert list(said(two).values()) == [True] and list(said(many).values()) == [False]


def test_local_and_global_heads():
    assert said(head_subsets(0.6, 0.3)) == {
        "the most local head of blocks.0.attn of vit (3.0 px) is more like layer1.0 to layer1.1 of "
        "resnet than the most global one (14.0 px) (mean CKA 0.60 ± 0.01 against 0.30 ± 0.01)": True
    }
    assert "is less like" in next(iter(said(head_subsets(0.3, 0.6))))
    assert list(said(head_subsets(0.31, 0.3)).values()) == [False]


def test_skips_beside_branches():
    found = said(skips([2, 4, 8]), skips([0.5, 0.6, 0.7], model="resnet"))
    assert found[
        "in every residual sum of vit the skip is stronger than the branch (|skip| / |branch| of "
        "patches: 2.00 ± 0.01 to 8.00 ± 0.01)"
    ]
    assert any("sum of resnet the skip is weaker than the branch" in text for text in found)
    stronger = "skips are stronger beside the branches in vit than in resnet (geometric mean of "
    (text,) = [text for text in found if text.startswith(stronger)]
    assert "4.00 ± 0.01 against 0.59 ± 0.01" in text
    mixed = next(iter(said(skips([0.5, 2, 3, 1.001]))))
    assert (
        "stronger than the branch in 2 of 4 residual sums of vit, and weaker in 1; 1 is not told"
        in mixed
    )
    assert list(said(skips([1.001, 0.999])).values()) == [False]


@pytest.mark.parametrize(
    ("cls", "words", "told"),
    [
        (
            [9, 9, 2, 2],
            "skips of vit hand on the class token first and patches later: in the",
            True,
        ),
        ([2, 2, 9, 9], "do not hand on the class token first and patches later", True),
        ([9, 9, 9, 9], "do not hand on the class token first and patches later", True),
        ([9, 9, 4, 4], "whether skips of vit hand on the class token first", False),
    ],
)
def test_the_two_phases(cls, words, told):
    _, (text, is_told) = said(skips([4, 4, 4, 4], cls)).items()
    assert words in text and is_told == told


def test_receptive_fields():
    found = said(receptive_field([4, 9]), receptive_field([2, 8], model="resnet"))
    assert found[
        "the centre of vit.1 of vit sees farther than that of vit.0 (half of the gradient lies "
        "within 9.0 ± 0.1 px against 4.0 ± 0.1 px)"
    ]
    assert found[
        "vit.0 of vit sees farther than resnet.0 of resnet (half of the gradient lies within "
        "4.0 ± 0.1 px against 2.0 ± 0.1 px)"
    ]
    large = receptive_field([4, 9], model="large", size="64, 64", side=64)
    (text,) = [x for x in said(large, receptive_field([2, 8])) if x.startswith("whether large.0")]
    assert "6.2 ± 0.2 % of the image's height against 6.2 ± 0.3 %" in text
    assert any("sees less far" in text for text in said(receptive_field([9, 4])))


def test_places():
    found = said(localization(0.6, 0.1), localization(0.3, 0.1, model="resnet"))
    assert found[
        "tokens of blocks.5 of vit keep their place: they are more like the patch there than other "
        "patches; of 4 tokens 75 % are most like it, by chance 25.0 % (mean CKA 0.60 ± 0.01 "
        "against 0.10 ± 0.01)"
    ]
    assert any("tokens of vit keep their place better than those of resnet" in x for x in found)
    assert any("do not keep their place" in text for text in said(localization(0.1, 0.5)))
    assert list(said(localization(0.11, 0.1)).values()) == [False]
    assert said(localization(np.nan, np.nan)) == {}


def test_dominant_examples():
    lower = "CKA among the layers of resnet is lower without the 24 of 360 examples with the"
    found = said(dominant(0.8, 0.5))
    assert any(text.startswith(lower) for text in found) and all(found.values())
    assert any("20 ± 1 % of the variance at layer1.0 and 60 ± 1 % at layer2.0" in x for x in found)
    same = said(dominant(0.8, 0.8, shares=(0.3, 0.3)))
    assert len(same) == 2 and not any(same.values())
    assert any("is higher without" in text for text in said(dominant(0.5, 0.8)))
