"""What stops a run: a fault of the kernel, or PTX that the interpreter does not know."""


class Fault(Exception):
    """The kernel did what it must not; the message names file, line, thread and instruction."""


class Unknown(Exception):
    """An instruction, type or directive that the interpreter does not know."""
