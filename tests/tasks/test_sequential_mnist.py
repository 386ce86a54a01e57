from pathlib import Path

import pytest
import torch

from lsnn import mnist
from lsnn.encoding import threshold_crossing
from lsnn.tasks import SequentialMnist


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first(task: SequentialMnist, n: int = 4) -> torch.Tensor:
    """Inputs of the first n test images."""
    return next(task.evaluation("test", n)).inputs


@pytest.mark.parametrize(("ms_per_pixel", "n_steps", "n_cue"), [(1, 840, 56), (2, 1680, 112)])
def test_cue_fires_in_every_one_of_the_last_steps_and_then_only_the_cue(ms_per_pixel: int, n_steps: int, n_cue: int):
    task = SequentialMnist(ms_per_pixel=ms_per_pixel)
    assert (task.n_in, task.n_steps, task.cue_steps, task.readout_steps) == (80, n_steps, n_cue, n_cue // 2)
    spikes = first(task)
    assert spikes.shape == (n_steps, 4, 80) and spikes.dtype == torch.uint8
    assert spikes[-n_cue:, :, 79].all() and not spikes[:-n_cue, :, 79].any()
    assert not spikes[-n_cue:, :, :79].any()
    assert not spikes[..., :2].any()
    assert spikes[:-n_cue].float().mean() > 0.01


def test_pixels_come_row_by_row():
    grey = mnist.load().test_images[:4].flatten(1).t()
    assert torch.equal(first(SequentialMnist())[:784, :, :79], threshold_crossing(grey))
    assert torch.equal(first(SequentialMnist(encoding="analog")).squeeze(2), grey / 255)


def test_two_ms_per_pixel_leave_one_spike_per_crossing():
    once, twice = first(SequentialMnist()), first(SequentialMnist(ms_per_pixel=2))
    crossings, white = slice(0, 78), 78
    assert torch.equal(twice[1:1568:2, :, crossings], once[:784, :, crossings])
    assert not twice[0:1568:2, :, crossings].any()
    assert torch.equal(twice[:1568, :, white], once[:784, :, white].repeat_interleave(2, dim=0))


def test_analog_has_one_input_no_cue_and_reads_out_at_the_last_step():
    task = SequentialMnist(encoding="analog")
    assert (task.n_in, task.n_steps, task.cue_steps, task.readout_steps) == (1, 784, 0, 1)
    assert first(task).dtype == torch.float32


def test_population_has_a_cue_among_its_80_channels():
    task = SequentialMnist(encoding="population")
    spikes = first(task, 32)
    assert task.n_in == 80 and spikes.shape == (840, 32, 80)
    assert spikes[-56:, :, 79].all() and not spikes[-56:, :, :79].any() and not spikes[:-56, :, 79].any()
    black = (mnist.load().test_images[:32].flatten(1).t() == 0).nonzero(as_tuple=True)
    rate = spikes[:784, :, :79][black].double().mean(dim=0)
    centres = torch.linspace(-0.2, 1.2, 79, dtype=torch.float64)
    expected = 0.2 * torch.exp(-((centres / 0.1) ** 2) / 2)
    assert ((rate - expected).abs() <= 5 * (expected / len(black[0])).sqrt() + 1e-4).all()


def test_rows_show_each_column_on_inputs_of_its_own():
    images = mnist.load().test_images[:4]
    task = SequentialMnist(encoding="analog", order="rows", ms_per_pixel=2)
    assert (task.n_in, task.n_steps) == (28, 56)
    assert torch.equal(first(task)[::2], images.transpose(0, 1) / 255)
    task = SequentialMnist(order="rows")
    assert (task.n_in, task.n_steps) == (28 * 79 + 1, 28 + 56)
    column = task.input_groups()["column 13"]
    assert torch.equal(first(task)[:28, :, column], threshold_crossing(images[:, :, 13].t()))


def test_permuted_pixels_are_in_one_fixed_order():
    images = first(SequentialMnist(encoding="analog"), 500).squeeze(2)  # (pixel, image)
    permuted = first(SequentialMnist(encoding="analog", order="permuted"), 500).squeeze(2)
    assert not torch.equal(images, permuted)
    assert torch.equal(images.sort(dim=0).values, permuted.sort(dim=0).values)
    assert sorted(map(tuple, images.tolist())) == sorted(map(tuple, permuted.tolist())), "whole pixels change places"
    (again,) = [b.inputs for b in SequentialMnist(encoding="analog", order="permuted").evaluation("test", 10_000)]
    assert torch.equal(again[:, :500, 0], permuted)


def test_pooling_averages_two_by_two_pixels():
    images = mnist.load().test_images[:4].float().unsqueeze(1) / 255
    expected = torch.nn.functional.avg_pool2d(images, 2).flatten(1).t()
    torch.testing.assert_close(first(SequentialMnist(encoding="analog", pool=True)).squeeze(2), expected)
    assert SequentialMnist(pool=True).n_steps == 196 + 56
    assert first(SequentialMnist(pool=True))[:196, :, 2:79].any()


@pytest.mark.parametrize(("split", "count"), [("validation", 5_000), ("test", 10_000)])
def test_evaluation_shows_every_image_once_and_in_order(split, count: int):
    images, labels = mnist.load().split(split)
    batches = list(SequentialMnist(encoding="analog", pool=True).evaluation(split, 768))
    assert [len(b.target[0]) for b in batches] == [768] * (count // 768) + [count % 768]
    assert torch.equal(torch.cat([b.target[0] for b in batches]), labels)
    shown = torch.cat([b.inputs.sum(dim=0) for b in batches]).squeeze(1) * 4 * 255  # sums of grey values
    torch.testing.assert_close(shown, images.sum(dim=(1, 2)).float(), rtol=1e-5, atol=0.5)


def test_training_images_are_distinct_and_change_with_the_generator():
    task = SequentialMnist(encoding="analog")
    shown = (task.batch("validation", 5_000, seeded()).inputs * 255).round().to(torch.uint8).squeeze(2).t()
    images = mnist.load().split("validation")[0].flatten(1)
    assert sorted(image.numpy().tobytes() for image in shown) == sorted(image.numpy().tobytes() for image in images)
    a, b = (task.batch("train", 100, seeded(seed)).target for seed in (0, 1))
    assert not torch.equal(a, b)


def test_only_the_last_steps_of_the_readout_count():
    task = SequentialMnist()
    batch = task.batch("train", 5, seeded())
    readout = torch.zeros(840, 5, 10, requires_grad=True)
    task.loss(readout, batch).sum().backward()
    reached = readout.grad.abs().sum(dim=2) > 0
    assert reached[-28:].all() and not reached[:-28].any()


def test_logit_scale_sharpens_the_loss_and_leaves_the_answers():
    plain, sharp = SequentialMnist(), SequentialMnist(logit_scale=30.0)
    batch = plain.batch("train", 5, seeded())
    readout = torch.randn(840, 5, 10, generator=seeded())
    torch.testing.assert_close(sharp.loss(readout, batch), plain.loss(30 * readout, batch))
    assert torch.equal(sharp.metrics(readout, batch)["accuracy"], plain.metrics(readout, batch)["accuracy"])


def test_other_data_of_the_same_layout_take_its_place(tmp_path: Path):
    for stem, n in (("train", 24), ("t10k", 3)):
        header = b"".join(k.to_bytes(4, "big") for k in (2051, n, 28, 28))
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(header + bytes([200]) * n * 784)
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(
            (2049).to_bytes(4, "big") + n.to_bytes(4, "big") + bytes(n)
        )
    task = SequentialMnist(encoding="analog", data=tmp_path)
    assert (first(task) == 200 / 255).all()
    with pytest.raises(ValueError, match=r"a batch must have 1 \.\.\. 22 images, all that train has, got 23"):
        task.batch("train", 23, seeded())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ms_per_pixel": 0}, "ms_per_pixel must be at least 1, got 0"),
        ({"n_channels": 79}, "n_channels must be even and at least 4, got 79"),
        ({"n_channels": 2}, "n_channels must be even and at least 4, got 2"),
        ({"cue_ms": -1}, "cue_ms must not be negative, got -1"),
        ({"readout_ms": 0}, r"readout_ms must lie in 1 \.\.\. 840, got 0"),
        ({"readout_ms": 841}, r"readout_ms must lie in 1 \.\.\. 840, got 841"),
        ({"logit_scale": 0.0}, "logit_scale must be positive and finite, got 0.0"),
        ({"logit_scale": float("nan")}, "logit_scale must be positive and finite, got nan"),
        ({"logit_scale": float("inf")}, "logit_scale must be positive and finite, got inf"),
    ],
)
def test_impossible_fields_are_refused(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        SequentialMnist(**fields)
