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


def by_hand(net: Net) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The scan with its gradient written by hand: weights get theirs from whole traces, in one product per delay."""
    import jax
    import jax.numpy as jnp

    work, depth = net.work, net.work.max_delay
    at_in, at_rec, beta = (jnp.asarray(part) for part in (net.at_in, net.at_rec, net.beta))
    zero = jnp.zeros((work.batch, work.n))

    def delayed(trace, d):
        """The trace d steps later."""
        return jnp.concatenate([jnp.zeros((d, *trace.shape[1:])), trace])[: work.steps]

    def forward(weights, inputs):
        current = sum(delayed(inputs, d) @ (weights["in"] * at_in[d]) for d in range(depth))
        weight = (weights["rec"] * at_rec).reshape(depth * work.n, work.n)

        def step(state, x):
            v, b, past, threshold, silent = state
            z = past[:, : work.n]
            reset = threshold * z
            b = RHO * b + (1 - RHO) * z
            threshold = V_TH + beta * b
            v = ALPHA * v + (1 - ALPHA) * (x + past @ weight) - reset
            free = silent <= 0
            z = jnp.where(free & (v > threshold), 1.0, 0.0)
            silent = jnp.where(z > 0, work.n_ref, silent - 1)
            past = jnp.concatenate([z, past[:, : -work.n]], 1)
            return (v, b, past, threshold, silent), (z, v, threshold, free)

        start = (zero, zero, jnp.tile(zero, depth), jnp.full_like(zero, V_TH), zero.astype(jnp.int32))
        return jax.lax.scan(step, start, current)[1]

    @jax.custom_vjp
    def run(weights, inputs):
        return forward(weights, inputs)[0]

    def run_forward(weights, inputs):
        traces = forward(weights, inputs)
        return traces[0], (weights, inputs, *traces)

    def run_backward(kept, g_spikes):
        weights, inputs, *traces = kept
        back = jnp.swapaxes(weights["rec"] * at_rec, 1, 2).reshape(depth * work.n, work.n)

        def step(state, now):
            gv, gb, later = state  # later: gradients of the currents of the next steps
            gz, z, v, threshold, free = now
            u = (v - threshold) / threshold
            gz = gz + later @ back + (1 - RHO) * gb - threshold * gv
            gu = jnp.where(free, DAMPENING * jnp.maximum(1 - jnp.abs(u), 0), 0) * gz / threshold
            gb = RHO * gb - beta * (gu * (u + 1) + z * gv)
            gv = gu + ALPHA * gv
            gi = (1 - ALPHA) * gv
            return (gv, gb, jnp.concatenate([gi, later[:, : -work.n]], 1)), gi

        start = (zero, zero, jnp.tile(zero, depth))
        _, gi = jax.lax.scan(step, start, (g_spikes, *traces), reverse=True)

        def product(before, at, d):
            return jnp.einsum("tbi,tbj->ij", delayed(before, d), gi) * at

        g_in = sum(product(inputs, at_in[d], d) for d in range(depth))
        g_rec = sum(product(traces[0], at_rec[d], d + 1) for d in range(depth))
        return {"in": g_in, "rec": g_rec, "out": jnp.zeros_like(weights["out"]), "bias": jnp.zeros(work.n_out)}, None

    run.defvjp(run_forward, run_backward)
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
