"""End to end: `vitprobe.attention` of a ViT, all layers and heads, against its forward pass alone.

Seconds of one batch, as in whole.py: a run over many batches less one over few.
"""

import warnings

import torch

from on_gpu.kernels import need_kernels
from on_gpu.names import kernel_sets
from on_gpu.section import Section
from on_gpu.whole import measure_batches, with_all


class Subject:
    """A ViT with random weights, and images on the device."""

    def __init__(self, name: str, size: int, batch: int, batches: int, device: str):
        import timm

        torch.manual_seed(0)
        self.model = timm.create_model(name, img_size=size).eval().to(device)
        self.images = torch.randn(batches * batch, 3, size, size, device=device)
        self.batch, self.device = batch, device

    def forward(self, batches: int) -> None:
        """The bare forward passes, under bf16 autocast."""
        with torch.no_grad(), torch.autocast(self.device, torch.bfloat16):
            for images in self.images[: batches * self.batch].split(self.batch):
                self.model(images)

    def ours(self, batches: int):
        """The Dataset."""
        from vitprobe.analyses.attention_reader import AttentionReader
        from vitprobe.input_options import InputOptions
        from vitprobe.passes.inputs import prepare
        from vitprobe.passes.run import run

        images = self.images[: batches * self.batch]
        options = InputOptions(batch_size=self.batch, device=self.device, precision="bf16")
        return run(prepare([self.model], images, options), [AttentionReader()])[0][0]


def work(section: Section) -> None:
    """Rows {"way", "seconds_per_batch", "low", "high", "seconds_few", "peak_mib"}."""
    need_kernels(section.device)
    warnings.simplefilter("ignore")
    if section.dry_run:
        subject, few, many = Subject("test_vit", 32, 8, 3, "cpu"), 1, 3
    else:
        subject, few, many = Subject("vit_base_patch16_224", 224, 256, 10, "cuda"), 2, 10
    section.note(batch=subject.batch, batches=[few, many], image=list(subject.images.shape[1:]))
    ways = {"forward": subject.forward}
    for name, environment in kernel_sets().items():
        ways[f"vitprobe {name}"] = with_all(environment, subject.ours)
    measure_batches(section, ways, few, many)
