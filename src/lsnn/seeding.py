"""Randomness: every stream derives from (seed, name, step), so that a resumed run draws what it would have drawn."""

import hashlib

import torch


def generator_for(seed: int, stream: str, step: int = 0) -> torch.Generator:
    """A fresh generator for one use at one step; different names and steps give independent streams.

    Torch's CPU generator keeps 32 bits of the seed, so two streams coincide by chance once in 2^32.
    """
    digest = hashlib.sha256(f"{seed}/{stream}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
