"""Two passes over the images: the distances of a layer's heads, then the CKA of subsets of them."""

from collections.abc import Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from vitprobe.analyses.batches import batches, no_memory, tell_skipped
from vitprobe.analyses.inputs import Inputs, say
from vitprobe.analyses.progress import Progress
from vitprobe.analyses.subjects import Subject
from vitprobe.analyses.timing import Stopwatch
from vitprobe.data.model_input import ModelInput, run
from vitprobe.errors import InputError
from vitprobe.metrics import CKA
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.ops.attention import attention_statistics
from vitprobe.ops.reference_attention import attention_weights
from vitprobe.ops.wide import wide, wide_home
from vitprobe.taps import Site, capture
from vitprobe.taps.attention import Attention, AttentionSite, capture_attention
from vitprobe.taps.token_grid import TokenGrid


def mean_distances(
    inputs: Inputs,
    site: AttentionSite,
    tokens: TokenGrid,
    autocast: torch.autocast,
    watch: Stopwatch,
    progress: Progress,
) -> Tensor:
    """(H,) float64 on the CPU: mean over images and queries of each head's attention distance.

    In pixels, of the attention that patches get (`distance` of `ops.attention_statistics`).

    Raises:
        InputError: the site does not fire in some batch.
    """
    subject = inputs.subjects[inputs.places[0]]
    total, count, fired = torch.zeros(site.heads, dtype=torch.float64), 0, False

    def take(_, attention: Attention) -> None:
        nonlocal total, count, fired
        statistics = attention_statistics(
            attention.q,
            attention.k,
            attention.scale,
            (tokens.rows, tokens.columns),
            tokens.prefix,
            attention.bias,
            patch_size=(tokens.patch_height, tokens.patch_width),
        )
        total = total + wide(statistics.distance).sum(0).cpu()
        count, fired = count + len(attention.q), True

    with torch.no_grad(), capture_attention(subject.model, [site], take):
        for batch, (images, n) in enumerate(batches(inputs, watch)):
            fired = False
            with watch("distances"), autocast, _memory(subject, n):
                run(subject.model, images[inputs.places[0]])
            if not fired:
                raise _silent(site, batch)
            progress.advance(n)
    return total / count


def head_outputs(attention: Attention) -> Tensor:
    """softmax(qk) v of every head: (B, H, T, Dv), as the model computes them."""
    q, k, v = attention.q, attention.k, attention.v
    bias = attention.bias
    if bias is not None and bias.dtype == torch.bool:
        bias = torch.zeros(bias.shape, device=q.device).masked_fill_(~bias, -torch.inf)
    weights = attention_weights(q, k, attention.scale, bias)
    v = v.to(weights.dtype).repeat_interleave(q.shape[1] // v.shape[1], dim=1)
    with torch.autocast(q.device.type, enabled=False):
        return weights @ v


class HeadPass:
    """CKA of subsets of heads of one site with layers of another model.

    A linear Gram matrix of heads taken together is the sum of theirs, so each head is reduced to
    its vector once, however many subsets it is in.

    Attributes after `run`: metric (subsets against layers), examples, notes, silent (layer's name
    -> in which batch it first did not fire).
    """

    def __init__(
        self,
        inputs: Inputs,
        site: AttentionSite,
        subsets: Sequence[Sequence[int]],
        layers: Sequence[Site],
        autocast: torch.autocast,
        watch: Stopwatch,
    ):
        self.inputs, self.site, self.layers = inputs, site, layers
        self.autocast, self.watch = autocast, watch
        self.metric = CKA(len(subsets), len(layers)).to(wide_home(inputs.device))
        member = torch.zeros(len(subsets), site.heads, dtype=torch.float64)
        for row, subset in enumerate(subsets):
            member[row, list(subset)] = 1
        self.member = member.to(self.metric.device)
        self.examples, self.notes = 0, []
        self.silent: dict[str, str] = {}

    def run(self, progress: Progress) -> None:
        """Go through the data.

        Raises:
            InputError: fewer than 4 examples in every batch; the heads do not fire in some batch.
        """
        first, second = self.inputs.places
        with torch.no_grad():
            for images, n in batches(self.inputs, self.watch):
                if n < MINIMUM_EXAMPLES:
                    say(self.notes, f"{n} examples were dropped, in a batch of fewer than 4")
                    continue
                with self.watch("heads"):
                    heads, noise = self._heads(images[first])
                with self.watch("layers"):
                    layers, floors = self._layers(images[second])
                self.metric.update_vectors(
                    torch.cat([self.member @ heads, layers]), torch.cat([noise, floors]), n
                )
                self.examples += n
                progress.advance(n)
        if not self.examples:
            raise InputError("no batch has 4 examples or more, which CKA needs")
        tell_skipped(self.inputs, self.notes)
        if int(self.metric.batches) == 1:
            say(self.notes, "one batch only: no error bars (a standard error needs two)")

    def _heads(self, images: Tensor | ModelInput) -> tuple[Tensor, Tensor]:
        """(H, m) float64 vectors of all heads, and (S,) the noise floor of each subset."""
        found = []

        def take(_, attention: Attention) -> None:
            outputs = head_outputs(attention)
            heads = list(outputs.unbind(1))
            vectors = self.metric.vectors(heads)
            # a subset's floor is that of its heads side by side, in one activation
            noise = [
                self.metric.noise_floors([outputs[:, subset.bool()]]) for subset in self.member
            ]
            found.append((wide(vectors), torch.cat(noise)))

        subject = self.inputs.subjects[self.inputs.places[0]]
        with capture_attention(subject.model, [self.site], take):
            self._forward(subject, images)
        if not found:
            raise _silent(self.site, int(self.metric.batches))
        return found[0]

    def _layers(self, images: Tensor | ModelInput) -> tuple[Tensor, Tensor]:
        """(L, m) float64 vectors of the other model's layers, and (L,) their noise floors."""
        vectors, noise = {}, {}

        def reduce(site: Site, x: Tensor, _) -> None:
            vectors[site.name] = wide(self.metric.vectors([x])[0])
            noise[site.name] = self.metric.noise_floors([x])[0]

        subject = self.inputs.subjects[self.inputs.places[1]]
        with capture(subject.model, self.layers, reduce):
            self._forward(subject, images)
        rows, floors = [], []
        length, device = self.metric.vector_length(len(images)), self.metric.device
        blank = torch.full((length,), torch.nan, dtype=torch.float64, device=device)
        for site in self.layers:
            if site.name not in vectors:
                batch = int(self.metric.batches)
                self.silent.setdefault(site.name, f"did not fire in batch {batch}")
            rows.append(vectors.get(site.name, blank))
            floors.append(noise.get(site.name, blank.new_zeros(())))
        return torch.stack(rows), torch.stack(floors)

    def _forward(self, subject: Subject, images: Tensor | ModelInput) -> None:
        with self.autocast, _memory(subject, len(images)):
            run(subject.model, images)


def _silent(site: AttentionSite, batch: int) -> InputError:
    return InputError(f"attention of {site.name!r} did not fire in batch {batch}: choose another")


@contextmanager
def _memory(subject: Subject, n: int):
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise no_memory(subject, n) from error
