"""The vectors of one batch: filled site by site inside the forwards, then given to the metric."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from vitprobe.metrics import CKA
from vitprobe.metrics.kernels import noise_scale
from vitprobe.ops.wide import wide_home
from vitprobe.passes.held import Held
from vitprobe.passes.schedule import SameStream, queued
from vitprobe.taps import Site


class SiteVectors:
    """One row for each site of each model.

    The rows lie in one buffer that outlives the batches: small vectors kept between large
    activations would split the heap and hold hundreds of megabytes.

    Args:
        sites: for each model, the sites to read.
        rows: for each model, the row of each site by name.
        defer_bytes: activations that may be held to be reduced together; 0: each in its hook.
        stream: where those that were held are reduced.

    Attributes:
        waiting: the rows of the batch that nothing came for yet.
    """

    def __init__(
        self,
        sites: Sequence[Sequence[Site]],
        rows: Sequence[Mapping[str, int]],
        defer_bytes: int,
        stream: SameStream,
    ):
        self._rows = rows
        self._count = count = sum(map(len, rows))
        self.waiting: set[int] = set()
        double = any(site.dtype == torch.float64 for of_model in sites for site in of_model)
        self._dtype = torch.float64 if double else torch.float32
        self._vectors = torch.empty(count, 0)
        self._scales = [0.0] * count  # of rounding noise
        self._told: tuple[float, ...] = ()
        self._scales_there = torch.empty(0)
        self._held = Held(self._reduce, defer_bytes, stream)
        self._indices: dict[tuple[int, ...], Tensor] = {}

    def begin(self, metric: CKA, n: int) -> None:
        """Make ready for a batch of n examples, of which the metric takes the rows."""
        self.metric = metric
        length = self.metric.vector_length(n)
        if self._vectors.shape[1] != length:
            self._vectors = torch.empty(
                self._count, length, dtype=self._dtype, device=self.metric.device
            )
        self._norms = self._vectors.new_zeros(self._count, dtype=torch.float64)
        self.waiting = set(range(self._count))
        self._twins: dict[int, int] = {}
        self._n = n

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Around each model's forward: what it gave is reduced, and let go, when it ends."""
        try:
            yield
            self._held.finish()
        except BaseException:
            self._held.release()
            raise

    def reducer(self, model: int) -> Callable[[Site, Tensor, Site | None], None]:
        """The callback of `taps.capture` for one model."""
        rows = self._rows[model]

        def reduce(site: Site, x: Tensor, twin: Site | None) -> None:
            row = rows[site.name]
            if twin is not None:
                self._twins[row] = rows[twin.name]
            elif self._held.takes(site, x):
                self._held.add(site, row, x)
            else:
                self._reduce([row], [x])
            self._scales[row] = noise_scale(x.dtype, x[0].numel())
            self.waiting.discard(row)

        return reduce

    def _reduce(self, rows: list[int], xs: list[Tensor]) -> None:
        for kind in dict.fromkeys((x.dtype, x.device) for x in xs):
            alike = [k for k, x in enumerate(xs) if (x.dtype, x.device) == kind]
            some, index = [xs[k] for k in alike], self._index([rows[k] for k in alike])
            vectors, wide_type = self._vectors, torch.promote_types(some[0].dtype, torch.float32)
            one_kind = (wide_type, some[0].device) == (vectors.dtype, vectors.device)
            if one_kind and isinstance(index, slice):  # a view of the buffer's own row
                self.metric.reduce_(vectors[index], self._norms[index], some)
                continue
            vectors = some[0].new_empty(len(some), vectors.shape[1], dtype=wide_type)
            norms = torch.empty(len(some), dtype=torch.float64, device=wide_home(vectors.device))
            self.metric.reduce_(vectors, norms, some)
            self._vectors[index] = vectors.to(self._vectors)
            self._norms[index] = norms.to(self._norms)

    def _index(self, rows: Sequence[int]) -> Tensor | slice:
        """Rows as an index; every batch asks for the same ones."""
        if len(rows) == 1:
            return slice(rows[0], rows[0] + 1)
        key = tuple(rows)
        if key not in self._indices:
            self._indices[key] = queued(torch.tensor(rows), self._vectors.device)
        return self._indices[key]

    def _noise_scales(self) -> Tensor:
        """(rows,) float64, beside the norms; nothing is copied to a GPU while it stays the same."""
        scales = tuple(self._scales)
        if self._told != scales:
            there = torch.tensor(scales, dtype=torch.float64)
            self._told, self._scales_there = scales, queued(there, self._norms.device)
        return self._scales_there

    def bytes_of(self, metric: CKA, n: int) -> int:
        """Of the rows of a batch of n examples."""
        return self._count * metric.vector_length(n) * self._dtype.itemsize

    def finish(self, batch: int) -> None:
        """Give the batch of this number to the metric; a site that did not fire is blank from then
        on."""
        if self._twins:
            own, same = self._index([*self._twins]), self._index([*self._twins.values()])
            self._vectors[own] = self._vectors[same]
            self._norms[own] = self._norms[same]
        for row in self.waiting:
            self._vectors[row] = torch.nan
        noise = self.metric.noise_of(self._norms, self._noise_scales(), self._n)
        self.metric.update_vectors(self._vectors, noise, self._n, batch)
