"""What the summaries of all commands have in common."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.text import Text


def new_console() -> Console:
    """Prints names as they are: they may hold brackets."""
    return Console(highlight=False, soft_wrap=True, markup=False)


def say(console: Console, label: str, text: str) -> None:
    """One line: what it is about, and the text."""
    console.print(Text.assemble((f"{label:9}", "bold"), text))


def say_model(console: Console, attrs: dict, key: str) -> None:
    """The model whose facts stand under `key`: its weights, size and normalisation, its note."""
    facts = {name.removeprefix(f"{key}_"): value for name, value in attrs.items()}
    say(
        console,
        "model",
        f"{attrs[key]}: {facts['weights']}, {int(facts['parameters']):,} parameters, "
        f"{pixels(facts['image_size'])}mean {facts['mean'] or 0}, std {facts['std'] or 1}",
    )
    if note := facts.get("note"):
        say(console, "", str(note))


def say_end(console: Console, attrs: dict, paths: list[Path]) -> None:
    """Where the seconds went and what was written."""
    seconds = {
        name.removeprefix("seconds_"): value
        for name, value in attrs.items()
        if name.startswith("seconds_")
    }
    split = ", ".join(f"{part} {value:.1f}" for part, value in seconds.items() if part != "other")
    console.print()
    say(console, "seconds", f"{sum(seconds.values()):.1f}: {split}")
    for path in paths:
        say(console, "wrote", str(path))


def pixels(image_size: str) -> str:
    """`"32, 32"` -> `"32 px, "`; "" where it is not known."""
    size = str(image_size).split(", ")
    return f"{' x '.join(dict.fromkeys(size))} px, " if all(size) else ""


def counted(reasons: Counter) -> str:
    """`3 (one reason); 1 (another)`."""
    return "; ".join(f"{count} ({reason})" for reason, count in reasons.most_common())
