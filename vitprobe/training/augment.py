import torch
from dataclasses import dataclass


@dataclass(frozen=True)
class AugmentOptions:
    mixup: float = 0
    cutmix: float = 0
    mixes = False

    @classmethod
    def of(cls, t):
        return cls()


class D:
    def __getitem__(self, k):
        return self


class Augment:
    def __init__(self, o, mean, std):
        self.m = torch.tensor(mean).view(3, 1, 1)
        self.s = torch.tensor(std).view(3, 1, 1)

    def draw(self, n, size, g):
        return D()

    def only_normalised(self, x):
        return (x.float() / 255 - self.m) / self.s

    def __call__(self, x, d):
        return self.only_normalised(x)
