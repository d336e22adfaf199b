"""Size classes: of one operator and type, the inputs for which one and the same kernel runs.

`huge` is decided by the times of `large`, without the reference, which would need memory in
proportion to the input (see `choice`).
"""

SMALL, LARGE, HUGE = "small", "large", "huge"
MANY_ROWS, TOGETHER = "n > 256", "together"

#: Examples up to which one block of the fast Gram kernel holds all of them.
_ROWS = 256
_FEW_NUMBERS, _MANY_NUMBERS = 2**20, 2**26
_FEW_PRODUCTS = 2**27
_FEW_SCORES, _MANY_SCORES = 2**21, 2**28


def gram_size(examples: int, features: int, sites: int = 1) -> str:
    """Of `sites` activations of so many examples, the first of so many features."""
    if examples * features * sites > _MANY_NUMBERS:
        return HUGE
    if examples > _ROWS:
        return MANY_ROWS
    if sites > 1:
        return TOGETHER
    return SMALL if examples * features < _FEW_NUMBERS else LARGE


def packed_size(numbers: int) -> str:
    """Of a packed Gram matrix."""
    return SMALL if numbers <= _ROWS * (_ROWS + 1) // 2 else LARGE


def hsic_size(rows: int, columns: int, length: int) -> str:
    """Of (rows, length) times (length, columns)."""
    return SMALL if rows * columns * length < _FEW_PRODUCTS else LARGE


def attention_size(images: int, heads: int, tokens: int) -> str:
    scores = images * heads * tokens * tokens
    if scores > _MANY_SCORES:
        return HUGE
    return SMALL if scores < _FEW_SCORES else LARGE
