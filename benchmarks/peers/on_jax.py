"""Networks in JAX: a scan written by hand, and spyx."""

from collections.abc import Callable
from typing import Any

from benchmarks.peers.network import ALPHA, DAMPENING, RHO, V_TH, Net
from lsnn.bench.clock import Clock, repeat


def measure(net: Net, run: Callable[..., Any], weights: dict[str, Any], iterations: int) -> dict[str, Any]:
    """Train run(weights, inputs) -> spikes (time, batch, n): compiled with loss, gradient and Adam as one."""
    import jax
    import jax.numpy as jnp

    inputs, target, tail = (jnp.asarray(part) for part in (net.inputs, net.work.target().numpy(), net.tail))
    weights = {**weights, "out": jnp.asarray(net.w_out), "bias": jnp.zeros(net.work.n_out)}

    def loss(weights, inputs):
        spikes = run(weights, inputs)
        rate = 1000 * spikes.mean(0)
        logits = jnp.einsum("t,tbn->bn", tail, spikes) @ weights["out"] + weights["bias"]
        correct = jax.nn.log_softmax(logits)[jnp.arange(len(target)), target]
        return 1e-4 * jnp.square(rate - 20).mean() - correct.mean(), rate.mean()

    @jax.jit
    def update(weights, first, second, k, lr, inputs):
        (_, rate), grads = jax.value_and_grad(loss, has_aux=True)(weights, inputs)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, second, grads)
        scale = lr / (1 - 0.9**k)
        weights = jax.tree.map(
            lambda w, m, s: w - scale * m / (jnp.sqrt(s / (1 - 0.999**k)) + 1e-8), weights, first, second
        )
        return weights, first, second, rate

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state, k = (weights, zeros, zeros), 0

    def step(clock: Clock) -> float:
        nonlocal state, k
        k += 1
        clock.begin()
        *state, rate = jax.block_until_ready(update(*state, float(k), 0.0, inputs))
        clock.end()
        return float(rate)

    return repeat(step, iterations)


def scan(net: Net) -> tuple[Callable[..., Any], dict[str, Any]]:
    import jax
    import jax.numpy as jnp

    work, depth = net.work, net.work.max_delay
    at_in, at_rec, beta = (jnp.asarray(part) for part in (net.at_in, net.at_rec, net.beta))

    @jax.custom_jvp
    def spike(u):
        return (u > 0).astype(u.dtype)

    @spike.defjvp
    def _(primals, tangents):
        (u,), (du,) = primals, tangents
        return spike(u), DAMPENING * jnp.maximum(1 - jnp.abs(u), 0) * du

    def run(weights, inputs):
        late = jnp.concatenate([jnp.zeros((depth - 1, *inputs.shape[1:])), inputs])
        current = sum(late[depth - 1 - d :][: work.steps] @ (weights["in"] * at_in[d]) for d in range(depth))
        weight = (weights["rec"] * at_rec).reshape(depth * work.n, work.n)

        def step(state, x):
            v, b, past, threshold, silent = state
            z = past[:, : work.n]
            reset = threshold * z
            b = RHO * b + (1 - RHO) * z
            threshold = V_TH + beta * b
            v = ALPHA * v + (1 - ALPHA) * (x + past @ weight) - reset
            z = spike((v - threshold) / threshold) * (silent <= 0)
            silent = jnp.where(z > 0, work.n_ref, silent - 1)
            past = jnp.concatenate([z, past[:, : -work.n]], 1)
            return (v, b, past, threshold, silent), z

        zero = jnp.zeros((work.batch, work.n))
        start = (zero, zero, jnp.tile(zero, depth), jnp.full_like(zero, V_TH), zero.astype(jnp.int32))
        return jax.lax.scan(step, start, current)[1]

    return run, {"in": jnp.asarray(net.w_in), "rec": jnp.asarray(net.w_rec)}


def spyx(net: Net) -> tuple[Callable[..., Any], dict[str, Any]]:
    import jax
    import jax.numpy as jnp
    import spyx.axn
    import spyx.nn
    from flax import nnx

    shape = spyx.axn.triangular()
    cell = spyx.nn.ALIF((net.work.n,), beta=ALPHA, gamma=RHO, threshold=V_TH, activation=shape, rngs=nnx.Rngs(0))
    graph, constants = nnx.split(cell)

    def run(weights, inputs):
        cell = nnx.merge(graph, weights["cell"])

        def step(state, x):
            inside, z = state
            z, inside = cell((1 - ALPHA) * (x + z @ weights["rec"]), inside)
            return (inside, z), z

        start = (cell.initial_state(net.work.batch), jnp.zeros((net.work.batch, net.work.n)))
        return jax.lax.scan(step, start, inputs @ weights["in"])[1]

    return run, {"in": jnp.asarray(net.w_in), "rec": jnp.asarray(net.w_rec), "cell": constants}
