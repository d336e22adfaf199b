"""`vitprobe cka --null 200` beside the same without it: 72 layers of ViT-tiny, 60 of ResNet-18.

8 batches of 45 examples, as of the embedded digits.
"""

import warnings

import torch
from interleave import interleave, quartiles

import vitprobe
from vitprobe.passes import Batch, Ran

MODELS, REPLICATES, EXAMPLES, BATCHES = ["vit", "resnet18"], 200, 45, 8
TARGET = "<= 2"


def compare(compared, table, name, ways, count):
    seconds = interleave(ways, count)
    without, with_null = seconds.values()
    compared(
        table=table,
        name=name,
        unit="s",
        rounds=count,
        values={way: quartiles(spans) for way, spans in seconds.items()},
        ratio_of="with / without",
        ratio=quartiles([more / less for less, more in zip(without, with_null, strict=True)]),
        target=TARGET,
    )


def reader_of(null):
    """A reader that has looked at the models, and made activations of every site's shape."""
    reader = vitprobe.CKAReader(null=null)
    vitprobe.run([reader], MODELS, examples=8, batch_size=4)
    made = {}
    for _, selection in reader.selected:
        for site in selection.sites:
            made.setdefault(site.shape, torch.randn(EXAMPLES, *site.shape))
    return reader, made


def work(reader, made):
    """All that the reader does, from activations to labelled results."""
    for metric in reader.metrics.values():
        metric.reset()
    for number in range(BATCHES):
        reader.start(Batch(number, EXAMPLES))
        for model, (_, selection) in enumerate(reader.selected):
            reduce = reader._vectors.reducer(model)
            with reader.during_forward(model):
                for site in selection.sites:
                    reduce(site, made[site.shape], None)
        reader.finish()
    ran = Ran(EXAMPLES * BATCHES, BATCHES, 1, "cpu", {})
    return reader.results(reader.about, reader.metrics, ran)


def test_what_the_reader_does(compared, rounds):
    warnings.simplefilter("ignore")
    plain, null = reader_of(None), reader_of(REPLICATES)
    ways = {"without": lambda: work(*plain), "with": lambda: work(*null)}
    across = ways["with"]()[0]
    assert across["p_value"].sizes == {"layer_a": 72, "layer_b": 60}
    name = f"72 x 60 layers, {BATCHES} batches of {EXAMPLES}, {REPLICATES} permutations"
    compare(compared, "Time: statistics of CKA with its null", name, ways, rounds(5))


def test_end_to_end(compared, rounds):
    warnings.simplefilter("ignore")
    ways = {
        way: lambda null=null: vitprobe.run([vitprobe.CKAReader(null=null)], MODELS)
        for way, null in (("without", None), ("with", REPLICATES))
    }
    name = f"vit, resnet18, 360 digits, {REPLICATES} permutations, forwards included"
    compare(compared, "Time: vitprobe.run of CKA with its null", name, ways, rounds(3))
