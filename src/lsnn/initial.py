"""Initial signs and weights, for a block of synapses at a time (Bellec et al. 2018, supplement; the authors' code)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

LARGE = 2000
"""sources from which on a balanced matrix is no longer built and decomposed whole"""


def source_signs(n_in: int, n: int, excitatory: float | None, generator: torch.Generator) -> Int[Tensor, " sources"]:
    """+1 or -1 per source under Dale's law; zeros without.  Authors: int(share * count) + 1 excitatory of each kind.

    Inhibitory inputs are scattered, inhibitory neurons come first.
    """
    if excitatory is None:
        return torch.zeros(n_in + n, dtype=torch.int8)
    signs = []
    for count in (n_in, n):
        n_excitatory = min(int(excitatory * count) + 1, count)
        signs.append(torch.cat([-torch.ones(count - n_excitatory), torch.ones(n_excitatory)]).to(torch.int8))
    return torch.cat([signs[0][torch.randperm(n_in, generator=generator)], signs[1]])


def normal(k: int, n_pre: int, n_post: int, connectivity: float, generator: torch.Generator) -> Float[Tensor, " k"]:
    """N(0, 1) / sqrt(expected fan-in), for input and recurrent synapses of free sign."""
    return torch.randn(k, generator=generator) / math.sqrt(connectivity * n_pre)


def glorot(k: int, n_pre: int, n_post: int, connectivity: float, generator: torch.Generator) -> Float[Tensor, " k"]:
    """Glorot uniform, for readout synapses of free sign."""
    limit = math.sqrt(6 / (connectivity * (n_pre + n_post)))
    return limit * (2 * torch.rand(k, generator=generator) - 1)


def balanced_magnitudes(
    sign: Int[Tensor, " n_pre"],
    n_post: int,
    pre: Int[Tensor, " k"],
    post: Int[Tensor, " k"],
    generator: torch.Generator,
) -> Float[Tensor, " k"]:
    """Under Dale's law: the magnitudes of a balanced matrix at the given places."""
    if len(sign) <= LARGE:
        return balanced_matrix(sign, n_post, generator)[pre, post].abs()
    return large_balanced(sign, pre, generator)


def balanced_matrix(sign: Int[Tensor, " n"], n_post: int, generator: torch.Generator) -> Float[Tensor, "n n_post"]:
    """The authors' initial matrix for sources of the given signs (paper's code: random_sparse_signed_matrix).

    Square first: |N(0, 1)| with the sign of the source; inhibition scaled to the sum of excitation; every column
    brought to sum 0 by a constant added to the magnitudes of one kind; spectral radius 1.  Then columns are taken, the
    first n_post, or drawn with replacement where more are asked for.
    """
    n = len(sign)
    row_sign = sign[:, None].to(torch.get_default_dtype())
    matrix = torch.randn(n, n, generator=generator).abs() * row_sign
    excites, inhibits = row_sign > 0, row_sign < 0
    if inhibits.any() and excites.any():
        matrix = torch.where(inhibits, matrix * (matrix[excites[:, 0]].sum() / -matrix[inhibits[:, 0]].sum()), matrix)
        surplus = matrix.sum(0, keepdim=True)  # (1, n): what to take away from each column
        matrix = matrix - torch.where(surplus > 0, inhibits / inhibits.sum(), excites / excites.sum()) * surplus
    matrix = matrix / torch.linalg.eigvals(matrix).abs().max()
    columns = torch.arange(n_post) if n_post <= n else torch.randint(n, (n_post,), generator=generator)
    return matrix[:, columns]


def large_balanced(sign: Int[Tensor, " n"], pre: Int[Tensor, " k"], generator: torch.Generator) -> Float[Tensor, " k"]:
    """Magnitudes with the law of a large `balanced_matrix`, drawn only where a synapse is.

    A balanced random matrix has spectral radius sqrt(sum over sources of the variance of their entries), and
    |N(0, 1)| has variance 1 - 2 / pi.
    """
    n_excitatory, n_inhibitory = int((sign > 0).sum()), int((sign < 0).sum())
    scale = n_excitatory / n_inhibitory if n_excitatory and n_inhibitory else 1.0
    radius = math.sqrt((1 - 2 / math.pi) * (n_excitatory + scale**2 * n_inhibitory))
    if not n_excitatory or not n_inhibitory:
        radius = len(sign) * math.sqrt(2 / math.pi)  # one sign: the mean's eigenvalue is the largest
    factor = torch.where(sign[pre] < 0, scale, 1.0) / radius
    return torch.randn(len(pre), generator=generator).abs() * factor
