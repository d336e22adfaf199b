"""One forward of one model for all that the readers want of it, and no longer than they want."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial

import torch
from torch import Tensor

from vitprobe.data.model_input import ModelInput, run
from vitprobe.passes.batches import no_memory
from vitprobe.passes.reader import Reader
from vitprobe.passes.subjects import Subject
from vitprobe.passes.timing import Stopwatch
from vitprobe.passes.wants import (
    Activations,
    AttentionOf,
    Calls,
    InputsOf,
    OwnForward,
    Residuals,
    Want,
)
from vitprobe.taps import (
    Request,
    as_found,
    capture_all,
    capture_attention,
    capture_calls,
    capture_residuals,
)


class _Enough(Exception):
    """All that was wanted of this forward has come: it need not go on."""


class Forwards:
    """The forwards of one model.

    The hooks of all readers are the same ones, and one forward serves them all. It ends when the
    last thing that any of them wants has come; where something does not come, at its own end.

    Args:
        number: the model's place among `Inputs.subjects`.
        wants: of this model, each with the reader that wants it.
    """

    def __init__(
        self, subject: Subject, number: int, wants: Sequence[tuple[Reader, Want]], watch: Stopwatch
    ):
        self.subject, self.number, self.watch = subject, number, watch
        self.readers = list(dict.fromkeys(reader for reader, _ in wants))
        self._wants = list(enumerate(wants))
        # what a reader computes meanwhile is no attention of the model's, and no sum of its own
        watched = any(isinstance(want, AttentionOf | Residuals) for _, want in wants)
        self._unseen = torch._C.DisableTorchFunction if watched else nullcontext
        self._active: set[Reader] = set()
        self._left: set[tuple] = set()  # what has not come yet in the forward that runs

    @contextmanager
    def tapped(self) -> Iterator[None]:
        """Around all forwards: the hooks are there inside, and gone afterwards."""
        model = self.subject.model
        activations = [
            Request(tuple(want.sites), self._taker(k, reader, want.take), want.tokens)
            for k, (reader, want) in self._of(Activations)
        ]
        attention = self._of(AttentionOf)
        with ExitStack() as taps:
            if attention:
                sites = {s.name: s for _, (_, want) in attention for s in want.sites}
                take = partial(self._each_asked, [self._asked(*each) for each in attention])
                taps.enter_context(capture_attention(model, list(sites.values()), take))
            if activations:
                taps.enter_context(capture_all(model, activations))
            for k, (reader, want) in self._of(Calls):
                take = self._taker(k, reader, want.take)
                taps.enter_context(capture_calls(model, want.sites, take))
            residuals = self._of(Residuals)
            if residuals:
                sites = {s.name: s for _, (_, want) in residuals for s in want.sites}
                take = partial(self._each_asked, [self._asked(*each) for each in residuals])
                taps.enter_context(capture_residuals(model, list(sites.values()), take))
            yield

    def run(self, images: Tensor | ModelInput, n: int, active: Sequence[Reader]) -> None:
        """Show the model a batch of n examples; only these readers hear of it.

        Raises:
            InputError: there is no memory for it.
        """
        self._active = set(active)
        self._left = {
            (k, name)
            for k, (reader, want) in self._wants
            if reader in self._active and not isinstance(want, InputsOf | OwnForward)
            for name in (site.name for site in want.sites)
        }
        self._give_inputs(images, n)
        if not self._left:
            return
        try:
            with ExitStack() as during:
                for reader in self.readers:
                    if reader in self._active:
                        during.enter_context(reader.during_forward(self.number))
                with suppress(_Enough):
                    run(self.subject.model, images)
        except torch.OutOfMemoryError as error:
            raise no_memory(self.subject, n) from error

    def run_own(self, images: Tensor | ModelInput, n: int, active: Sequence[Reader]) -> None:
        """Let readers make forwards of their own, of which nobody else hears."""
        self._active = set()
        for _, (reader, want) in self._of(OwnForward):
            if reader not in active:
                continue
            try:
                with self.watch("own forwards"), as_found(self.subject.model), self._unseen():
                    want.take(images)
            except torch.OutOfMemoryError as error:
                raise no_memory(self.subject, n) from error

    def _give_inputs(self, images: Tensor | ModelInput, n: int) -> None:
        for _, (reader, want) in self._of(InputsOf):
            if reader not in self._active:
                continue
            try:
                with self.watch("statistics"), self._unseen():
                    want.take(images)
            except torch.OutOfMemoryError as error:
                raise no_memory(self.subject, n) from error

    def _of(self, kind: type) -> list[tuple[int, tuple[Reader, Want]]]:
        return [(k, each) for k, each in self._wants if isinstance(each[1], kind)]

    def _asked(
        self, k: int, each: tuple[Reader, AttentionOf | Residuals]
    ) -> tuple[set[str], Callable]:
        reader, want = each
        return {site.name for site in want.sites}, self._taker(k, reader, want.take)

    def _each_asked(self, asked: list[tuple[set[str], Callable]], site, *found) -> None:
        for names, take in asked:
            if site.name in names:
                take(site, *found)

    def _taker(self, k: int, reader: Reader, take: Callable) -> Callable:
        """Hands on to the reader; the last of all ends the forward."""

        def taken(site, *found) -> None:
            if reader not in self._active:
                return
            with self.watch("statistics"), self._unseen():
                take(site, *found)
            if (k, site.name) in self._left:
                self._left.discard((k, site.name))
                if not self._left:
                    raise _Enough

        return taken
