"""The targets (medians on an H200, inputs larger than the L2) beside what was measured."""

from collections.abc import Callable, Iterable
from statistics import geometric_mean

from on_gpu.names import FLASH, MATERIALISED, MATMUL, USUAL_RATIO, WHOLE, gram_label

Rows = list[dict]


def add_rates(sections: dict) -> None:
    """GB/s, % of the measured copy bandwidth and TFLOP/s into every timed way, in place."""
    copy = _copy_bandwidth(sections)
    for section in sections.values():
        for row in section.get("rows", []):
            ways = row.get("ways", {"": row})
            for name, way in ways.items():
                if not way.get("us"):
                    continue
                if "bytes" in row:
                    way["gb_per_s"] = round(row["bytes"] / way["us"] / 1e3, 2)
                    if copy:
                        way["percent_of_copy"] = round(row["bytes"] / way["us"] * 100 / copy, 1)
                if "flop" in row:
                    whole = row["flop"] * (2 if _computes_both_halves(name, row) else 1)
                    way["tflop_per_s"] = round(whole / way["us"] / 1e6, 3)


def _computes_both_halves(way: str, row: dict) -> bool:
    """torch's products of a matrix with itself do twice what must be done."""
    symmetric = "p" in row or row.get("same", False)
    return symmetric and any(word in way for word in ("@", "torch", "float64"))


def _copy_bandwidth(sections: dict) -> float | None:
    """Bytes per microsecond, read and written."""
    for row in sections.get("copy", {}).get("rows", []):
        if row["what"] == "copy" and row.get("us"):
            return row["bytes"] / row["us"]
    return None


def targets(sections: dict, dry_run: bool = False) -> Rows:
    """A row for each target and kernel: {"what", "target", "kernel", "measured", "met", "why"}.

    `met` is null, with a reason, where something was not measured.
    """
    gram = sections.get("gram", {}).get("rows", [])
    kernels = list(dict.fromkeys(name for row in gram for name in row["ways"]))
    kernels = [name for name in kernels if "@" not in name and "torch" not in name]
    found = []
    for kernel in kernels or ["-"]:
        tf32 = kernel.endswith("tf32")
        if not tf32:
            for p in (200_704, 1_605_632):
                for n, percent in ((128, 70), (256, 60)):
                    percent += 10 if p > 10**6 else 0
                    found.append(_percent(gram, kernel, "bf16", n, p, percent))
            found.append(_percent(gram, kernel, "f32", 128, 200_704, 50))
        else:
            found.append(_percent(gram, kernel, "f32", 256, 200_704, 70))
        found.append(_against(gram, kernel, WHOLE, geometric_mean, 2.5))
        found.append(_against(gram, kernel, MATMUL, min, 1.0))
    found.append(_grouped(sections.get("sites", {}).get("rows", [])))
    found += _attention(sections.get("attention", {}).get("rows", []))
    found += _attention_whole(sections.get("attention_end_to_end", {}))
    found += _whole(sections.get("end_to_end", {}))
    found += _training(sections.get("training", {}).get("rows", []))
    if dry_run:
        for row in found:
            row |= {"met": None, "why": "a dry run measures nothing"}
    return found


def _target(what: str, target: str, kernel: str, measured, met, why: str = "") -> dict:
    row = {"what": what, "target": target, "kernel": kernel, "measured": measured, "met": met}
    return row | ({"why": why} if why else {})


def _percent(rows: Rows, kernel: str, dtype: str, n: int, p: int, percent: int) -> dict:
    what = f"centered_gram {dtype}, n = {n}, p = {p}: % of copy bandwidth"
    wanted = f">= {percent}"
    for row in rows:
        usual = row.get("ratio", USUAL_RATIO) == USUAL_RATIO
        if usual and (row["dtype"], row["n"], row["p"]) == (dtype, n, p):
            measured = row["ways"].get(kernel, {}).get("percent_of_copy")
            if measured is not None:
                return _target(what, wanted, kernel, measured, measured >= percent)
    return _target(what, wanted, kernel, None, None, "not measured")


def _against(
    rows: Rows, kernel: str, rival: str, combine: Callable[[list[float]], float], least: float
) -> dict:
    """Times faster than the rival of the same precision, over the shapes where both ran."""
    rival += " tf32" if kernel.endswith("tf32") else ""
    largest = 512 if rival.startswith(MATMUL) else 1024
    how = "least" if combine is min else "geometric mean"
    what = f"centered_gram against {rival}, n <= {largest}: times faster, {how}"
    times = {}
    for row in rows:
        ours, theirs = (row["ways"].get(way, {}).get("us") for way in (kernel, rival))
        if ours and theirs and row["n"] <= largest:
            times[gram_label(row)] = theirs / ours
    if not times:
        return _target(what, f">= {least}", kernel, None, None, "not measured")
    value = combine(list(times.values()))
    slowest = min(times, key=times.get)
    why = f"{len(times)} shapes; least at {slowest}: {times[slowest]:.2f}"
    return _target(what, f">= {least}", kernel, round(value, 3), value >= least, why)


def _grouped(rows: Rows) -> dict:
    what = "many small sites: times faster than one launch each, least"
    ratios = []
    for row in rows:
        each = [
            w["us"]
            for k, w in row["ways"].items()
            if "torch" not in k and "@" not in k and "one launch each" in k and w.get("us")
        ]
        grouped = row["ways"].get("grouped", {}).get("us")
        if each and grouped:
            ratios.append(min(each) / grouped)
    if not ratios:
        return _target(what, ">= 3", "grouped", None, None, "no grouped kernel was measured")
    return _target(what, ">= 3", "grouped", round(min(ratios), 2), min(ratios) >= 3)


def _attention(rows: Rows) -> Rows:
    """Microseconds over those of flash attention, and of materialising over ours: the worst."""
    kernels = [n for n in (rows[0]["ways"] if rows else ["-"]) if "torch" not in n]
    found = []
    for kernel in kernels:
        for depth, most in ((64, 1.0), (128, 0.75)):
            what = f"attention_statistics, D = {depth}: time over flash attention's, largest"
            ratios = _ratios((r for r in rows if r["depth"] == depth), kernel, FLASH)
            found.append(_worst(what, "<=", most, kernel, ratios))
        what = "attention_statistics against materialising: times faster, least"
        ratios = _ratios(rows, MATERIALISED, kernel)
        found.append(_worst(what, ">=", 5, kernel, ratios))
    return found


def _ratios(rows: Iterable[dict], over: str, under: str) -> dict[str, float]:
    """Shape -> the time of one way over that of another, where both ran."""
    found = {}
    for row in rows:
        times = [row["ways"].get(name, {}).get("us") for name in (over, under)]
        if all(times):
            shape = f"{row['images']} x {row['tokens']}, D = {row['depth']}"
            found[shape] = times[0] / times[1]
    return found


def _worst(what: str, relation: str, bound: float, kernel: str, ratios: dict[str, float]) -> dict:
    target = f"{relation} {bound}"
    if not ratios:
        return _target(what, target, kernel, None, None, "not measured")
    shape = (max if relation == "<=" else min)(ratios, key=ratios.get)
    value = ratios[shape]
    met = value <= bound if relation == "<=" else value >= bound
    return _target(what, target, kernel, round(value, 3), met, f"{len(ratios)} shapes; {shape}")


def _seconds(section: dict) -> tuple[dict[str, float | None], dict[str, str]]:
    """Seconds of a batch by way; and of ours, the kernels that each names."""
    ways = {row["way"]: row.get("seconds_per_batch") for row in section.get("rows", [])}
    ours = [name for name in ways if name.startswith("vitprobe")] or ["vitprobe"]
    return ways, {name: name.removeprefix("vitprobe").strip() or "-" for name in ours}


def _over_forward(what: str, kernel: str, seconds: float | None, forward: float | None) -> dict:
    if not seconds or not forward:
        return _target(what, "<= 1.3", kernel, None, None, "not measured")
    ratio = seconds / forward
    return _target(what, "<= 1.3", kernel, round(ratio, 3), ratio <= 1.3)


def _attention_whole(section: dict) -> Rows:
    ways, ours = _seconds(section)
    what = "vitprobe.attention end to end: T / F"
    return [
        _over_forward(what, kernel, ways.get(name), ways.get("forward"))
        for name, kernel in ours.items()
    ]


def _whole(section: dict) -> Rows:
    """T / F, and (T - F) / (P - F) with each forward pass its own."""
    ways, ours = _seconds(section)
    forward, peer = ways.get("forward"), ways.get("pytorch-cka")
    peer_forward = ways.get("forward, not in place")
    found = []
    for name, kernel in ours.items():
        seconds = ways.get(name)
        found.append(_over_forward("end to end: T / F", kernel, seconds, forward))
        what, target = "end to end: (T - F) / (P - F) of pytorch-cka", "<= 0.2"
        if seconds and forward and peer and peer_forward and peer > peer_forward:
            ratio = (seconds - forward) / (peer - peer_forward)
            found.append(_target(what, target, kernel, round(ratio, 3), ratio <= 0.2))
        else:
            missing = section.get("pytorch_cka") == "not installed"
            why = "pytorch-cka is not installed" if missing else "not measured"
            found.append(_target(what, target, kernel, None, None, why))
    return found


def _training(rows: Rows) -> Rows:
    """A step of `vitprobe train` over the bare loop's, medians of the turns."""
    what, found = "a training step: time over the bare loop's", []
    for row in rows or [{"case": "-", "why": "not measured"}]:
        name = f"{what}, {row['case']}"
        if "ratio" in row:
            ratio = row["ratio"][1]
            found.append(_target(name, "<= 1.05", "-", round(ratio, 3), ratio <= 1.05))
        else:
            found.append(_target(name, "<= 1.05", "-", None, None, row["why"]))
    return found
