"""Learners that know nothing of a family of functions, to compare a network that has learned to learn with.

Each sees the examples of n functions in the order of the episode and predicts every value from what came before it:
x is (example, n, n_x), y and the predictions (example, n).  Only `linear_fit` looks at all examples at once.
"""

import torch
from jaxtyping import Float
from torch import Tensor

X = Float[Tensor, "example n n_x"]
Y = Float[Tensor, "example n"]


def linear_fit(x: X, y: Y) -> Y:
    """The best linear function with an intercept for each episode, fitted to all its examples: least squares."""
    features, values = _with_one(x).double().transpose(0, 1), y.double().t().unsqueeze(2)  # (n, example, ...)
    # normal equations with the pseudo-inverse: fewer examples than arguments are no error
    coefficients = torch.linalg.pinv(features.mT @ features, hermitian=True) @ (features.mT @ values)
    return (features @ coefficients).squeeze(2).t().to(y.dtype)


def ridge_so_far(features: X, y: Y, l2: float, prior: float | Float[Tensor, " n"] = 0.0) -> Y:
    """Ridge regression, refitted before each example on all that came before it:

        w = argmin sum over examples j < i of (w . f(j) - (y(j) - prior))^2 + l2 |w|^2,   prediction = w . f(i) + prior

    All fits come from one Cholesky factor L of K + l2 I, with K the features' products: the prediction of example i is
    the part of row i of L before the diagonal, times the same part of L^-1 (y - prior).
    features: (example, n, feature).
    """
    if not l2 > 0:
        raise ValueError(f"l2 must be positive, got {l2}; before there are enough examples the fit needs it")
    f, centred = features.double().transpose(0, 1), (y.double() - prior).t().unsqueeze(2)  # (n, example, ...)
    kernel = f @ f.mT
    kernel.diagonal(dim1=1, dim2=2).add_(l2)
    factor = torch.linalg.cholesky(kernel)
    whitened = torch.linalg.solve_triangular(factor, centred, upper=False)
    return ((factor.tril(-1) @ whitened).squeeze(2).t() + prior).to(y.dtype)


def linear_so_far(x: X, y: Y, l2: float = 0.1, prior: float = 0.0) -> Y:
    """A linear function with an intercept, refitted before each example on all before it, with a little ridge.

    l2: on slopes; the intercept is held a hundred times more loosely around `prior`.
    """
    f = _with_one(x.double())
    f[..., -1] = 10
    products = f.unsqueeze(3) * f.unsqueeze(2)  # (example, n, feature, feature)
    before = products.cumsum(0) - products + l2 * torch.eye(f.shape[2], dtype=f.dtype)
    moment = f * (y.double() - prior).unsqueeze(2)
    coefficients = torch.linalg.solve(before, moment.cumsum(0) - moment)
    return ((f * coefficients).sum(2) + prior).to(y.dtype)


def nearest_so_far(x: X, y: Y, prior: float = 0.0) -> Y:
    """A memory: the value of the nearest argument seen so far; `prior` before the first."""
    predicted = torch.full_like(y, prior)
    for i in range(1, len(x)):
        nearest = (x[:i] - x[i]).square().sum(2).argmin(0)
        predicted[i] = y[:i].gather(0, nearest[None])[0]
    return predicted


def backprop_so_far(
    x: X, y: Y, generator: torch.Generator, lr: float = 0.001, n_hidden: int = 10, weight_decay: float = 1e-5
) -> Y:
    """A network of n_hidden sigmoid units and a sigmoid output for each function, trained online: predict, then one
    step of AMSGrad on the example's squared error.

    The paper's comparison: 2-10-1, weights Xavier normal, biases zero, lr 0.001, weight decay 1e-5 (recalled).
    x in [-1, 1] and y in [0, 1].  AMSGrad acts on each number alone, so all functions share one optimizer.
    """
    _, n, n_x = x.shape
    sizes = ((n_x, n_hidden), (n_hidden, 1))
    parameters = []
    for fan_in, fan_out in sizes:
        std = (2 / (fan_in + fan_out)) ** 0.5
        parameters += [std * torch.randn(n, fan_in, fan_out, generator=generator), torch.zeros(n, 1, fan_out)]
    w_in, b_in, w_out, b_out = (parameter.requires_grad_() for parameter in parameters)
    optimizer = torch.optim.Adam([w_in, b_in, w_out, b_out], lr=lr, weight_decay=weight_decay, amsgrad=True)
    predicted = torch.empty_like(y)
    with torch.enable_grad():
        for i in range(len(x)):
            hidden = torch.sigmoid(torch.baddbmm(b_in, x[i].unsqueeze(1), w_in))  # (n, 1, n_hidden)
            output = torch.sigmoid(torch.baddbmm(b_out, hidden, w_out))[:, 0, 0]
            predicted[i] = output.detach()
            optimizer.zero_grad()
            (output - y[i]).square().sum().backward()
            optimizer.step()
    return predicted


def _with_one(x: X) -> Float[Tensor, "example n wider"]:
    return torch.cat([x, torch.ones_like(x[..., :1])], dim=2)
