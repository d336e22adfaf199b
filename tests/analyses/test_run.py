"""`vitprobe.run`: what each function gives alone, of one pass; stopped, shared, merged."""

import pytest
import torch

import vitprobe
from vitprobe.errors import InputError

FEW = {"examples": 48, "batch_size": 8}


def same(one, other):
    for name in other.variables:
        assert one[name].identical(other[name]), name


@pytest.fixture(scope="module")
def alone():
    cka = vitprobe.cka("vit@digits", "resnet20@digits", layers="blocks", **FEW)
    return cka, vitprobe.attention("vit@digits", **FEW)


def readers():
    return [vitprobe.CKAReader("blocks"), vitprobe.AttentionReader()]


def test_two_analyses_of_one_model(alone):
    (cka,), (attention,) = vitprobe.run(readers(), "vit@digits", **FEW)
    same(attention, alone[1])
    assert (cka["cka"].values == alone[0]["cka_aa"].values).all()


def test_several_models():
    reader = vitprobe.CKAReader("blocks")
    ((pair, first, second),) = vitprobe.run([reader], ["vit@digits", "resnet20@digits"], **FEW)
    assert pair.attrs["model_a"] == "vit@digits" and pair.attrs["model_b"] == "resnet20@digits"
    assert first.attrs["model_b"] == "vit@digits" and second.attrs["model_a"] == "resnet20@digits"


def test_shares_are_merged(alone, tmp_path):
    paths = []
    for k in (1, 2, 3):
        path = tmp_path / f"{k}.partial"
        assert vitprobe.run(readers(), "vit@digits", shard=f"{k}/3", partial=path, **FEW) == []
        paths.append(path)
    cka, attention = vitprobe.merge(paths)
    torch.testing.assert_close(
        torch.tensor(attention["distance"].values),
        torch.tensor(alone[1]["distance"].values),
        rtol=1e-12,
        atol=0,
    )
    assert cka.attrs["examples"] == 48 and cka.attrs["batches"] == 6


def test_what_is_done_is_not_done_again(alone, tmp_path):
    path = tmp_path / "a.partial"
    vitprobe.run(readers(), "vit@digits", partial=path, **FEW)
    again = vitprobe.run(readers(), "vit@digits", partial=path, resume=True, **FEW)
    same(again[1][0], alone[1])
    with pytest.raises(InputError, match="examples"):
        vitprobe.run(readers(), "vit@digits", partial=path, resume=True, examples=40, batch_size=8)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"shard": "1/2"}, "partial='NAME.partial'"),
        ({"resume": True}, "partial='NAME.partial'"),
        ({"shard": "3/2", "partial": "x"}, "shard takes one such as 3/8"),
        ({"tolerance": 0.0}, "tolerance takes a number above 0"),
        ({"save_every": 0.0}, "save_every takes seconds above 0"),
        ({"readers": []}, "no reader"),
        ({"readers": vitprobe.CKAReader()}, "as a list"),
    ],
)
def test_what_cannot_be_is_one_line(wrong, why):
    with pytest.raises(InputError, match=why):
        vitprobe.run(**{"readers": readers(), "models": "vit", **FEW, **wrong})
