"""What readers are shown of a model before the first batch; each look is taken once for all."""

from functools import cached_property

from torch import Tensor

from vitprobe.data.model_input import ModelInput, image_of
from vitprobe.errors import InputError
from vitprobe.passes.inputs import failed, survey_named
from vitprobe.passes.subjects import Subject
from vitprobe.taps import AttentionSite, Survey, attention_sites


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
        try:
            return attention_sites(self.subject.model, self.images[:2])
        except InputError:
            raise
        except Exception as error:
            raise failed(self.subject.label, self.images, error) from error
