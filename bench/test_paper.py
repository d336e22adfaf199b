"""`vitprobe paper` beside the commands that it stands for, each from its start to its files."""

import subprocess
import sys

from interleave import interleave, quartiles

MODELS = "vit,resnet18"
APART = (
    ("cka", "--models", MODELS, "--layers", "blocks", "--null", "200"),
    ("attention", "--models", "vit"),
    ("head-subsets", "--models", MODELS),
    ("skips", "--models", MODELS),
    ("receptive-field", "--models", MODELS),
    ("localization", "--models", MODELS),
    ("dominant", "--models", MODELS),
    ("probe", "--models", MODELS, "--layers", "blocks"),
    ("maps", "--model", "vit", "--index", "0"),
    ("features", "--model", "vit", "--index", "0"),
    ("features", "--model", "resnet18", "--index", "0"),
)
SECONDS = 180


def test_all_at_once_beside_one_by_one(compared, tmp_path):
    """Once: it takes minutes. The two run in turns of a command each."""

    def command(*words):
        subprocess.run([sys.executable, "-m", "vitprobe", *words], cwd=tmp_path, check=True,
                       capture_output=True)  # fmt: skip

    def together():
        command("paper", "--models", MODELS)

    def apart():
        for words in APART:
            command(*words)

    seconds = interleave({"apart": apart, "paper": together}, 1, warm_up=0)
    names = {path.name for path in tmp_path.rglob("*.nc")}
    assert len({path.name for path in (tmp_path / "results").glob("*.nc")} - {
        path.name for path in (tmp_path / "results").glob("paper-*/*.nc")
    }) == 0 and len(names) > 15  # fmt: skip
    (whole,), (one,) = seconds["apart"], seconds["paper"]
    compared(
        table=f"Time: vitprobe paper --models {MODELS} (digits), from start to files",
        name=f"{len(APART)} commands apart, paper",
        unit="s",
        rounds=1,
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="paper / apart",
        ratio=quartiles([one / whole]),
        target=f"< 0.5, and below {SECONDS} s on 2 idle cores",
    )
