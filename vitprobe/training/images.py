"""The images that are trained on: decoded once and kept as bytes, or decoded ahead of need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from vitprobe.data import ImageData, Transform
from vitprobe.data.images import ArrayImages
from vitprobe.training.memory import default_limit, fits_on_gpu, sent
from vitprobe.training.stream import Stream

CHUNK = 512  # images decoded between two reports of progress


class TrainingImages:
    """Some rows of a data set at one size, by batches, on a device; pixels stay uint8.

    data: the images; rows: int64 (n,), which of them; size: (height, width) in pixels, to which
        `Transform(size, crop_pct=..., interpolation=...)` resizes and cuts.
    device: where batches are wanted. A set of up to `limit_bytes` (n * 3 * H * W; default: 4 GiB,
        and at most a quarter of the free memory) is decoded now and kept: on a GPU where it takes
        up to a quarter of the GPU's free memory, else in main memory. A larger set is decoded anew
        for each pass, by `workers` processes, ahead of need (0: in this process, not ahead).
    progress: called with the number of images that were decoded since the last call.

    Attributes: `labels` (int64 (n,), main memory), `size`, `in_memory`, `nbytes`.
    Raises CorruptImage for an image that cannot be decoded: here, or in `batches` if streamed.
    """

    def __init__(
        self,
        data: ImageData,
        rows: torch.Tensor,
        size: tuple[int, int],
        *,
        device: torch.device | str,
        limit_bytes: int | None = None,
        workers: int = 0,
        progress: Callable[[int], None] | None = None,
        interpolation: str = "bilinear",
        crop_pct: float = 1.0,
    ):
        self.size, self._device = tuple(size), torch.device(device)
        self.labels = torch.from_numpy(data.labels[rows.numpy()])
        self.nbytes = len(rows) * 3 * size[0] * size[1]
        self.in_memory = self.nbytes <= (default_limit() if limit_bytes is None else limit_bytes)
        transform = Transform(self.size, crop_pct=crop_pct, interpolation=interpolation)
        if self.in_memory:
            images = _decoded(data, rows.numpy(), transform, progress or (lambda count: None))
            self._on_gpu = self._device.type == "cuda" and fits_on_gpu(self._device, self.nbytes)
            self._images = images.to(self._device) if self._on_gpu else images
        else:
            pin = self._device.type == "cuda"
            self._stream = Stream(data, rows, transform, workers=workers, pin_memory=pin)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """For each element of `order`, int64 (b,) positions in 0..n-1: (images, labels).

        images: uint8 (b, 3, H, W), labels: int64 (b,), both on the device; copies to a GPU do not
        wait for it.
        """
        if not len(order):
            return
        positions = torch.cat(tuple(order))
        labels = sent(self.labels[positions], self._device).split([len(part) for part in order])
        yield from zip(self._gathered(order, positions), labels, strict=True)

    def _gathered(self, order, positions: torch.Tensor) -> Iterator[torch.Tensor]:
        if not self.in_memory:
            for images in self._stream.batches(order):
                yield images.to(self._device, non_blocking=True)
        elif self._on_gpu:
            for part in sent(positions, self._device).split([len(part) for part in order]):
                yield self._images.index_select(0, part)
        else:
            source = self._images.numpy()
            pin = self._device.type == "cuda"
            for part in order:
                images = torch.empty(
                    (len(part), *source.shape[1:]), dtype=torch.uint8, pin_memory=pin
                )
                # NumPy: torch would start its threads for this (see Transform._table)
                np.take(source, part.numpy(), axis=0, out=images.numpy(), mode="clip")
                yield images.to(self._device, non_blocking=True)


def _decoded(data, rows: np.ndarray, transform: Transform, progress) -> torch.Tensor:
    """uint8 (n, 3, H, W); arrays of the right size are copied, others decoded by threads."""
    height, width = transform.image_size
    images = np.empty((len(rows), 3, height, width), dtype=np.uint8)
    copied = isinstance(data, ArrayImages) and data.images.shape[1:3] == (height, width)

    def fill(start: int) -> int:
        some = slice(start, start + CHUNK)
        if copied:  # grey: one channel becomes three
            pixels = data.images[rows[some]].reshape(-1, height, width, data.images[0, 0, 0].size)
            images[some] = pixels.transpose(0, 3, 1, 2)
        else:
            for i, row in enumerate(rows[some].tolist(), start):
                images[i] = transform.pixels(data.decode(row)).transpose(2, 0, 1)
        return len(rows[some])

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # decoders release the GIL
        try:
            for count in pool.map(fill, range(0, len(rows), CHUNK)):
                progress(count)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return torch.from_numpy(images)
