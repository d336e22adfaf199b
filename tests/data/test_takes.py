"""Which parts of a batch go to a model, by the parameters of its forward."""

import inspect

import pytest
import torch

from vitprobe.data.model_input import ModelInput
from vitprobe.data.takes import Takes
from vitprobe.errors import InputError

X, Z = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
MASK, LABELS = torch.zeros(5, 9, dtype=torch.bool), torch.arange(5)


def taken(forward, item, runs=None):
    """(args, kwargs) with which the model is called."""
    x = Takes(tuple(inspect.signature(forward).parameters.values()), runs)(item)
    return (x.args, x.kwargs) if isinstance(x, ModelInput) else ((x,), {})


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a is b
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


ALL = {"image": X, "mask": MASK, "label": LABELS}
HF = {"pixel_values": X, "bool_masked_pos": MASK, "labels": LABELS, "path": ["a"] * 5}


def hugging_face(pixel_values=None, bool_masked_pos=None, labels=None, **kwargs): ...


CASES = {
    # mappings: by name
    "hf": (
        hugging_face,
        HF,
        ((), {"pixel_values": X, "bool_masked_pos": MASK}),
    ),
    "hf, images alone": (hugging_face, {"pixel_values": X, "labels": LABELS}, ((X,), {})),
    "hf, another name": (hugging_face, {"image": X, "label": LABELS}, ((X,), {})),
    "named": (lambda image, mask: 0, ALL, ((), {"image": X, "mask": MASK})),
    "images by place": (lambda x, mask: 0, ALL, ((X,), {"mask": MASK})),
    "images by place, optional mask": (lambda x, mask=None: 0, ALL, ((X,), {"mask": MASK})),
    "images alone": (lambda x: 0, ALL, ((X,), {})),
    "no such keys": (lambda batch: 0, {"a": X, "b": Z}, (({"a": X, "b": Z},), {})),
    "any keyword": (lambda **kw: 0, ALL | {"n": 3}, ((), {"image": X, "mask": MASK})),
    "place and any keyword": (lambda x, **kw: 0, ALL, ((X,), {"mask": MASK})),
    "keyword only": (lambda *, mask, image: 0, ALL, ((), {"image": X, "mask": MASK})),
    "labels that are needed": (
        lambda image, label: 0,
        ALL,
        ((), {"image": X, "label": LABELS}),
    ),
    "labels that are not": (lambda image, label=None: 0, ALL, ((X,), {})),
    # tuples and lists: by place
    "image, label": (lambda x: 0, (X, LABELS), ((X,), {})),
    "image alone in a list": (lambda x: 0, [X], ((X,), {})),
    "optional second": (lambda x, mask=None: 0, (X, LABELS), ((X,), {})),
    "two": (lambda a, b: 0, [X, Z, LABELS], ((X, Z), {})),
    "two, no labels": (lambda a, b: 0, [X, Z], ((X, Z), {})),
    "two, the second of integers": (lambda x, t: 0, [X, LABELS], ((X, LABELS), {})),
    "two, and a third that may be": (lambda a, b, c=None: 0, [X, Z, MASK], ((X, Z), {})),
    "a list first": (lambda xs: 0, [[X, Z], LABELS], (([X, Z],), {})),
    "a list of two for two": (lambda a, b: 0, [[X, Z], LABELS], ((X, Z), {})),
    "a list and a mask": (lambda xs, m: 0, [[X, Z], MASK], (([X, Z], MASK), {})),
    "a mapping first": (
        lambda image, mask: 0,
        [ALL, LABELS],
        ((), {"image": X, "mask": MASK}),
    ),
    "a mapping first, as it is": (lambda x: 0, [{"a": X}, LABELS], (({"a": X},), {})),
    "one-hot labels": (lambda x: 0, (X, torch.eye(5)), ((X,), {})),
    "a tensor": (lambda x: 0, X, ((X,), {})),
}


@pytest.mark.parametrize("name", CASES)
def test_the_call(name):
    forward, item, expected = CASES[name]
    assert same(expected, taken(forward, item))


def test_where_two_ways_are_possible_the_first_that_runs_is_kept():
    asked = []

    def runs(x):
        asked.append(x)
        return isinstance(x, ModelInput)

    takes = Takes(tuple(inspect.signature(lambda xs: 0).parameters.values()), runs)
    for _ in range(2):
        x = takes([X, Z, LABELS])
        assert same(([X, Z],), x.args)  # labels at the end are left out where it runs without
    assert len(asked) == 2 and asked[0] is X  # once, images first

    assert same(((X,), {}), taken(lambda x: 0, [X, Z, LABELS], lambda x: True))
    whole = lambda x: isinstance(x, ModelInput) and len(x.args[0]) == 3  # noqa: E731
    assert same((([X, Z, LABELS],), {}), taken(lambda x: 0, [X, Z, LABELS], whole))
    assert same(((ALL,), {}), taken(lambda batch: 0, ALL, whole))
    assert same(((X, Z), {}), taken(lambda *xs: 0, [X, Z], lambda x: x is not X))
    # none runs: the images, whose error is then reported
    assert same(((X,), {}), taken(lambda x: 0, [X, Z], lambda x: False))
    # what cannot be an input (other numbers of examples) is not tried
    assert same(((X,), {}), taken(lambda x: 0, [X, torch.zeros(7, 2)], lambda x: x is not X))
    # with nothing to choose from, nothing is tried
    assert same(((X,), {}), taken(lambda x: 0, [X, LABELS], lambda x: 1 / 0))


@pytest.mark.parametrize(
    ("forward", "item", "words"),
    [
        (lambda a, b: 0, X, r"needs a, b, but the data gave \(5, 3, 4, 4\)"),
        (lambda a, b, c: 0, [X, Z], r"needs a, b, c, .*\[\(5, 3, 4, 4\), \(5, 3, 4, 4\)\]"),
        (lambda image, depth: 0, ALL, r"needs image, depth, .*mask: \(5, 9\) bool"),
        (lambda a, b: 0, {"c": X}, "needs a, b"),
        (lambda x: 0, [], "empty tuple"),
        (lambda a, b: 0, [X, Z[:3]], "different numbers of examples"),
    ],
)
def test_items_that_lack_something(forward, item, words):
    with pytest.raises(InputError, match=words) as error:
        taken(forward, item)
    assert "\n" not in str(error.value)
