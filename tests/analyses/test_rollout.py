"""Weights and outputs of heads as the model's own attention has them: biases, shared keys."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention as sdpa

from vitprobe.analyses.head_subsets_reader import head_outputs
from vitprobe.analyses.rollout import Rollout, head_weights, query_row
from vitprobe.taps.attention import Attention

HEADS, TOKENS = 4, 6


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


BIASES = {
    "none": None,
    "added to each head": draw(1, HEADS, TOKENS, TOKENS),
    "added to every row": draw(1, 1, 1, TOKENS),
    "a mask": torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()[None, None],
}


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("key_heads", [HEADS, 2])
def test_weights_and_outputs_are_those_of_torch(bias, key_heads):
    q, k, v = (
        draw(2, HEADS, TOKENS, 5),
        draw(2, key_heads, TOKENS, 5),
        draw(2, key_heads, TOKENS, 3),
    )
    attention = Attention(q, k, v, 0.7, BIASES[bias], None)
    expected = sdpa(q, k, v, BIASES[bias], scale=0.7, enable_gqa=True)
    torch.testing.assert_close(head_outputs(attention), expected)
    for head in range(HEADS):
        weights = head_weights(attention, head)
        assert weights.dtype == torch.float64
        torch.testing.assert_close(weights.sum(-1), torch.ones(TOKENS, dtype=torch.float64))
        value = v[0, head * key_heads // HEADS].double()
        torch.testing.assert_close(weights @ value, expected[0, head].double(), atol=1e-6, rtol=0)


def test_weights_that_a_model_hands_on_are_taken_as_they_are():
    weights = draw(2, HEADS, TOKENS, TOKENS).softmax(-1)
    attention = Attention(None, None, None, 1.0, None, weights)
    assert torch.equal(head_weights(attention, 2), weights[0, 2].double())


def test_rows_of_a_rollout_sum_to_one_and_the_identity_stays():
    rollout, layers = Rollout(), draw(3, TOKENS, TOKENS).double().softmax(-1)
    for layer in layers:
        product = rollout.add(layer)
        torch.testing.assert_close(product.sum(-1), torch.ones(TOKENS, dtype=torch.float64))
    half = (layers + torch.eye(TOKENS, dtype=torch.float64)) / 2
    torch.testing.assert_close(product, half[2] @ half[1] @ half[0])
    assert torch.equal(Rollout().add(torch.eye(3)), torch.eye(3))


def test_a_token_that_attends_to_nothing_keeps_itself():
    masked = torch.eye(3).double()
    masked[1] = 0
    assert torch.equal(Rollout().add(masked), torch.eye(3).double())


def test_the_query_is_the_class_token_or_all():
    weights = draw(5, 5)
    assert torch.equal(query_row(weights, True), weights[0])
    assert torch.equal(query_row(weights, False), weights.mean(0))
