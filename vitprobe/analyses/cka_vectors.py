"""The vectors of one batch: filled site by site inside the forwards, then given to the metric."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vitprobe.analyses.timing import Stopwatch
from vitprobe.metrics import CKA
from vitprobe.taps import Site


class SiteVectors:
    """One row for each site of each model.

    The rows lie in one buffer that outlives the batches: small vectors kept between large
    activations would split the heap and hold hundreds of megabytes.

    Args:
        metric: takes the rows of each batch.
        sites: for each model, the sites to read.
        watch: counts the seconds as "statistics".

    Attributes:
        rows: for each model, the row of each site by name.
        features: for each row, numbers per example that were compared (0: the site never fired).
        silent: row -> why a site gave nothing in some batch.
    """

    def __init__(self, metric: CKA, sites: Sequence[Sequence[Site]], watch: Stopwatch):
        self.metric, self.watch = metric, watch
        self.rows, count = [], 0
        for of_model in sites:
            self.rows.append({site.name: count + k for k, site in enumerate(of_model)})
            count += len(of_model)
        self.features = [0] * count
        self.silent: dict[int, str] = {}
        double = any(site.dtype == torch.float64 for of_model in sites for site in of_model)
        self._dtype = torch.float64 if double else torch.float32
        self._vectors = torch.empty(count, 0)

    def begin(self, n: int) -> None:
        """Make ready for a batch of n examples."""
        length = self.metric.vector_length(n)
        if self._vectors.shape[1] != length:
            self._vectors = torch.empty(
                len(self.features), length, dtype=self._dtype, device=self.metric.device
            )
        self._noise = self._vectors.new_zeros(len(self.features), dtype=torch.float64)
        self._waiting = set(range(len(self.features)))
        self._n = n

    def reducer(self, model: int) -> Callable[[Site, Tensor, Site | None], None]:
        """The callback of `taps.capture` for one model."""
        rows = self.rows[model]

        def reduce(site: Site, x: Tensor, twin: Site | None) -> None:
            row = rows[site.name]
            with self.watch("statistics"):
                if twin is None:
                    self._vectors[row] = self.metric.vector(x)
                    self._noise[row] = self.metric.noise_floor(x)
                    self.features[row] = x[0].numel()
                else:
                    same = rows[twin.name]
                    self._vectors[row] = self._vectors[same]
                    self._noise[row] = self._noise[same]
                    self.features[row] = self.features[same]
            self._waiting.discard(row)

        return reduce

    def finish(self) -> None:
        """Give the batch to the metric; a site that did not fire is blank from then on."""
        for row in self._waiting:
            self.silent.setdefault(row, f"did not fire in batch {int(self.metric.batches)}")
            self._vectors[row] = torch.nan
        self.metric.update_vectors(self._vectors, self._noise, self._n)
