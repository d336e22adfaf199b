"""Norm ratio and cosine of the two branches of residual sums, streamed over images, with errors."""

from collections.abc import Sequence
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
        >>> metric.update(0, branch_products(z, f, 2), batch=0)
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

    def update(self, site: int, products: Tensor, batch: int) -> None:
        """Add a batch of images at one site: `branch_products`, and the batch's number.

        Raises:
            ValueError: other tokens than declared.
        """
        if products.shape[2] != self.totals[site]:
            raise ValueError(f"{self.totals[site]} tokens were declared, not {products.shape[2]}")
        zz, ff, zf = products.to(self.device)
        norms = torch.stack([zz.sqrt(), ff.sqrt()])  # (2, n, tokens)
        both = norms[0] * norms[1]
        known = torch.stack([ff > 0, both > 0])  # of ratio and cosine
        values = torch.stack([norms[0] / norms[1], zf / both])
        values = torch.where(known, values, 0.0).double()
        # one that is not finite makes this sum so; what it spoils here is blank from now on
        bad = ~(zz.sum() + ff.sum()).isfinite()
        now = self.first_bad[site].clamp(max=batch)
        self.first_bad[site] = torch.where(bad, now, self.first_bad[site])
        self.examples[site] += products.shape[1]
        first = sum(self.totals[:site])
        mine = slice(first, first + self.totals[site])
        self.token_sums[:, mine] += values.sum(1)
        self.token_images[:, mine] += known.sum(1)
        groups = self._groups(site, zz.device)  # (tokens, groups)
        sizes = groups.sum(0)
        count = known.double() @ groups  # (2, n, groups)
        means = torch.where(count > 0, values @ groups / count, 0.0)
        self.sums[:, site] += means.sum(1)
        self.squares[:, site] += means.square().sum(1)
        self.images[:, site] += (count > 0).sum(1)
        self.left_out[:, site] += (sizes - count).sum(1).long()
        self.norms[:, site] += norms.sum(1, dtype=torch.float64) @ groups / sizes.clamp(min=1)

    def _groups(self, site: int, device: torch.device) -> Tensor:
        """(tokens, groups) float64: 1 where a token of a site is of a group."""
        which = torch.tensor((1, 2, 0)).repeat_interleave(torch.tensor(self.tokens[site]))
        return (which[:, None] == torch.arange(len(GROUPS))).double().to(device)

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
