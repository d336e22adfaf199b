"""The softmax of modules that multiply q, k and v out themselves."""

import pytest
import torch
from attention_reproduced import captured
from torch import nn
from user_attention import Net, X, made, only

from vitprobe.taps import attention_sites

SOFTMAXES = {
    "torch": lambda s: torch.softmax(s, -1),
    "method": lambda s: s.softmax(dim=3),
    "functional": lambda s: nn.functional.softmax(s, dim=-1, dtype=torch.float64).to(s.dtype),
    "module": nn.Softmax(-1),
}
PRODUCTS = {
    "operator": lambda p, v: p @ v,
    "matmul": lambda p, v: torch.matmul(nn.functional.dropout(p, 0.5, training=False), v),
    "einsum": lambda p, v: torch.einsum("bhij,bhjd->bhid", p, v),
    "transposed": lambda p, v: (v.transpose(2, 3) @ p.transpose(2, 3)).transpose(2, 3),
    "bmm": lambda p, v: torch.bmm(p.flatten(0, 1), v.flatten(0, 1)).unflatten(0, (-1, 2)),
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_weights_multiplied_out(softmax, product):
    used = []

    def compute(q, k, v):
        p = SOFTMAXES[softmax](q @ k.transpose(2, 3))
        used.append(p.clone())
        return PRODUCTS[product](p, v)

    model = made(compute)
    if softmax == "module":
        model.attend.softmax = SOFTMAXES[softmax]
    found = captured(model, X)
    [one] = found.values()
    assert list(found) == ["attend"]
    assert one.site.source == "weights" and one.site.head_dim == 4
    torch.testing.assert_close(one.weights.to(used[-1].dtype), used[-1], rtol=0, atol=0)


def test_weights_from_a_module_of_their_own():
    class Scores(nn.Module):
        def forward(self, q, k):
            return (q @ k.transpose(2, 3)).softmax(-1)

    scores = Scores()
    model = made(lambda q, k, v: scores(q, k) @ v)
    model.attend.scores = scores
    [(name, one)] = captured(model, X).items()
    assert (name, one.site.heads, one.site.head_dim) == ("attend", 2, 4)


def test_weights_that_are_changed_are_refused():
    changed = "its softmax is changed before it is multiplied with the values"

    def gate(q, k, v):
        return (0.5 * (q @ k.transpose(2, 3)).softmax(-1)) @ v

    def in_place(q, k, v):
        return (q @ k.transpose(2, 3)).softmax(-1).mul_(0.5) @ v

    assert only(made(gate)).reason == changed
    assert only(made(in_place)).reason == changed


def test_a_softmax_that_is_no_attention_is_not_listed():
    class Gate(nn.Module):
        def forward(self, x):
            return x * x.mean(1).softmax(-1)[:, None]

    assert attention_sites(Net(Gate()), X) == []
    assert attention_sites(nn.Sequential(nn.Linear(8, 8), nn.Softmax(-1)), X) == []
