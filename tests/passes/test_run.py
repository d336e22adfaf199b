"""One pass for several readers: each gets what it would get alone, of one forward a batch."""

import pytest
import timm
import torch
from pass_readers import Gains, Norms, QueryNorms, Sensitivities
from torch import nn

import vitprobe
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.run import run

BATCH = 8


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return timm.models.VisionTransformer(**sizes, num_classes=5).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(20, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def inputs(vit, images):
    return lambda: prepare([vit], images, InputOptions(batch_size=BATCH))


def forwards_of(model, work):
    """What `work` gives, and how many examples each forward of the model began with."""
    sizes = []
    handle = model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    try:
        return work(), sizes
    finally:
        handle.remove()


def values(dataset):
    return dict(zip(dataset["place"].values.tolist(), dataset["mean"].values, strict=True))


def test_each_kind_gives_what_the_model_computes(vit, images, inputs):
    readers = [Norms("blocks"), QueryNorms(), Gains("blocks.*.mlp"), Sensitivities()]
    norms, queries, gains, gradients = (values(found[0]) for found in run(inputs(), readers))
    kept, given, wanted = {}, {}, {}

    def keep(name):
        def hook(module, args, output):
            kept[name], given[name] = output, args[0]

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in vit.named_modules()]
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(vit(x).sum(), x)
    for handle in handles:
        handle.remove()
    size = lambda y: y.double().flatten(1).norm(dim=1)  # noqa: E731
    for block in range(2):
        wanted[f"blocks.{block}"] = size(kept[f"blocks.{block}"]).mean().item()
        heads = kept[f"blocks.{block}.attn.qkv"].unflatten(2, (3, 3, 8))[:, :, 0]
        assert queries[f"blocks.{block}.attn"] == pytest.approx(size(heads).mean().item(), rel=1e-6)
        name = f"blocks.{block}.mlp"
        gain = (size(kept[name]) / size(given[name])).mean().item()
        assert gains[name] == pytest.approx(gain, rel=1e-6)
    wanted["output"] = size(kept[""]).mean().item()
    assert norms == pytest.approx(wanted, rel=1e-6)
    assert gradients == pytest.approx({"image": size(gradient).mean().item()}, rel=1e-5)


def test_together_as_alone_and_in_one_forward(vit, inputs):
    makers = [lambda: CKAReader("all"), AttentionReader, lambda: Norms("blocks")]
    alone = [run(inputs(), [make()])[0][0] for make in makers]
    # survey: 3 and 4 images; attention: 2 and 3; then one forward a batch
    found, sizes = forwards_of(vit, lambda: run(inputs(), [make() for make in makers]))
    assert sorted(sizes[:4]) == [2, 3, 3, 4] and sizes[4:] == [8, 8, 4]
    for (together,), single in zip(found, alone, strict=True):
        for name in single.variables:
            assert together[name].identical(single[name]), name
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in vit.modules())


def test_head_subsets_run_each_model_once_a_batch(vit, inputs, images):
    other = timm.create_model("resnet18", num_classes=5).eval()
    found, sizes = forwards_of(
        vit,
        lambda: run(
            prepare([vit, other], images, InputOptions(batch_size=8)), [HeadSubsetsReader()]
        ),
    )
    assert sizes[-3:] == [8, 8, 4] and len(sizes) <= 6 and found[0][0].attrs["batches"] == 3


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.rest = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.went_on = 0

    def forward(self, x):
        x = self.stem(x)
        self.went_on += 1
        return self.rest(x)


def test_a_forward_ends_with_the_last_thing_that_is_wanted(images):
    model = Stem()
    result = vitprobe.cka(model, data=images, layers="stem", batch_size=BATCH)
    assert model.went_on == 2 and result.attrs["batches"] == 3  # the survey's two
    model.went_on = 0
    both = [CKAReader("stem"), Norms("output")]
    run(prepare([model], images, InputOptions(batch_size=BATCH)), both)
    assert model.went_on == 5


def test_what_does_not_come_does_not_end_it(images):
    class Sometimes(Stem):
        def forward(self, x):
            x = self.stem(x)
            y = self.rest(x) if len(x) < BATCH else x
            self.went_on += 1
            return y

    model = Sometimes()
    _, sizes = forwards_of(
        model,
        lambda: run(
            prepare([model], images[:16], InputOptions(batch_size=BATCH)), [CKAReader("rest")]
        ),
    )
    assert model.went_on == len(sizes) and sizes[-2:] == [8, 8]


def test_batches_that_are_too_small_for_one_reader_count_for_the_others(vit, images):
    found = run(
        prepare([vit], images[:18], InputOptions(batch_size=BATCH)),
        [CKAReader("blocks"), Norms("blocks")],
    )
    (cka,), (norms,) = found
    assert (cka.attrs["examples"], cka.attrs["batches"]) == (16, 2)
    assert (norms.attrs["examples"], norms.attrs["batches"]) == (18, 3)
    assert "2 examples were dropped, in batches of fewer than 4" in cka.attrs["notes"]
    assert "dropped" not in norms.attrs["notes"]


def test_two_wants_of_one_site_share_its_hook(vit, inputs):
    module = vit.blocks[0].mlp
    most = 0

    class Counts(Norms):
        def take(self, site, x, twin):
            nonlocal most
            most = max(most, len(module._forward_hooks))
            super().take(site, x, twin)

    first, second = run(inputs(), [Counts("blocks.0.mlp"), Norms("blocks.0.mlp")])
    assert most == 1 and values(first[0]) == values(second[0])


def test_softmax_of_a_reader_is_no_attention_of_the_model(vit, inputs):
    class Softmaxed(Norms):
        def take(self, site, x, twin):
            square = torch.softmax(x[:, :16, :16], dim=-1) @ x[:, :16, :16]
            super().take(site, square, twin)

    alone = run(inputs(), [QueryNorms()])[0][0]
    together = run(inputs(), [Softmaxed("blocks.*.attn"), QueryNorms()])[1][0]
    assert values(together) == values(alone)
