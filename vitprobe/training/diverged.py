"""The one way in which training goes wrong that concerns its own run alone."""

from vitprobe.errors import InputError


class Diverged(InputError):
    """The loss is not finite: these choices do not train; other runs may do well."""


class OutOfMemory(Diverged):
    """The GPU's memory does not suffice for this run."""
