"""DEEP R's invariants, over hundreds of steps, around several optimizers."""

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

import lsnn
from lsnn.deep_r import THETA_BORN, DeepR, SoftDeepR
from lsnn.synapses import Synapses

OPTIMIZERS = {
    "adam": lambda p, lr: torch.optim.Adam(p, lr=lr),
    "sgd with momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "adamw": lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=0.1),
    "amsgrad": lambda p, lr: torch.optim.Adam(p, lr=lr, amsgrad=True),
}
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS)


def make(optimizer="adam", lr=0.05, n_in=6, n=10, n_out=2, connectivity=0.3, dale=True, **options):
    """Synapses and DEEP R around them; `push` gives theta a random gradient that keeps killing synapses."""
    generator = torch.Generator().manual_seed(0)
    signs = {"excitatory": 0.75} if dale else {"fixed_signs": True}
    synapses = Synapses(n_in, n, n_out, connectivity=connectivity, max_delay=4, generator=generator, **signs)
    return synapses, DeepR(OPTIMIZERS[optimizer](synapses.parameters(), lr), synapses, **options)


def push(synapses: Synapses, generator: torch.Generator, bias: float = 0.3) -> None:
    synapses.theta.grad = torch.randn(len(synapses), generator=generator) + bias


@optimizers
@settings(deadline=None, max_examples=8)
@given(
    lr=st.floats(0.02, 0.3),
    l1=st.floats(0, 0.1),
    temperature=st.floats(0, 1e-2),
    connectivity=st.floats(0.05, 0.9),
    dale=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_invariants_hold_over_hundreds_of_steps(optimizer, lr, l1, temperature, connectivity, dale, seed):
    synapses, deep_r = make(
        optimizer, lr, connectivity=connectivity, dale=dale, l1=l1, temperature=temperature, seed=seed
    )
    budget, source_sign = len(synapses), synapses.source_sign.clone()
    generator = torch.Generator().manual_seed(seed)
    moved = 0
    for _ in range(200):
        before = (
            synapses.position().clone(),
            synapses.sign.clone(),
            synapses.delay.clone(),
            synapses.theta.detach().clone(),
        )
        push(synapses, generator)
        deep_r.step()
        position, alive = synapses.position(), synapses.theta.detach() > 0
        assert alive.all() and len(synapses) == budget  # the active count is the budget, after every step
        assert len(position.unique()) == budget  # no place is taken twice
        assert not (synapses.pre - synapses.n_in == synapses.post).any()  # no autapses
        born = synapses.theta.detach() == torch.tensor(THETA_BORN)
        moved += int(born.sum())
        assert torch.equal(position[~born], before[0][~born])  # only newborn synapses change place,
        assert torch.equal(synapses.sign[~born], before[1][~born])  # sign
        assert torch.equal(synapses.delay[~born], before[2][~born])  # or delay
        if dale:
            assert torch.equal(synapses.sign, source_sign[synapses.pre])
        inner = synapses.post < synapses.n
        low = (synapses.pre >= synapses.n_in).long()
        assert (((synapses.delay - low >= 0) & (synapses.delay - low < 4)) | ~inner).all()
        assert torch.equal(synapses.weight().sign(), synapses.sign.float())
    assert moved > 0
    turnover = deep_r.take_turnover()
    assert sum(turnover.died.values()) == sum(turnover.regrown.values()) == moved
    assert sum(deep_r.take_turnover().died.values()) == 0


@optimizers
def test_newborn_synapses_have_fresh_moments(optimizer):
    synapses, deep_r = make(optimizer)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        push(synapses, generator)
        deep_r.step()
        born = synapses.theta.detach() == torch.tensor(THETA_BORN)
        for name, moment in deep_r.state[synapses.theta].items():
            if moment.shape == synapses.theta.shape:
                assert (moment[born] == 0).all(), name
                assert (moment[~born] != 0).any()


@optimizers
def test_a_dormant_synapse_wakes_by_rewiring_only(optimizer):
    """Momentum would carry theta above zero again; the guard holds it, and rewiring then moves the slot."""
    synapses, deep_r = make(optimizer, lr=0.1)
    generator = torch.Generator().manual_seed(0)
    push(synapses, generator, bias=-5.0)  # momentum upwards
    deep_r.step()
    with torch.no_grad():
        synapses.theta[0] = 0.0
    push(synapses, generator, bias=-5.0)
    deep_r.step()
    assert synapses.theta[0].item() == pytest.approx(THETA_BORN)
    died = deep_r.take_turnover()
    assert sum(died.regrown.values()) == 1 and sum(died.died.values()) == 0


def test_a_step_by_hand():
    """theta - lr grad - lr l1 with SGD: 0.5 - 0.1 - 0.01 stays; 0.1 - 0.1 - 0.01 dies and is born elsewhere."""
    none = lsnn.Connections([], [], [], 0)
    inputs = lsnn.Connections([0, 1], [0, 1], [0.5, -0.1], [0, 0])
    synapses = Synapses.from_connections(2, 2, 1, inputs, none, none, fixed_signs=True, dtype=torch.float64)
    deep_r = DeepR(torch.optim.SGD(synapses.parameters(), lr=0.1), synapses, l1=0.1)
    synapses.theta.grad = torch.ones(2, dtype=torch.float64)
    deep_r.step()
    assert synapses.theta.tolist() == [pytest.approx(0.39), THETA_BORN]
    assert (synapses.pre[0], synapses.post[0]) == (0, 0)
    assert synapses.weight().tolist()[0] == pytest.approx(0.39)


def test_random_walk_has_the_stated_temperature():
    """With no gradient and no l1 the step is sqrt(2 lr T) N(0, 1)."""
    synapses, deep_r = make("sgd with momentum", lr=0.02, n=200, l1=0.0, temperature=1e-6)
    with torch.no_grad():
        synapses.theta.fill_(1.0)
    synapses.theta.grad = torch.zeros_like(synapses.theta)
    deep_r.step()
    walk = synapses.theta.detach() - 1
    assert walk.std().item() == pytest.approx((2 * 0.02 * 1e-6) ** 0.5, rel=0.05)
    assert walk.mean().abs().item() < 1e-5


def test_l1_follows_the_learning_rate_now():
    synapses, deep_r = make("sgd with momentum", lr=0.1, l1=0.5)
    scheduler = StepLR(deep_r, step_size=1, gamma=0.1)
    with torch.no_grad():
        synapses.theta.fill_(1.0)
    for expected in (0.1 * 0.5, 0.01 * 0.5, 0.001 * 0.5):
        before = synapses.theta.detach().clone()
        synapses.theta.grad = torch.zeros_like(synapses.theta)
        deep_r.step()
        scheduler.step()
        assert torch.allclose(before - synapses.theta.detach(), torch.full_like(before, expected), atol=1e-7)


@pytest.mark.parametrize("schedule", [lambda o: StepLR(o, 3, 0.5), lambda o: CosineAnnealingLR(o, 10)])
def test_schedulers_act_on_the_base(schedule):
    synapses, deep_r = make()
    scheduler = schedule(deep_r)
    for _ in range(5):
        push(synapses, torch.Generator().manual_seed(0))
        deep_r.step()
        scheduler.step()
    assert deep_r.lr == deep_r.base.param_groups[0]["lr"] == scheduler.get_last_lr()[0] < 0.05


@pytest.mark.parametrize("soft", [False, True])
@optimizers
def test_restored_state_goes_on_bit_for_bit(optimizer, soft):
    def fresh():
        if not soft:
            return make(optimizer, temperature=1e-4, seed=3)
        synapses, _ = make(optimizer, connectivity=1.0)
        base = OPTIMIZERS[optimizer](synapses.parameters(), 0.05)
        return synapses, SoftDeepR(base, synapses, connectivity=0.3, temperature=1e-3, seed=3)

    def train(synapses, deep_r, steps):
        for step in steps:
            push(synapses, torch.Generator().manual_seed(step))
            deep_r.step()

    synapses, deep_r = fresh()
    train(synapses, deep_r, range(20))
    saved = copy.deepcopy((synapses.state_dict(), deep_r.state_dict()))
    saved[1]["rewiring"]["counted_from"] = 0  # as older versions wrote
    train(synapses, deep_r, range(20, 60))

    resumed, resumed_deep_r = fresh()
    resumed.load_state_dict(saved[0])
    resumed_deep_r.load_state_dict(saved[1])
    train(resumed, resumed_deep_r, range(20, 60))
    for a, b in zip(synapses.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert deep_r.take_turnover() == resumed_deep_r.take_turnover()


def test_other_parameters_are_left_to_the_base():
    """Biases of the network train as without DEEP R."""
    cells = lsnn.Cells(n_regular=5, n_adaptive=5)
    nets = [lsnn.LSNN(4, cells, 2, connectivity=0.4, excitatory=0.75, max_delay=3) for _ in range(2)]
    plain = torch.optim.Adam(nets[0].parameters(), lr=0.01)
    deep_r = DeepR(torch.optim.Adam(nets[1].parameters(), lr=0.01), nets[1].synapses)
    for net, optimizer in zip(nets, (plain, deep_r), strict=True):
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
        assert net.bias.tolist() == pytest.approx([-0.01, -0.01])


def test_closure_is_evaluated_once():
    synapses, deep_r = make()
    calls = []

    def closure():
        deep_r.zero_grad()
        loss = synapses.weight().square().sum()
        loss.backward()
        calls.append(loss)
        return loss

    assert deep_r.step(closure) is calls[0] and len(calls) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    synapses, deep_r = make()
    before = copy.deepcopy(synapses.state_dict())
    synapses.theta.grad = torch.ones_like(synapses.theta)
    synapses.theta.grad[3] = bad
    with pytest.raises(FloatingPointError, match="not finite at step 0"):
        deep_r.step()
    assert all(torch.equal(a, b) for a, b in zip(before.values(), synapses.state_dict().values(), strict=True))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_go_on_alike_and_apart(copied):
    synapses, deep_r = make()
    push(synapses, torch.Generator().manual_seed(1))
    deep_r.step()
    others = copied((synapses, deep_r))
    for one, optimizer in ((synapses, deep_r), others):
        push(one, torch.Generator().manual_seed(2))
        optimizer.step()
    assert others[1].synapses is others[0] and others[1].param_groups is others[1].base.param_groups
    for name, tensor in synapses.state_dict().items():
        assert tensor.equal(others[0].state_dict()[name]) and tensor is not others[0].state_dict()[name]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda s, base: DeepR(base, s, l1=-1.0), "l1 and temperature must be finite and not negative, got l1=-1.0"),
        (lambda s, base: DeepR(base, s, l1=math.nan), "must be finite and not negative, got l1=nan"),
        (lambda s, base: DeepR(base, s, temperature=math.nan), "finite and not negative, got l1=0.01, temperature=nan"),
        (lambda s, base: DeepR(torch.optim.SGD([torch.zeros(1)], lr=1.0), s), "does not train synapses.theta"),
        (lambda s, base: DeepR(torch.optim.LBFGS([s.theta]), s), "LBFGS needs several losses of one wiring a step"),
        (lambda s, base: DeepR(base, s).load_state_dict(base.state_dict()), "the state has no counters of rewiring"),
        (lambda s, base: SoftDeepR(base, s, connectivity=1.0), r"connectivity must lie in \(0, 1\)"),
        (lambda s, base: SoftDeepR(base, s, connectivity=0.1, l1=0.0), "soft-DEEP R needs l1 and temperature above 0"),
    ],
)
def test_misuse_is_named(build, message):
    synapses, deep_r = make()
    with pytest.raises(ValueError, match=message):
        build(synapses, deep_r.base)
    free = Synapses(2, 3, 1, generator=torch.Generator())
    with pytest.raises(ValueError, match="rewiring needs synapses that keep their sign"):
        DeepR(torch.optim.SGD(free.parameters(), lr=0.1), free)


def test_autapses_may_not_outnumber_the_places_to_be_reborn_at():
    def wrapped(recurrent):
        cells = lsnn.Cells(2, 1)
        net = lsnn.LSNN.from_arrays(torch.ones(2, 3), recurrent, torch.ones(3, 2), cells, fixed_signs=True)
        return net.synapses, DeepR(torch.optim.SGD(net.parameters(), lr=1.0), net.synapses)

    with pytest.raises(ValueError, match="21 synapses have 18 places to be reborn at, .* leave out 3 autapses or"):
        wrapped(torch.ones(3, 3))
    for recurrent in (1 - torch.eye(3), torch.eye(3)):
        synapses, deep_r = wrapped(recurrent)
        synapses.theta.grad = torch.full_like(synapses.theta, 2.0)  # all die
        deep_r.step()
        assert synapses.active().all() and not (synapses.pre - synapses.n_in == synapses.post).any()


def test_soft_deep_r_settles_at_the_stationary_share():
    """Without a gradient the walk alone decides: mass T / l1 above zero, uniform below, as theta_min is chosen for."""
    synapses, _ = make(n_in=20, n=50, connectivity=1.0)
    base = torch.optim.SGD(synapses.parameters(), lr=0.1)
    soft = SoftDeepR(base, synapses, connectivity=0.3, l1=0.05, temperature=1e-3)
    assert (synapses.theta > 0).float().mean().item() == pytest.approx(0.3, abs=0.001)
    assert synapses.theta.min() >= soft.theta_min
    signs, shares = synapses.sign.clone(), []
    for step in range(3000):
        synapses.theta.grad = torch.zeros_like(synapses.theta)
        soft.step()
        if step >= 1500:
            shares.append((synapses.theta > 0).float().mean().item())
    assert sum(shares) / len(shares) == pytest.approx(0.3, abs=0.05)
    assert torch.equal(synapses.sign, signs)
    turnover = soft.take_turnover()
    assert sum(turnover.died.values()) > 100 and sum(turnover.regrown.values()) > 100


def test_soft_deep_r_keeps_momentum_off_dormant_synapses():
    """Dormant synapses move by the random walk alone, whatever momentum the base optimizer has for them."""
    synapses, _ = make(connectivity=1.0)
    base = torch.optim.SGD(synapses.parameters(), lr=0.1, momentum=0.9)
    soft = SoftDeepR(base, synapses, connectivity=0.3, l1=0.01, temperature=1e-5)
    for _ in range(5):
        before = synapses.theta.detach().clone()
        synapses.theta.grad = torch.full_like(synapses.theta, -1.0)
        soft.step()
        moved = (synapses.theta.detach() - before)[before <= 0].abs()
        assert moved.max() < 6 * (2 * 0.1 * 1e-5) ** 0.5 and len(moved) > 30


def test_sources_whose_synapses_agree_in_sign_keep_to_dales_law():
    generator = torch.Generator().manual_seed(0)
    sources = torch.tensor([1.0] * 8 + [-1.0] * 4)
    w_rec = sources[:, None] * torch.rand(12, 12, generator=generator) * (torch.rand(12, 12, generator=generator) < 0.4)
    w_in, w_out = (torch.randn(*shape, generator=generator) for shape in ((5, 12), (12, 2)))
    net = lsnn.LSNN.from_arrays(w_in, w_rec.fill_diagonal_(0), w_out, lsnn.Cells(8, 4), fixed_signs=True)
    optimizer = lsnn.DeepR(torch.optim.SGD(net.parameters(), lr=0.5), net.synapses)
    before = net.synapses.dense()["recurrent"] != 0
    for _ in range(10):
        net.synapses.theta.grad = torch.randn(len(net.synapses), generator=generator)
        net.bias.grad = torch.zeros(2)
        optimizer.step()
    after = net.synapses.dense()["recurrent"].detach()
    assert ((after != 0) & ~before).sum() > 10
    assert (after * sources[:, None] >= 0).all()
    assert set(net.synapses.source_sign[:5].tolist()) == {0}  # inputs that have both signs go on having both
