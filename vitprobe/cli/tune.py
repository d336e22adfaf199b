"""`vitprobe tune`: the CUDA kernels tried on this machine's GPUs, now."""


def command() -> None:
    """Try the CUDA kernels on this machine's GPUs, and remember which are right and fastest.

    That is done at the first use of a GPU, too, in less time; here also where it was done before.
    """
    import torch

    from vitprobe.cli._kernels import print_choices
    from vitprobe.cli._summary import new_console
    from vitprobe.errors import InputError
    from vitprobe.ops import choice, kernel_status
    from vitprobe.ops.library import why_no_image

    if not torch.cuda.is_available():
        raise InputError(
            "no CUDA device on this machine: there is nothing to choose; a CPU has one kernel for "
            "each operator"
        )
    status = kernel_status()["cuda"]
    if status != "loaded":
        raise InputError(
            f"vitprobe's CUDA kernels are not there ({status}): reinstall with VITPROBE_CUDA=1"
        )
    console, tried = new_console(), []
    for index in range(torch.cuda.device_count()):
        why, here = why_no_image(index), choice.machine(index)
        title = f"cuda:{index} {here.name}"
        if why:
            console.print(f"{title}: no kernel runs there ({why}); the reference does")
        elif here.key in tried:
            console.print(f"{title}: as the one of this kind above")
        else:
            tried.append(here.key)
            choice.tune(index)
            print_choices(console, title, choice.choices(index))
