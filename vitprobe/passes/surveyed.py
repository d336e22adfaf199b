"""What readers are shown of a model before the first batch; each look is taken once for all."""

from collections.abc import Callable
from functools import cached_property

from torch import Tensor

from vitprobe.data.model_input import ModelInput, image_of
from vitprobe.errors import InputError
from vitprobe.passes.inputs import failed, survey_named
from vitprobe.passes.subjects import Subject
from vitprobe.taps import AttentionSite, ResidualSite, Survey, attention_sites, residual_sites


class Surveyed:
    """A model and the first examples of the data.

    Attributes: subject; number (its place among `Inputs.subjects`); images (for this model, on the
    device: as many as the readers need, and some more).
    """

    def __init__(self, subject: Subject, number: int, images: Tensor | ModelInput):
        self.subject, self.number, self.images = subject, number, images

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of what it is shown, in pixels."""
        return tuple(image_of(self.images).shape[-2:])

    @cached_property
    def sites(self) -> Survey:
        """Where activations are.

        Raises:
            InputError: the forward fails, or there are fewer than 4 distinct images.
        """
        return survey_named(self.subject.model, self.subject.label, self.images)

    @cached_property
    def attention(self) -> list[AttentionSite]:
        """Where attention is; of those that cannot be read with the reason.

        Raises:
            InputError: the forward fails.
        """
        return self._found(attention_sites)

    @cached_property
    def residuals(self) -> list[ResidualSite]:
        """Where skips are added; those that cannot be read with the reason.

        Raises:
            InputError: the forward fails.
        """
        return self._found(residual_sites)

    def _found(self, sites_of: Callable) -> list:
        try:
            return sites_of(self.subject.model, self.images[:2])
        except InputError:
            raise
        except Exception as error:
            raise failed(self.subject.label, self.images, error) from error
