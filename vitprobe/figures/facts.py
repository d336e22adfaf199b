"""What results say of how their numbers were made, in the short parts of a figure's subtitle."""

from collections.abc import Sequence

import xarray

from vitprobe.figures.weights import weights_facts

SIDES = ("model", "model_a", "model_b")
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
    parts.insert(0, told(results, "imported_from", "from {}", between))
    parts = [*_weights(results), *parts[:3], _tokens(results), *parts[3:]]
    return [part for part in parts if part]


def told(results: Sequence[xarray.Dataset], key: str, form: str, between: str) -> str:
    """An attribute in words, once where all results say the same; "" where one says nothing."""
    values = [result.attrs.get(key) for result in results]
    if None in values:
        return ""
    values = [int(value) if "{:," in form else value for value in values]
    value_form = "{:,}" if "{:," in form else "{}"
    texts = list(dict.fromkeys(value_form.format(value) for value in values))
    return form.replace("{:,}", "{}").format(between.join(texts))


def _weights(results: Sequence[xarray.Dataset]) -> list[str]:
    """`random weights` where all models have them, else `random weights (vit)` for each kind."""
    found: dict[tuple[str, str | None], dict[str, None]] = {}
    labels: dict[str, None] = {}
    for result in results:
        for side in (side for side in SIDES if side in result.attrs):
            label = str(result.attrs[side])
            labels[label] = None
            for words in weights_facts(result.attrs, [side]):
                hashed = result.attrs.get(f"{side}_weights_sha256")  # files may be called alike
                file = hashed if words.startswith("weights of") else None
                found.setdefault((words, file), {})[label] = None
    if len(found) == 1 and labels.keys() == next(iter(found.values())).keys():
        return [words for words, _ in found]
    return [f"{words} ({', '.join(of)})" for (words, _), of in found.items()]


def _tokens(results: Sequence[xarray.Dataset]) -> str:
    """`tokens: cls (vit), mean (resnet18)`, or `tokens: all` where all have that."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        attrs = result.attrs
        for side in "ab":
            if (words := attrs.get(f"tokens_{side}", attrs.get("tokens"))) is not None:
                model = str(attrs.get(f"model_{side}", f"model {side}"))
                found.setdefault(str(words), {})[model] = None
    if len(found) < 2:
        return f"tokens: {next(iter(found))}" if found else ""
    return "tokens: " + ", ".join(f"{words} ({', '.join(of)})" for words, of in found.items())
