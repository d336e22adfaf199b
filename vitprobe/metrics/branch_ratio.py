"""Norm ratio and cosine of the two branches of residual sums, streamed over images, with errors."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.silence import NEVER

GROUPS = ("patches", "cls", "registers")
PIECE = 2**21  # bytes of a branch that are multiplied at once on a CPU, to stay in its caches


class BranchResult(NamedTuple):
    """float64; (sites, groups) but for the last two, in the order of GROUPS, NaN where there is no
    value, of errors also where there is that of one image only.

    ratio: of |z| to |f|; cosine: of z and f; ratio_se, cosine_se: standard errors over images.
    z_norm, f_norm: |z| and |f|. infinite: tokens, of all images, whose f is 0 and that have no
    ratio; undirected: those whose z or f is 0 and that have no cosine. token_ratio, token_cosine:
    (tokens of all sites,), means over images.
    """

    ratio: Tensor
    cosine: Tensor
    ratio_se: Tensor
    cosine_se: Tensor
    z_norm: Tensor
    f_norm: Tensor
    infinite: Tensor
    undirected: Tensor
    token_ratio: Tensor
    token_cosine: Tensor


def branch_products(z: Tensor, f: Tensor, axis: int) -> Tensor:
    """(3, n, tokens): z.z, f.f and z.f over the channels, at `axis`, of each token.

    z, f: (n, ...) of one shape. In float64 where one of them is, else in float32.
    """
    pieces = max(1, z.numel() * z.element_size() // PIECE) if z.device.type == "cpu" else 1
    n = max(1, len(z) // pieces)
    dtype = torch.promote_types(torch.promote_types(z.dtype, f.dtype), torch.float32)
    room = torch.empty_like(z[:n], dtype=dtype)
    found = []
    for a, b in zip(z.split(n), f.split(n), strict=True):
        a, b, product = a.to(dtype), b.to(dtype), room[: len(a)]
        sums = (torch.mul(x, y, out=product).sum(axis) for x, y in ((a, a), (b, b), (a, b)))
        found.append(torch.stack([each.reshape(len(a), -1) for each in sums]))
    return found[0] if len(found) == 1 else torch.cat(found, 1)


class BranchRatios(Metric):
    """Means over images of |z| / |f| and of the cosine of z and f, for groups of tokens.

    Of an image they are means over the tokens of a group: means of ratios, not ratios of means. A
    token whose f is 0 has no ratio, one whose z or f is 0 no cosine: they are left out and counted,
    and an image of such tokens only does not enter the mean. The states are sums in float64.

    Args:
        tokens: of each site, how many are class token, registers and patches; in this order they
            lie side by side.

    Example:
        >>> metric = BranchRatios([(1, 0, 2)])
        >>> z, f = torch.ones(5, 3, 4), torch.full((5, 3, 4), -0.5)
        >>> metric.update({0: branch_products(z, f, 2)}, batch=0)
        >>> metric.compute().ratio[0].tolist(), metric.compute().cosine[0, 0].item()
        ([2.0, 2.0, nan], -1.0)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, tokens: Sequence[tuple[int, int, int]], **kwargs):
        super().__init__(**kwargs)
        self.tokens = [tuple(each) for each in tokens]
        sites = len(self.tokens)
        self.totals = [sum(each) for each in self.tokens]
        self._first = [0, *accumulate(self.totals)]  # among the tokens of all sites
        of_groups = torch.zeros(2, sites, len(GROUPS))
        self.add_state("sums", of_groups.double(), "sum")
        self.add_state("squares", of_groups.double(), "sum")
        self.add_state("images", of_groups.long(), "sum")
        self.add_state("left_out", of_groups.long(), "sum")
        self.add_state("norms", of_groups.double(), "sum")
        self.add_state("examples", torch.zeros(sites, dtype=torch.int64), "sum")
        total = sum(self.totals)
        self.add_state("token_sums", torch.zeros(2, total, dtype=torch.float64), "sum")
        self.add_state("token_images", torch.zeros(2, total, dtype=torch.int64), "sum")
        self.add_state("first_bad", torch.full((sites,), NEVER), "min")

    def update(self, products: Mapping[int, Tensor], batch: int) -> None:
        """Add a batch of images: `branch_products` of each site that there is in it, and the
        batch's number.

        Raises:
            ValueError: other tokens than declared.
        """
        alike: dict[tuple, list[int]] = {}  # sites whose tokens lie alike are added together
        for site, found in products.items():
            if found.shape[2] != self.totals[site]:
                raise ValueError(f"{self.totals[site]} tokens were declared, not {found.shape[2]}")
            key = (self.tokens[site], found.shape, found.dtype, found.device)
            alike.setdefault(key, []).append(site)
        for (sizes, *_), sites in alike.items():
            stacked = torch.stack([products[site] for site in sites], 1).to(self.device)
            self._add(sites, sizes, stacked, batch)

    def _add(
        self, sites: list[int], sizes: tuple[int, int, int], products: Tensor, batch: int
    ) -> None:
        """products: (3, sites, n, tokens), of class token, registers and patches so many."""
        zz, ff, _ = products
        norms = products[:2].sqrt()  # |z|, |f|
        both = norms[0] * norms[1]
        known = torch.stack([ff > 0, both > 0])
        values = torch.stack([norms[0] / norms[1], products[2] / both])  # ratio, cosine
        values = torch.where(known, values, 0.0)
        # one that is not finite makes this sum so; what it spoils here is blank from now on
        bad = ~(zz.sum((1, 2)) + ff.sum((1, 2))).isfinite()
        now = self.first_bad[sites].clamp(max=batch)
        self.first_bad[sites] = torch.where(bad, now, self.first_bad[sites])
        self.examples[sites] += products.shape[2]
        for row, site in enumerate(sites):
            mine = slice(self._first[site], self._first[site] + self.totals[site])
            self.token_sums[:, mine] += values[:, row].sum(1, dtype=torch.float64)
            self.token_images[:, mine] += known[:, row].sum(1)
        start = 0
        for group, size in zip((1, 2, 0), sizes, strict=True):
            if not size:
                continue
            here = slice(start, start + size)
            start += size
            count = known[..., here].sum(-1)  # (2, sites, n)
            total = values[..., here].sum(-1, dtype=torch.float64)
            mean = torch.where(count > 0, total / count, 0.0)
            self.sums[:, sites, group] += mean.sum(-1)
            self.squares[:, sites, group] += mean.square().sum(-1)
            self.images[:, sites, group] += (count > 0).sum(-1)
            self.left_out[:, sites, group] += size * count.shape[-1] - count.sum(-1)
            self.norms[:, sites, group] += (
                norms[..., here].sum((-1, -2), dtype=torch.float64) / size
            )

    def compute(self) -> BranchResult:
        """Means and standard errors over all images so far."""
        n = self.images.double()
        means = self.sums / n
        variances = (self.squares - self.sums * means).clamp(min=0) / (n - 1)
        errors = torch.where(n > 1, (variances / n).sqrt(), torch.nan)
        bad = (self.first_bad != NEVER)[:, None]
        means, errors = (each.masked_fill(bad, torch.nan) for each in (means, errors))
        norms = torch.where(self._present(), self.norms / self.examples[:, None], torch.nan)
        norms = norms.masked_fill(bad, torch.nan)
        of_tokens = self.token_sums / self.token_images
        bad_tokens = bad[:, 0].repeat_interleave(
            torch.tensor(self.totals, device=bad.device, dtype=torch.int64)
        )
        of_tokens = of_tokens.masked_fill(bad_tokens, torch.nan)
        return BranchResult(*means, *errors, *norms, *self.left_out, *of_tokens)

    def _present(self) -> Tensor:
        there = [(patches > 0, cls > 0, others > 0) for cls, others, patches in self.tokens]
        return torch.tensor(there, device=self.device).reshape(-1, len(GROUPS))

    def blanks(self) -> list[str]:
        """Why a site has no ratio, or ""."""
        reasons = []
        ratios = self.images[0].sum(1).tolist()
        for first, counted, examples in zip(
            self.first_bad.tolist(), ratios, self.examples.tolist(), strict=True
        ):
            if first != NEVER:
                reasons.append(f"non-finite values (first in batch {first})")
            elif not examples:
                reasons.append("no images")
            else:
                reasons.append("" if counted else "its long branch is zero everywhere")
        return reasons
