"""Which run it is: all that decides its numbers and is known before the models were looked at."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Reader

KNOWN = ("facts", "images")  # of a reader's `about`


def known(reader: Reader, inputs: Inputs) -> dict[str, Any]:
    """`facts`, which results tell; and `images`: what would be long in a result, how many there are
    to choose from, which they are as far as they have names, and what is done to them, exactly.

    Of images that are given from Python only their number is known, not what they show.
    """
    options = inputs.options
    images = {
        **inputs.loader.contents,
        "transforms": [asdict(subject.transform) for subject in inputs.subjects],
        # which images are skipped
        "max_pixels": options.max_pixels if options.skip_bad_images else None,
    }
    return {"facts": reader.facts(inputs), "images": images}


def known_parts(readers: Sequence[Reader], inputs: Inputs) -> list[dict[str, Any]]:
    """For each reader what it is and what is known, as a file holds it."""
    parts = [
        {
            "analysis": reader.analysis,
            "version": reader.version,
            "about": known(reader, inputs),
        }
        for reader in readers
    ]
    return json.loads(json.dumps(parts))
