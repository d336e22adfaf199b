"""The pictures of README.md and docs/, from nothing: each by the command, or the code, of its page.

    python tools/docs_pictures.py                     # all
    python tools/docs_pictures.py tour-cka maps-vit   # these, and what they need
    python tools/docs_pictures.py --list

Commands run in --work (`pictures`), where what is trained stays, so that a second call trains
nothing; remove the folder to begin anew. Pictures of real images and weights need those of
--data (`../shared/data`, or $VITPROBE_TEST_DATA); where they lack, these pictures stay as they are.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from page_pictures import Screen, take  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Picture:
    """command: as on the page, or PAGE.md for the code on that page that saves the picture, or
    FILE.py of this folder, which is told where to. written: the file that it makes, below the
    folder that commands run in. needs: files of TRAINED, of the data, or of pages
    (`PAGE.md: FILE` is the block after the word FILE). screen: of a page (.html), what is seen."""

    command: str
    written: str
    needs: tuple[str, ...] = ()
    screen: Screen | None = None


VIT, RESNET = "checkpoints/vit-digits-scratch.pt", "checkpoints/resnet18-digits-scratch.pt"
SEEDS_PAGE = "seeds-and-checkpoints.md"
SEEDS = "runs/vit-2.pt"  # the last that its page trains

CIFAR = ("cifar10-train4000.npz", "cifar10-test1000.npz", "resnet20-12fca82f.th")
POOLS = ("checkpoints/cifar-cls.pt", "checkpoints/cifar-mean.pt")
SCRATCH = "vitprobe train scratch --model vit --dataset digits --keep_every 2"
EPOCHS = "checkpoints/vit-digits-scratch.epoch-016.safetensors"  # the last that it keeps
CUT = "checkpoints/vit-digits-scratch-noskip3-e30.pt"
SMALL, SHORT = "runs/small-{}.pt", "runs/resnet20-short-{}.pt"  # of docs/compare.md
MNIST, TUNED = "mnist-test3000.npz", "checkpoints/vit-mnist.pt"

TRAINED = {  # file -> the command that makes it, or the page that says how
    VIT: SCRATCH,
    EPOCHS: SCRATCH,
    TUNED: f"vitprobe train finetune --model vit@digits --dataset npz:{MNIST} --epochs 5 "
    "--keep_every 1 --model_name vit-mnist",
    CUT: "vitprobe train scratch --model vit --dataset digits --epochs 30 --remove_skip 3",
    RESNET: "vitprobe train scratch --model resnet18 --dataset digits",
    SEEDS: SEEDS_PAGE,
    **{
        SMALL.format(seed): "vitprobe train scratch --model vit --dataset digits --dim 48 "
        f"--depth 4 --mlp_dim 96 --epochs 20 --seed {seed} --model_name small-{seed} --output runs"
        for seed in range(3)
    },
    **{
        SHORT.format(seed): "vitprobe train scratch --model resnet20 --dataset digits --epochs 4 "
        f"--seed {seed} --model_name resnet20-short-{seed} --output runs"
        for seed in range(2)
    },
    **{
        path: "vitprobe train scratch --model vit --dataset npz:cifar10-train4000.npz "
        f"--test_dataset npz:cifar10-test1000.npz --pool {pool} --dim 64 --depth 4 --mlp_dim 128 "
        f"--epochs 15 --model_name cifar-{pool}"
        for path, pool in zip(POOLS, ("cls", "mean"), strict=True)
    },
}

LOCALIZATION = (
    f"vitprobe localization --models cls=vit@{POOLS[0]},mean=vit@{POOLS[1]},"
    "resnet20=resnet20@resnet20-12fca82f.th --dataset npz:cifar10-test1000.npz"
)

PROBE = (
    f"vitprobe probe --models cls=vit@{POOLS[0]},mean=vit@{POOLS[1]},"
    "resnet20=resnet20@resnet20-12fca82f.th --dataset npz:cifar10-test1000.npz "
    "--train npz:cifar10-train4000.npz"
)

DEMO = "vitprobe demo --no-browser"
DEMO_PAGE = "results/paper-vit@digits-resnet20@digits/report.html"
CHANCE = "vitprobe cka --models vit@digits,resnet20@digits --null 200 --report"
CHANCE_PAGE = "results/cka-vit@digits-resnet20@digits-null200.html"
TRAINED_BLOCKS = "vitprobe cka --models vit@digits,resnet20@digits --layers blocks --null 200"

PICTURES = {
    "report-cka": Picture(
        CHANCE, CHANCE_PAGE, screen=Screen(1180, 860, at="figure.map", fix=(0.62, 0.36))
    ),
    "report-phone": Picture(
        CHANCE, CHANCE_PAGE, screen=Screen(390, 800, "dark", "figure.map", (0.62, 0.36))
    ),
    "demo": Picture(DEMO, DEMO_PAGE, screen=Screen(1180, 860)),
    "demo-attention": Picture(
        DEMO, DEMO_PAGE, screen=Screen(1180, 860, "dark", "#section-attention")
    ),
    "demo-maps": Picture(DEMO, DEMO_PAGE, screen=Screen(1180, 700, at="#section-maps")),
    "cka-vit-resnet20-digits": Picture(
        "vitprobe cka --models vit@digits,resnet20@digits",
        "results/cka-vit@digits-resnet20@digits.png",
    ),
    "cka-vit-resnet18": Picture(
        "vitprobe cka --models vit,resnet18", "results/cka-vit-resnet18.png"
    ),
    "measures-vit-resnet20-digits": Picture(
        "vitprobe cka --models vit@digits,resnet20@digits --layers blocks "
        "--measure cka,rsa,procrustes,gulp:1:unit,svcca,mutual_knn",
        "results/cka-vit@digits-resnet20@digits-blocks-measures.png",
    ),
    "null-vit-resnet20-digits": Picture(
        "vitprobe cka --models vit@digits,resnet20@digits --null 200",
        "results/cka-vit@digits-resnet20@digits-null200.png",
    ),
    "null-random-few": Picture(
        "vitprobe cka --models vit,resnet20 --null 200 --examples 12",
        "results/cka-vit-resnet20-null200-examples12.png",
    ),
    "figures-pairs": Picture(
        "vitprobe cka --models vit@digits,resnet20@digits,vit",
        "results/cka-vit@digits-resnet20@digits-vit-pairs.png",
    ),
    "figures-difference": Picture(
        "vitprobe cka --models vit@digits,resnet20@digits && "
        "vitprobe cka --models vit,resnet20 && "
        "vitprobe plot results/cka-vit@digits-resnet20@digits.nc results/cka-vit-resnet20.nc "
        "--difference --layers blocks --output results/difference.png",
        "results/difference.png",
    ),
    "tour-cka": Picture(
        f"vitprobe cka --models vit@{VIT},resnet18@{RESNET}",
        "results/cka-vit@vit-digits-scratch-resnet18@resnet18-digits-scratch.png",
        (VIT, RESNET),
    ),
    "tutorial-trained": Picture(
        TRAINED_BLOCKS, "results/cka-vit@digits-resnet20@digits-blocks-null200.png"
    ),
    "tutorial-learnt": Picture(
        f"{TRAINED_BLOCKS} && vitprobe cka --models vit,resnet20 --layers blocks --null 200 && "
        "vitprobe plot results/cka-vit@digits-resnet20@digits-blocks-null200.nc "
        "results/cka-vit-resnet20-blocks-null200.nc --difference --output results/learnt.png",
        "results/learnt.png",
    ),
    "attention-vit": Picture("vitprobe attention --models vit", "results/attention-vit.png"),
    "attention-trained-vit": Picture(
        f"vitprobe attention --models vit@{VIT}",
        "results/attention-vit@vit-digits-scratch.png",
        (VIT,),
    ),
    "maps-vit": Picture(
        f"vitprobe maps --model vit@{VIT} --index 3",
        "results/maps-vit@vit-digits-scratch-image-3.png",
        (VIT,),
    ),
    "maps-positions": Picture(
        f"vitprobe maps --model vit@{VIT} --index 3",
        "results/maps-vit@vit-digits-scratch-image-3-positions.png",
        (VIT,),
    ),
    "features-resnet20": Picture(
        "vitprobe features --model resnet20@resnet20-12fca82f.th "
        "--dataset npz:cifar10-test1000.npz --index 0",
        "results/features-resnet20@resnet20-12fca82f-npz_cifar10-test1000-image-0.png",
        ("resnet20-12fca82f.th", "cifar10-test1000.npz"),
    ),
    "features-vit": Picture(
        "vitprobe features --model vit@digits --index 3",
        "results/features-vit@digits-image-3.png",
    ),
    "skips-vit-digits": Picture(
        "vitprobe skips --models vit@digits,resnet20@digits", "results/skips-vit@digits.png"
    ),
    "skips-vit-resnet20-digits": Picture(
        "vitprobe skips --models vit@digits,resnet20@digits",
        "results/skips-vit@digits-resnet20@digits.png",
    ),
    "probe-vit-resnet20-digits": Picture(
        "vitprobe probe --models vit@digits,resnet20@digits",
        "results/probe-vit@digits-resnet20@digits.png",
    ),
    "probe-each-vit-digits": Picture(
        "vitprobe probe --models vit@digits --tokens each",
        "results/probe-vit@digits-blocks-each.png",
    ),
    "probe-cifar": Picture(
        PROBE, "results/probe-cls-mean-resnet20-npz_cifar10-test1000.png", (*CIFAR, *POOLS)
    ),
    "probe-each-cifar": Picture(
        f"vitprobe probe --models cls=vit@{POOLS[0]},mean=vit@{POOLS[1]} --dataset "
        "npz:cifar10-test1000.npz --train npz:cifar10-train4000.npz --tokens each",
        "results/probe-cls-npz_cifar10-test1000-blocks-each.png",
        (*CIFAR, *POOLS),
    ),
    "skip-removal-vit": Picture(
        f'vitprobe cka --models "whole=vit@digits,without=vit@{CUT}" --layers blocks '
        "--name trained-vit",
        "results/trained-vit-whole-without-blocks-pairs.png",
        (CUT,),
    ),
    "head-subsets-vit-resnet18": Picture(
        f"vitprobe head-subsets --models vit@{VIT},resnet18@{RESNET}",
        "results/head_subsets-vit@vit-digits-scratch-resnet18@resnet18-digits-scratch.png",
        (VIT, RESNET),
    ),
    "localization-vit-cifar": Picture(
        LOCALIZATION, "results/localization-cls-npz_cifar10-test1000.png", (*CIFAR, *POOLS)
    ),
    "localization-cifar": Picture(
        LOCALIZATION,
        "results/localization-cls-mean-resnet20-npz_cifar10-test1000.png",
        (*CIFAR, *POOLS),
    ),
    "pretrained-resnet20": Picture(
        'vitprobe cka --models "cifar=resnet20@resnet20-12fca82f.th,digits=resnet20@digits" '
        "--dataset npz:cifar10-test1000.npz --layers blocks",
        "results/cka-cifar-cifar-npz_cifar10-test1000-blocks.png",
        ("resnet20-12fca82f.th", "cifar10-test1000.npz"),
    ),
    "dominant-resnet20-cifar": Picture(
        "vitprobe dominant --model cifar=resnet20@resnet20-12fca82f.th "
        "--dataset npz:cifar10-test1000.npz --layers all",
        "results/dominant-cifar-npz_cifar10-test1000-all.png",
        ("resnet20-12fca82f.th", "cifar10-test1000.npz"),
    ),
    "dominant-planted": Picture("dominant.md", "planted.png"),
    "receptive-field-vit-resnet20-digits": Picture(
        "vitprobe receptive-field --models vit@digits,resnet20@digits",
        "results/receptive_field-vit@digits-resnet20@digits.png",
    ),
    "receptive-field-resnet20-cifar": Picture(
        "vitprobe receptive-field --models cifar=resnet20@resnet20-12fca82f.th "
        "--dataset npz:cifar10-test1000.npz",
        "results/receptive_field-cifar-npz_cifar10-test1000.png",
        ("resnet20-12fca82f.th", "cifar10-test1000.npz"),
    ),
    "compare-digits": Picture(
        'vitprobe compare --models "small-0=vit@runs/small-0.pt,small-1=vit@runs/small-1.pt,'
        "small-2=vit@runs/small-2.pt,short-0=resnet20@runs/resnet20-short-0.pt,"
        "short-1=resnet20@runs/resnet20-short-1.pt,vit@digits,resnet20@digits,vit,"
        'small=vit(dim=48,depth=4,mlp_dim=96),resnet20,resnet18" --name digits',
        "results/digits.png",
        (*map(SMALL.format, range(3)), *map(SHORT.format, range(2))),
    ),
    "seeds": Picture(SEEDS_PAGE, "seeds.png", (SEEDS,)),
    "checkpoints": Picture(SEEDS_PAGE, "checkpoints.png", (SEEDS,)),
    "finetuning-digits-mnist": Picture(
        f'vitprobe finetuning --models "before=vit@digits,after=vit@{TUNED}" '
        f"--dataset npz:{MNIST} --examples 720",
        "results/finetuning-before-after-npz_mnist-test3000-examples720.png",
        (MNIST, TUNED),
    ),
    "finetuning-epochs": Picture(
        'vitprobe finetuning --models "vit@checkpoints/vit-digits-scratch.epoch-*.safetensors"',
        "results/finetuning-vit@vit-digits-scratch.epoch-000-7_more-"
        "vit@vit-digits-scratch.epoch-016.png",
        (EPOCHS,),
    ),
    "paper-vit-resnet20-digits": Picture(
        "vitprobe paper --models vit@digits,resnet20@digits",
        "results/paper-vit@digits-resnet20@digits/overview.png",
    ),
    "passes": Picture("draw_pass.py", "passes.png"),
    "data-size-digits": Picture("vitprobe data-size", "results/data_size-digits.png"),
    "model-size-digits": Picture("vitprobe model-size", "results/model_size-digits.png"),
    "compare-training-cifar": Picture(  # of 3 + 3 trainings
        "vitprobe compare-training study.toml",
        "results/compare_training-study.png",
        ("cifar10-train4000.npz", "cifar10-test1000.npz", "compare-training.md: study.toml"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="pictures, without .png (all)")
    parser.add_argument("--list", action="store_true", help="print names and commands, and go")
    parser.add_argument("--work", type=Path, default=Path("pictures"))
    parser.add_argument("--output", type=Path, default=DOCS)
    data = os.environ.get("VITPROBE_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(data))
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(PICTURES):
        parser.error(f"no picture {sorted(unknown)[0]}: there are {', '.join(PICTURES)}")
    work, output = chosen.work.resolve(), chosen.output.resolve()
    if not chosen.list:
        shutil.rmtree(work / "results", ignore_errors=True)  # no old picture is taken for a new one
        work.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        if chosen.names and name not in chosen.names:
            continue
        if chosen.list:
            print(f"{name}: {picture.command}")
            continue
        started = time.perf_counter()
        lacking = [need for need in picture.needs if not provide(need, work, chosen.data)]
        if lacking:
            print(f"{name}: left as it is, {', '.join(lacking)} is not in {chosen.data}")
            continue
        make(picture, work)
        if picture.screen is None:
            shutil.copyfile(work / picture.written, output / f"{name}.png")
        else:
            take(work / picture.written, output / f"{name}.png", picture.screen)
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)


def provide(need: str, work: Path, data: Path) -> bool:
    """Whether the file is in the folder: it was, was trained, is on a page, or among the data."""
    page, _, file = need.partition(": ")
    path = work / (file or need)
    if file:
        path.write_text(block_of(DOCS / page, "toml", "cifar10-train4000"))
    elif not path.exists() and need in TRAINED:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = TRAINED[need]
        if command.endswith(".md"):
            command = block_of(DOCS / command, "sh", "vitprobe train")
        shell(command, work)
    elif not path.exists() and (data / need).exists():
        path.symlink_to((data / need).resolve())
    return path.exists()


def make(picture: Picture, work: Path) -> None:
    if picture.command.endswith(".md"):
        code = block_of(DOCS / picture.command, "python", f'"{picture.written}"')
        run([sys.executable, "-c", code], work)
    elif picture.command.endswith(".py"):
        run([sys.executable, str(ROOT / "tools" / picture.command), picture.written], work)
    else:
        shell(picture.command, work)
    if not (work / picture.written).exists():
        raise SystemExit(f"{picture.command} writes no {picture.written} any more: change it here")


def block_of(page: Path, language: str, word: str) -> str:
    """The one block of code on a page that has the word in it."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if word in block)
    return block


def shell(command: str, work: Path) -> None:
    print(f"$ {command}", flush=True)
    run(["bash", "-o", "pipefail", "-c", command], work)


def run(words: list[str], work: Path) -> None:
    """With this tree's vitprobe."""
    scripts = Path(sys.executable).parent
    path = os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}
    subprocess.run(words, cwd=work, env=environment, check=True)


if __name__ == "__main__":
    main()
