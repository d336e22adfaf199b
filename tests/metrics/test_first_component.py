"""Largest eigenvalues, shares and HSIC vectors of some examples, against float64 computed whole."""

import numpy as np
import pytest
import torch

from vitprobe import ops
from vitprobe.metrics.first_component import FirstShare, largest_eigenvalues
from vitprobe.metrics.grams import Packing, double_centre_

MANY = pytest.mark.parametrize("n", [8, 21, 64])


def made(n, kinds=((1, 0.0), (3, 0.0), (40, 0.0), (300, 0.0), (300, 1.0), (300, 3.0))):
    """Activations (n, p), float64, of some spectra: from flat to one direction."""
    generator = torch.Generator().manual_seed(n)
    return [
        torch.randn(n, p, generator=generator, dtype=torch.float64)
        * torch.arange(1.0, p + 1).double() ** -power
        for p, power in kinds
    ]


@MANY
def test_largest_eigenvalues_are_those_of_the_whole_matrix(n):
    xs = [x - x.mean(0) for x in made(n)]
    found = largest_eigenvalues(torch.stack([x @ x.T for x in xs]))
    wanted = [np.linalg.svd(x.numpy(), compute_uv=False)[0] ** 2 for x in xs]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_matrices_without_a_largest_eigenvalue():
    matrices = torch.zeros(4, 9, 9, dtype=torch.float64)
    matrices[1] = torch.nan
    matrices[2] = torch.eye(9)  # all of them are the largest
    matrices[3, 0, 0] = 7  # of rank 1
    found = largest_eigenvalues(matrices)
    assert found[0] == 0 and found[1].isnan()
    torch.testing.assert_close(found[2:], torch.tensor([1.0, 7.0], dtype=torch.float64))


@MANY
def test_vectors_of_some_examples_are_those_without_the_others(n):
    xs, packing = made(n), Packing(n, torch.device("cpu"))
    packed = torch.stack([ops.gram(x) for x in xs])
    everyone = torch.ones(n, dtype=torch.float64)
    whole = torch.stack([ops.center_pack(each) for each in packed])
    torch.testing.assert_close(packing.u_centred(packed, everyone), whole)
    everyone[[0, 2, n - 1]] = 0
    found = packing.u_centred(packed, everyone)
    wanted = torch.stack([ops.centered_gram(x[everyone > 0]) for x in xs])
    torch.testing.assert_close(found @ found.T, wanted @ wanted.T)


def test_unpacked_and_centred():
    x = made(10)[3]
    packing = Packing(10, torch.device("cpu"))
    far = x + 5  # a Gram matrix that is not centred yet
    rows, columns = np.tril_indices(10)
    gram = packing.unpacked((far @ far.T)[rows, columns][None])
    torch.testing.assert_close(gram[0], far @ far.T)
    own = x - x.mean(0)
    torch.testing.assert_close(double_centre_(gram)[0], own @ own.T)


def test_mean_share_and_its_error_are_those_of_the_batches():
    shares = torch.tensor([[0.2, 0.5], [0.4, torch.nan], [0.3, 0.7]], dtype=torch.float64)
    counts = np.array([10, 10, 4])
    metric = FirstShare(2, passes=2)
    for row, n in zip(shares, counts, strict=True):
        metric.update(row, n)
    mean, error = metric.compute().numpy()
    for layer, there in ((0, [0, 1, 2]), (1, [0, 2])):
        s, w = shares[there, layer].numpy(), counts[there]
        average = (w * s).sum() / w.sum()
        influence = w * (s - average) / w.sum()
        variance = 2 * len(s) / (len(s) - 1) * (influence**2).sum()
        np.testing.assert_allclose([mean[layer], error[layer]], [average, variance**0.5])
    one = FirstShare(1)
    one.update(torch.tensor([0.5], dtype=torch.float64), 8)
    assert one.compute()[0] == 0.5 and one.compute()[1].isnan()
