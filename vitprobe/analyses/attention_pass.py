"""The pass over the images that reads every attention of some models as it is computed."""

from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vitprobe import ops
from vitprobe.analyses.batches import batches, no_memory, tell_skipped
from vitprobe.analyses.inputs import Inputs, failed, say
from vitprobe.analyses.progress import Progress
from vitprobe.analyses.subjects import Subject
from vitprobe.analyses.timing import Stopwatch
from vitprobe.data.model_input import ModelInput, image_of, run
from vitprobe.errors import InputError
from vitprobe.metrics import AttentionMeans
from vitprobe.ops.wide import wide_home
from vitprobe.taps import Attention, AttentionSite, attention_sites, capture_attention
from vitprobe.taps.token_grid import TokenGrid, token_grid


@dataclass
class Heads:
    """One model's attention layers, and the sums over images of those that can be computed.

    sites: those whose attention can be read, in the order in which they fire.
    refused: those whose attention cannot be read.
    grids: site's name -> where its tokens are; without those of `blanks`.
    blanks: site's name -> why the layer has no value.
    """

    subject: Subject
    image_size: tuple[int, int]
    sites: list[AttentionSite]
    refused: list[AttentionSite]
    grids: dict[str, TokenGrid] = field(default_factory=dict)
    blanks: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.now: dict[str, ops.AttentionStatistics] = {}  # of the batch that runs

    @property
    def computed(self) -> list[AttentionSite]:
        return [site for site in self.sites if site.name in self.grids]

    def start(self, device: torch.device) -> None:
        self.metric = AttentionMeans([site.heads for site in self.computed]).to(device)

    def take(self, site: AttentionSite, attention: Attention) -> None:
        """Reduce one layer's attention where it is computed."""
        grid = self.grids[site.name]
        patches = {
            "grid": (grid.rows, grid.columns),
            "prefix": grid.prefix,
            "patch_size": (grid.patch_height, grid.patch_width),
        }
        if attention.weights is None:
            self.now[site.name] = ops.attention_statistics(
                attention.q, attention.k, attention.scale, bias=attention.bias, **patches
            )
        else:
            self.now[site.name] = ops.dense_attention_statistics(attention.weights, **patches)

    def finish(self, n: int) -> None:
        """Add the batch of n images that the model was just shown."""
        layers = []
        for site in self.computed:
            if site.name not in self.now:
                batch = int(self.metric.batches)
                self.blanks.setdefault(site.name, f"did not fire in batch {batch}")
                lost = torch.full((5, n * site.per_image, site.heads), torch.nan)
                self.now[site.name] = ops.AttentionStatistics(*lost.to(self.metric.device), None)
            layers.append(self.now[site.name])
        self.metric.update(layers, [site.per_image for site in self.computed])
        self.now.clear()


class AttentionPass:
    """All batches through all models, with what there is to say about them.

    Args:
        inputs: models and data.
        options: grid, prefix, patch_size, as `taps.token_grid` takes them.
        watch: where the seconds are counted.

    Attributes after `run`: heads (one Heads a model), examples, notes.
    """

    def __init__(self, inputs: Inputs, options: dict, watch: Stopwatch):
        self.inputs, self.options, self.watch = inputs, options, watch
        self.autocast = inputs.autocast
        self.heads: list[Heads] = []
        self.notes: list[str] = []
        self.examples = 0

    def run(self, progress: Progress) -> None:
        """Go through the data; `progress` is told what is read, and the examples of each batch.

        Raises:
            InputError: no examples, a model that cannot take the images or has no attention that
                can be read, a grid that is not that of its tokens.
        """
        with torch.no_grad(), ExitStack() as taps:
            for images, n in batches(self.inputs, self.watch):
                if not self.heads:
                    with self.watch("survey"):
                        self._begin(images, taps)
                    progress.begin(self.inputs, self.heads)
                self._batch(images, n)
                progress.advance(n)
        if not self.examples:
            raise InputError("there are no images")
        tell_skipped(self.inputs, self.notes)
        if self.examples == 1:
            say(self.notes, "one image only: no error bars (a standard error needs two)")
        self.notes += [note for note in self.inputs.loader.notes if note not in self.notes]

    def _begin(self, images: list[Tensor | ModelInput], taps: ExitStack) -> None:
        for subject, view in zip(self.inputs.subjects, images, strict=True):
            try:
                with self.autocast:
                    sites = attention_sites(subject.model, view[:2])
            except InputError:
                raise
            except Exception as error:
                raise failed(subject.label, view, error) from error
            heads = located(subject, sites, tuple(image_of(view).shape[-2:]), self.options)
            heads.start(wide_home(self.inputs.device))
            taps.enter_context(capture_attention(subject.model, heads.computed, self._taker(heads)))
            self.heads.append(heads)

    def _taker(self, heads: Heads):
        def take(site: AttentionSite, attention: Attention) -> None:
            with self.watch("statistics"):
                heads.take(site, attention)

        return take

    def _batch(self, images: list[Tensor | ModelInput], n: int) -> None:
        with self.watch("forward"), self.autocast:
            for heads, view in zip(self.heads, images, strict=True):
                try:
                    run(heads.subject.model, view)
                except torch.OutOfMemoryError as error:
                    raise no_memory(heads.subject, n) from error
        with self.watch("statistics"):
            for heads in self.heads:
                heads.finish(n)
        self.examples += n


def located(
    subject: Subject, sites: list[AttentionSite], image_size: tuple[int, int], options: dict
) -> Heads:
    """The sites of one model with the grids of their tokens.

    Raises:
        InputError: no site can be read, or of none the grid can be told.
    """
    readable = [site for site in sites if not site.reason]
    heads = Heads(subject, image_size, readable, [site for site in sites if site.reason])
    if not readable:
        raise InputError(why_none(subject.label, heads.refused))
    for site in readable:
        try:
            heads.grids[site.name] = token_grid(
                subject.model,
                site.tokens,
                image_size,
                windows=site.per_image,
                module=site.name,
                **options,
            )
        except InputError as error:
            heads.blanks[site.name] = str(error)
    if not heads.grids:
        raise InputError(f"{subject.label}: {heads.blanks[readable[0].name]}")
    return heads


def why_none(label: str, refused: list[AttentionSite]) -> str:
    """One line for a model none of whose attention can be read."""
    if not refused:
        return f"{label} has no attention: nothing in it looks like self-attention of tokens"
    names: dict[str, list[str]] = {}
    for site in refused:
        names.setdefault(site.reason, []).append(site.name)
    seen = "; ".join(
        f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}: {reason}"
        for reason, found in names.items()
    )
    return f"no attention of {label} can be read: {seen}"
