"""Inputs of several tensors: examples are counted, chosen and moved in all of them alike."""

from collections import UserDict, namedtuple

import pytest
import torch
from torch import nn

from vitprobe.data.model_input import ModelInput, described, image_of, run
from vitprobe.errors import InputError

A = torch.arange(24.0).reshape(4, 3, 2)
MASK = torch.tensor([[True, False], [False, False], [True, True], [False, True]])
Pair = namedtuple("Pair", "left right")


def test_examples_are_chosen_in_every_tensor_whatever_it_is_in():
    x = ModelInput(
        ([A, {"m": MASK}], Pair(A, None)), {"more": UserDict(a=A, n=3), "t": torch.tensor(2.0)}
    )
    assert len(x) == 4 and len(x.tensors) == 4
    picked = x[[2, 0]]
    assert type(picked.args[0]) is list and type(picked.args[1]) is Pair
    assert type(picked.kwargs["more"]) is UserDict and picked.kwargs["more"]["n"] == 3
    found = [picked.args[0][0], picked.args[1].left, picked.kwargs["more"]["a"]]
    assert all(torch.equal(y, A[[2, 0]]) for y in found)
    assert torch.equal(picked.args[0][1]["m"], MASK[[2, 0]])
    assert picked.args[1].right is None and picked.kwargs["t"] == 2.0
    assert torch.equal(x.kwargs["more"]["a"], A)  # the original is as it was
    assert x[1:].tensors[0].data_ptr() == A[1:].data_ptr()  # a slice is a view


def test_the_model_gets_the_arguments_as_they_are():
    class Two(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    args, kwargs = run(Two(), ModelInput((A, 3), {"mask": MASK}))
    assert args[0] is A and args[1] == 3 and list(kwargs) == ["mask"] and kwargs["mask"] is MASK
    assert run(Two(), A) == ((A,), {})


def test_images_among_the_inputs():
    images = torch.zeros(4, 3, 8, 8)
    assert image_of(ModelInput((MASK, A), {"x": images.byte(), "y": images})) is images
    with pytest.raises(InputError, match=r"no floating-point images .*\(\(4, 2\) bool\)"):
        image_of(ModelInput((MASK,)))


def test_what_was_given_is_said_in_few_words():
    x = ModelInput((A, [MASK]), {"ids": A.long(), "n": 3})
    assert str(x) == "((4, 3, 2), [(4, 2) bool], ids=(4, 3, 2) int64, n=int)"
    assert described({"a": A, "text": ["x"]}) == "{a: (4, 3, 2), text: [str]}"
    assert described(["x"] * 99) == "[str, str, str, str, str, str, ...]"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (((3, None),), r"no tensor among the model's inputs \(\[int, NoneType\]\)"),
        ((torch.tensor(1.0),), "no tensor"),
        ((A, A[:3]), r"different numbers of examples: \(\(4, 3, 2\), \(3, 3, 2\)\)"),
    ],
)
def test_inputs_that_are_none(args, words):
    with pytest.raises(InputError, match=words) as error:
        ModelInput(args)
    assert "\n" not in str(error.value)
