"""Best matches of layers: values that are known, intervals, blanks, a model with itself."""

import numpy as np
import pytest
import xarray
from scipy.stats import t as student

import vitprobe
from vitprobe.errors import InputError

CKA = np.array([[0.9, 0.5, 0.88], [0.2, 0.3, np.nan]])
ERRORS = np.array([[0.01, 0.02, 0.02], [0.01, 0.04, np.nan]])


def made(cka=CKA, errors=ERRORS, models=("one", "two"), **attrs):
    dims = ("layer_a", "layer_b")
    rows, columns = cka.shape
    return xarray.Dataset(
        {"cka": (dims, cka), "cka_se": (dims, errors)},
        {
            "layer_a": [f"a{k}" for k in range(rows)],
            "layer_b": [f"b{k}" for k in range(columns)],
        },
        {"analysis": "cka", "model_a": models[0], "model_b": models[1], "se_df": 7, **attrs},
    )


def test_values():
    found = vitprobe.match_layers(made())
    assert found["match_a"].values.tolist() == ["b0", "b1"]
    assert found["match_b"].values.tolist() == ["a0", "a0", "a0"]
    half = student.ppf(0.975, 7)
    np.testing.assert_allclose(found["low_a"], [0.9 - half * 0.01, 0.3 - half * 0.04])
    np.testing.assert_allclose(found["high_b"], CKA[0] + half * ERRORS[0])
    # 0.9 and 0.88 are 0.02 apart, their intervals reach 0.03 t; 0.3 and 0.2 0.1 and 0.05 t
    assert found["alike_a"].values.tolist() == [[True, False, True], [True, True, False]]
    assert found["mean_a"] == pytest.approx(0.6) and found["mean_b"] == pytest.approx(2.28 / 3)
    assert found["similarity"] == pytest.approx((0.6 + 2.28 / 3) / 2)
    assert found["mean_se_a"] == pytest.approx(0.025)
    assert found["similarity_se"] == pytest.approx((0.025 + 0.05 / 3) / 2)
    narrow = vitprobe.match_layers(made(), level=0.5)
    assert narrow["alike_a"].values.tolist() == [[True, False, True], [False, True, False]]
    assert narrow.attrs["level"] == 0.5


def test_blanks_and_no_error_bars():
    cka = CKA.copy()
    cka[1] = np.nan
    found = vitprobe.match_layers(made(cka))
    assert found["match_a"].values.tolist() == ["b0", ""]
    assert np.isnan(found["cka_a"].values[1]) and not found["alike_a"].values[1].any()
    assert found["mean_a"] == 0.9
    found = vitprobe.match_layers(made(errors=np.full_like(ERRORS, np.nan), se_df=0))
    assert found["low_a"].isnull().all() and found["alike_a"].values.sum() == 2
    assert np.isnan(found["similarity_se"])
    nothing = vitprobe.match_layers(made(np.full_like(CKA, np.nan)))
    assert np.isnan(nothing["similarity"]) and nothing["match_b"].values.tolist() == ["", "", ""]


def test_of_a_model_with_itself_it_is_another_layer():
    result = vitprobe.cka("vit@digits", layers="blocks", examples=64, batch_size=16)
    found = vitprobe.match_layers(result)
    assert (found["match_a"].values != found["layer_a"].values).all()
    off = result["cka"].values - 2 * np.eye(7)
    np.testing.assert_allclose(found["cka_a"], off.max(1))
    assert found["similarity"] == 1 and found["similarity_se"] == 0


def test_p_values_are_those_of_the_maximum():
    result = vitprobe.cka(
        "vit@digits", "resnet20@digits", layers="blocks", examples=64, batch_size=16, null=20
    )
    found = vitprobe.match_layers(result)
    np.testing.assert_allclose(found["p_value_a"], result["p_value_best_a"])
    np.testing.assert_allclose(found["p_value_b"], result["p_value_best_b"])
    np.testing.assert_allclose(found["cka_a"], result["cka"].max("layer_b"))


@pytest.mark.parametrize(
    ("result", "options", "words"),
    [
        ("cka", {}, "this is no result, not of CKA"),
        (made(analysis="skips"), {}, "a result of skips, not of CKA"),
        (made().drop_vars("cka_se"), {}, "no 'cka_se' over layer_a and layer_b"),
        (made(), {"level": 95}, "level is between 0 and 1"),
    ],
)
def test_wrong_input(result, options, words):
    with pytest.raises(InputError, match=words) as error:
        vitprobe.match_layers(result, **options)
    assert "\n" not in str(error.value)
