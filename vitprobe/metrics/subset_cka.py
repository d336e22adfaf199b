"""CKA of sums of parts, such as heads taken together, with layers: which parts is asked at the end.

A linear Gram matrix of parts side by side is the sum of theirs, and so is its vector. Every product
that CKA and its standard error need of a subset is then a form in the products of its parts, so
sums of these give any subset, and nothing has to be chosen before all images were seen.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.cka import CKAResult, blank_reason, products
from vitprobe.metrics.silence import NEVER


class SubsetCKA(Metric):
    """Unbiased linear CKA of subsets of `parts` with `layers`, streamed as `CKA` does it.

    The states are sums in float64, of the products of one batch and of products of these. With H
    parts and L layers they are about H^4 / 4 + L H^3 / 2 numbers.

    Args:
        parts: H, activations that subsets are made of.
        layers: L, activations that subsets are compared with.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, parts: int, layers: int, **kwargs):
        super().__init__(**kwargs)
        self.parts, self.layers = parts, layers
        pairs = parts * (parts + 1) // 2
        shapes = {
            "own": (pairs,),  # <v_h, v_g> of parts h >= g
            "cross": (layers, parts),  # <v_h, v_l>
            "layer_own": (layers,),  # <v_l, v_l>
            "own_own": (pairs, pairs),  # and their products in one batch
            "cross_cross": (layers, parts, parts),
            "cross_own": (layers, parts, pairs),
            "cross_layer": (layers, parts),
            "own_layer": (layers, pairs),
            "layer_layer": (layers,),
            "noise": (parts, parts),
            "layer_noise": (layers,),
            "weight": (),
        }
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), "sum")
        self.add_state("batches", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("first_bad", torch.full((parts + layers,), NEVER), "min")

    def update(
        self, vectors: Tensor, norms: Tensor, layer_noise: Tensor, n: int, batch: int | None = None
    ) -> None:
        """Add one batch of n examples, at least 4.

        Args:
            vectors: (H + L, m) float32 or float64, the unbiased `ops.centered_grams` of the parts,
                then of the layers; used up (scaled in place).
            norms: (H,) float64, of each part ||x_0|| times its noise scale (see `CKA.noise_scale`).
            layer_noise: (L,) float64, `CKA.noise_floors` of the layers.
            batch: its number, for the reasons of blanks; None: that of the batches so far.
        """
        found = products(vectors)
        finite = found.diagonal().isfinite()
        now = self.first_bad.clamp(max=self.batches if batch is None else batch)
        self.first_bad = torch.where(finite, self.first_bad, now)
        parts = self.parts
        row, column = self._pairs()
        own, cross = found[row, column], found[parts:, :parts]
        layer = found.diagonal()[parts:]
        self.own += own
        self.cross += cross
        self.layer_own += layer
        self.own_own += torch.outer(own, own)
        self.cross_cross += cross[:, :, None] * cross[:, None, :]
        self.cross_own += cross[:, :, None] * own
        self.cross_layer += cross * layer[:, None]
        self.own_layer += torch.outer(layer, own)
        self.layer_layer += layer.square()
        # a subset's norm is sqrt(sum of squares): its fourth power is a form in these
        self.noise += n * (n - 1) / 2 * torch.outer(norms.square(), norms.square())
        self.layer_noise += layer_noise
        self.weight += n * (n - 3)
        self.batches += 1

    def bytes_beside(self, subsets: int) -> int:
        """What a batch's vectors, and `of` so many subsets, need for a while beside the states."""
        rows, pairs = self.parts + self.layers, self.parts * (self.parts + 1) // 2
        states = [state.numel() for state in self._defaults.values()]
        update = max(states) + 4 * rows**2
        # finite copies of all, twice while blanks are looked for; then einsum has one in another
        # order, and one of its products
        einsum = max(states) + subsets * pairs * (self.layers + 4)
        result = sum(states) + max(sum(states), einsum)
        return 8 * max(update, result)

    def compute(self) -> CKAResult:
        """`of` each part alone."""
        return self.of([[part] for part in range(self.parts)])

    def of(self, subsets: Sequence[Sequence[int]]) -> CKAResult:
        """CKA, its standard error and HSIC of subsets with the layers, (S, L) float64 each.

        subsets: S times numbers of parts.
        """
        member, pair = self._members(subsets)
        sums = self._finite()
        own = torch.where(self._blank(subsets), torch.nan, pair @ sums["own"])
        layer_own = torch.where(self._layer_blank(), torch.nan, sums["layer_own"])
        scale = torch.outer(own, layer_own).sqrt()
        found = member @ sums["cross"].T
        cka, hsic = found / scale, torch.where(scale.isnan(), torch.nan, found / self.weight)
        batches = int(self.batches)
        if batches < 2:
            return CKAResult(cka, torch.full_like(cka, torch.nan), hsic, batches - 1)
        squared = torch.einsum("sg,lgh,sh->sl", member, sums["cross_cross"], member)
        with_own = torch.einsum("sg,lgp,sp->sl", member, sums["cross_own"], pair) / own[:, None]
        with_layer = member @ sums["cross_layer"].T / layer_own
        own_own = torch.einsum("sp,pq,sq->s", pair, sums["own_own"], pair) / own.square()
        layer_layer = sums["layer_layer"] / layer_own.square()
        own_layer = pair @ sums["own_layer"].T / scale.square()
        # sum over batches of psi^2, as `CKA._influence_squared`
        influence = (
            squared / scale.square()
            - cka / scale * (with_own + with_layer)
            + cka.square() * (own_own[:, None] + layer_layer + 2 * own_layer) / 4
        )
        se = (batches / (batches - 1) * influence.clamp(min=0)).sqrt()
        return CKAResult(cka, se, hsic, batches - 1)

    def blanks(self, subsets: Sequence[Sequence[int]]) -> tuple[list[str], list[str]]:
        """Per subset and per layer: why its values are NaN, or ""."""
        some = int(self.batches) > 0
        first = self.first_bad.tolist()
        firsts = [min(first[part] for part in subset) for subset in subsets]
        found = zip(firsts, self._blank(subsets).tolist(), strict=True)
        layers = zip(first[self.parts :], self._layer_blank().tolist(), strict=True)
        return (
            [blank_reason(*each, some) for each in found],
            [blank_reason(*each, some) for each in layers],
        )

    def _members(self, subsets: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """(S, H) float64: 1 where the part is in the subset; (S, pairs): how often a pair is."""
        member = torch.zeros(len(subsets), self.parts, dtype=torch.float64)
        for place, subset in enumerate(subsets):
            member[place, list(subset)] = 1
        member = member.to(self.device)
        row, column = self._pairs()
        times = torch.where(row == column, 1.0, 2.0).double()
        return member, member[:, row] * member[:, column] * times

    def _finite(self) -> dict[str, Tensor]:
        """The sums, 0 where they are not finite: what those parts and layers are in is blank, and
        must not spoil subsets that they are not in."""
        return {name: getattr(self, name).nan_to_num(0, 0, 0) for name in self._defaults}

    def _pairs(self) -> tuple[Tensor, Tensor]:
        return torch.tril_indices(self.parts, self.parts, device=self.device).unbind()

    def _blank(self, subsets: Sequence[Sequence[int]]) -> Tensor:
        member, pair = self._members(subsets)
        # side by side they have the features of all, each part as many
        sums = self._finite()
        noise = torch.einsum("sg,gh,sh->s", member, sums["noise"], member) / member.sum(1)
        bad = (member * (self.first_bad[: self.parts] != NEVER)).any(1)
        return bad | ~(pair @ sums["own"] > noise)

    def _layer_blank(self) -> Tensor:
        bad = self.first_bad[self.parts :] != NEVER
        return bad | ~(self.layer_own > self.layer_noise)
