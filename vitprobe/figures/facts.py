"""What results say of how their numbers were made, in the short parts of a figure's subtitle."""

from collections.abc import Sequence

import xarray

from vitprobe.figures.names import both_ends

LONGEST = 48  # characters of a path
FORMS = {
    "estimator": "{} estimator",
    "kernel": "{} kernel",
    "batch_size": "batches of {}",
    "passes": "{} passes",
}


def data_of(results: Sequence[xarray.Dataset], between: str) -> list[str]:
    """The data set and the number of examples; where results differ, with `between` between."""
    texts = {"dataset": "{}", "examples": "{:,} examples"}
    parts = [told(results, key, form, between) for key, form in texts.items()]
    return [part for part in parts if part]


def method_of(results: Sequence[xarray.Dataset], between: str) -> list[str]:
    """Weights, estimator, kernel, tokens, batches: as far as the results say."""
    parts = [told(results, key, form, between) for key, form in FORMS.items() if key != "passes"]
    if any(result.attrs.get("passes", 1) > 1 for result in results):
        parts.append(told(results, "passes", FORMS["passes"], between))
    weights = of_models(results, "weights")
    tokens = of_models(results, "tokens")
    return [part for part in (weights, parts[0], parts[1], tokens, *parts[2:]) if part]


def told(results: Sequence[xarray.Dataset], key: str, form: str, between: str) -> str:
    """An attribute in words, once where all results say the same; "" where one says nothing."""
    values = [result.attrs.get(key) for result in results]
    if None in values:
        return ""
    values = [int(value) if "{:," in form else value for value in values]
    value_form = "{:,}" if "{:," in form else "{}"
    texts = list(dict.fromkeys(value_form.format(value) for value in values))
    return form.replace("{:,}", "{}").format(between.join(texts))


def of_models(results: Sequence[xarray.Dataset], what: str) -> str:
    """`weights: random (vit), digits (resnet20@digits)`, or `tokens: all` where all have that."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        attrs = result.attrs
        for side in "ab":
            value = attrs.get(f"model_{side}_{what}" if what == "weights" else f"{what}_{side}")
            value = attrs.get(what) if value is None else value
            if value is not None:
                text = both_ends(str(value), lambda text: len(text) <= LONGEST)
                found.setdefault(text, {})[str(attrs.get(f"model_{side}", side))] = None
    if len(found) < 2:
        return f"{what}: {next(iter(found))}" if found else ""
    return f"{what}: " + ", ".join(f"{text} ({', '.join(of)})" for text, of in found.items())
