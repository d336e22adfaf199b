"""What readers of CKA have in common: a batch's sites become vectors, and these are summed."""

from collections.abc import Iterator
from contextlib import contextmanager

from vitprobe.analyses.cka_null import WithNull
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.passes.reader import Batch, Reader


class VectorsReader(Reader):
    """A reader whose `begin` makes `_vectors`, and whose metrics are `cka`, `silence` and, where
    there are permutations, `null`: each of all rows of the vectors."""

    least = MINIMUM_EXAMPLES

    _vectors: SiteVectors

    def start(self, batch: Batch) -> None:
        self._batch = batch
        metric = self.metrics["cka"]
        if "null" in self.metrics:
            metric = WithNull(metric, self.metrics["null"])
        self._vectors.begin(metric, batch.n)

    @contextmanager
    def during_forward(self, subject: int) -> Iterator[None]:
        with self._vectors.forward():
            yield

    def finish(self) -> None:
        self.metrics["silence"].update(self._vectors.waiting, self._batch.number)
        self._vectors.finish(self._batch.number)

    def bytes_of_batch(self, n: int) -> int:
        metric = self.metrics["cka"]
        null = self.metrics["null"].bytes_beside(n) if "null" in self.metrics else 0
        return self._vectors.bytes_of(metric, n) + metric.bytes_beside(n) + null
