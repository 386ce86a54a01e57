import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsnn import omniglot
from lsnn.presets import preset
from lsnn.results import n_parameters
from lsnn.tasks import FewShotOmniglot
from lsnn.tasks.few_shot import instances
from tests.helpers import error
from tests.tasks import test_task as battery

ALPHABETS = ("Alpha", "Beta", "Gamma", "Delta")  # alphabetically: Alpha, Beta train; Delta validates; Gamma tests
SIDE = 12


def png(seed: int) -> bytes:
    """A random drawing, black on white, one bit a pixel as Omniglot's are."""
    grey = 255 * (torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) < 0.8).to(torch.uint8)
    file = io.BytesIO()
    Image.fromarray(grey.numpy()).convert("1").save(file, format="png")
    return file.getvalue()


def write_zip(path: Path, alphabets, n_characters: int = 4, n_drawings: int = 5, top: str = "images") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{top}/", "")
        for alphabet in alphabets:
            for c in range(1, n_characters + 1):
                for d in range(1, n_drawings + 1):
                    name = f"{top}/{alphabet}/character{c:02}/{c:04}_{d:02}.png"
                    archive.writestr(name, png(10_000 * ALPHABETS.index(alphabet) + 100 * c + d))
        archive.writestr("__MACOSX/Alpha/character01/._0001_01.png", b"what some archivers leave")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("omniglot")
    write_zip(folder / "small1.zip", ALPHABETS[:3])
    write_zip(folder / "small2.zip", ALPHABETS[2:], top="other")  # Gamma is in both
    return folder


@pytest.fixture
def task(data) -> FewShotOmniglot:
    return FewShotOmniglot(n_classes=3, n_instances=4, image_ms=2, side=6, n_validation=3, n_test=7, data=data)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- the files -------------------------------------------------------------------------------------------------------


def test_drawings_of_all_files_are_read_once(data):
    found = omniglot.load(data, 6)
    assert {name: tuple(drawings.shape) for name, drawings in found.alphabets.items()} == {
        name: (4, 5, 6, 6) for name in sorted(ALPHABETS)
    }
    assert (found.names("train"), found.names("validation"), found.names("test")) == (
        ["Alpha", "Beta"], ["Delta"], ["Gamma"]
    )  # fmt: skip


def test_pixels_are_the_mean_ink_of_what_they_cover(data):
    large = omniglot.load(data, SIDE).alphabets["Beta"][1, 2]
    with Image.open(io.BytesIO(png(10_000 + 200 + 3))) as image:
        expected = torch.from_numpy(np.array(image.convert("L"))).long()
    assert large.long().equal(255 - expected) and 0.1 < (large > 0).float().mean() < 0.3
    small = omniglot.load(data, 6).alphabets["Beta"][1, 2].float()
    means = torch.nn.functional.avg_pool2d(large[None].float(), 2)[0]
    assert (small - means).abs().max() <= 1


def test_eight_alphabets_split_as_the_docs_say():
    found = omniglot.Omniglot({name: torch.zeros(1, 1, 2, 2, dtype=torch.uint8) for name in "abcdefgh"})
    assert [len(found.names(split)) for split in ("train", "validation", "test")] == [5, 1, 2]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "small1.zip").write_bytes(b"no zip"), "small1.zip is no zip file, or damaged"),
        (lambda folder: (folder / "small1.zip").unlink(), "has 2 alphabets; train, validation and test need one each"),
        (lambda folder: [path.unlink() for path in folder.glob("*.zip")], "holds no zip file; put images_background"),
        (lambda folder: flip_a_bit(folder / "small1.zip"), "small1.zip is no zip file, or damaged"),
        (lambda folder: add(folder / "small1.zip", b"\x89PNG"), "0009_09.png cannot be read"),
        (lambda folder: add(folder / "small1.zip", png(0)[:60]), "0009_09.png cannot be read"),
        (lambda folder: add(folder / "small1.zip", png(0)), "characters of Alpha have 1 to 5 drawings"),
        (
            lambda folder: write_zip(folder / "small1.zip", ALPHABETS[:2], n_drawings=4),
            "characters have 4 drawings in some alphabets and 5 in others",
        ),
    ],
)
def test_damaged_files_are_one_clear_line(tmp_path, break_it, message: str):
    write_zip(tmp_path / "small1.zip", ALPHABETS[:2])
    write_zip(tmp_path / "small2.zip", ALPHABETS[2:])
    break_it(tmp_path)
    assert message in error(omniglot.load, tmp_path, 6)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 4
    path.write_bytes(content)


def add(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images/Alpha/character09/0009_09.png", content)


def test_missing_data_say_where_to_get_them(tmp_path):
    assert "--task.data FOLDER" in error(FewShotOmniglot().batch, "train", 1, seeded())
    assert error(omniglot.load, tmp_path / "none", 6).endswith(
        "is no folder; name the one that holds Omniglot's zip files"
    )


def test_episodes_larger_than_the_data_are_refused(task):
    message = error(replace(task, n_classes=9).batch, "test", 1, seeded())
    assert message.startswith("the test alphabets have 4 characters with 5 drawings each, an episode needs 9 with 4")


# ---- the task --------------------------------------------------------------------------------------------------------

BATTERY = [function for name, function in vars(battery).items() if name.startswith("test_") and "registry" not in name]


@pytest.mark.parametrize("check", BATTERY, ids=lambda function: function.__name__)
@pytest.mark.parametrize(("image_ms", "label_ms"), [(1, 0), (3, 0), (2, 1)])
def test_battery_of_tasks(task, check, image_ms: int, label_ms: int):
    check(replace(task, image_ms=image_ms, label_ms=label_ms))


def test_episodes_show_each_class_as_often_and_drawings_once(task, data):
    drawings = omniglot.load(data, 6).split("test").float() / 255
    for images, label in task.episodes("test", 5, seeded()):
        assert sorted(label.tolist()) == sorted(list(range(3)) * 4)
        where = [int((drawings.flatten(2) - image).abs().sum(2).argmin()) for image in images]
        assert len(set(where)) == 12, "no drawing twice"
        for k in range(3):
            assert len({place // 5 for place, name in zip(where, label.tolist(), strict=True) if name == k}) == 1


def test_label_is_shown_one_image_late_and_none_at_first(task):
    batch = task.batch("train", 4, seeded())
    shown = batch.inputs[:, :, 36:].unflatten(0, (12, 2))
    assert shown[:, 0].equal(shown[:, 1])
    assert not shown[0].any()
    assert shown[1:, 0].argmax(2).equal(batch.target[:-1]) and (shown[1:, 0].sum(2) == 1).all()


def test_label_is_shown_with_its_own_image_after_the_answer(task):
    late, own = task.batch("test", 4, seeded()), replace(task, label_ms=3).batch("test", 4, seeded())
    steps = own.inputs.unflatten(0, (12, 2 + 3))
    images = late.inputs[::2, :, :36]
    assert own.target.equal(late.target)
    assert all(steps[:, k, :, :36].equal(images) for k in range(5))
    assert not steps[:, :2, :, 36:].any()
    one_hot = torch.nn.functional.one_hot(own.target, 3).float()
    assert all(steps[:, k, :, 36:].equal(one_hot) for k in (2, 3, 4))


def test_what_is_said_once_the_label_is_shown_does_not_count(task):
    task = replace(task, label_ms=3)
    batch = task.batch("test", 4, seeded())
    wrong = 1 - torch.nn.functional.one_hot(batch.target, 3).float()
    readout = torch.stack([wrong, wrong, *[100 * (1 - wrong)] * 3], dim=1).flatten(0, 1)
    assert not task.metrics(readout, batch)["accuracy"].any()
    assert task.loss(readout, batch).equal(task.loss(readout.where(readout < 100, 0.0), batch))


def test_currents_of_ink_and_label_are_scaled_apart(task):
    plain = task.batch("test", 2, seeded()).inputs
    scaled = replace(task, ink_current=0.5, label_current=2.0).batch("test", 2, seeded()).inputs
    n = task.side**2
    assert scaled[..., :n].equal(0.5 * plain[..., :n]) and scaled[..., n:].equal(2 * plain[..., n:])
    assert plain[..., :n].max() > 0.1 and plain[..., n:].max() == 1


def test_rotation_turns_all_drawings_of_a_character_alike(task, data):
    upright = omniglot.load(data, 6).split("train").float() / 255
    turned = 0
    for images, label in task.episodes("train", 6, seeded()):
        for k in range(3):
            some = images[label == k].unflatten(1, (6, 6))
            fits = [
                all(((upright - torch.rot90(image, turn, (0, 1))).abs().sum((2, 3)) < 1e-5).any() for image in some)
                for turn in range(4)
            ]
            assert sum(fits) == 1
            turned += not fits[0]
    assert turned > 5


def test_instances_are_counted_within_their_label():
    label = torch.tensor([[0, 1, 0, 0, 1, 2]]).t()
    assert instances(label).flatten().tolist() == [1, 1, 2, 3, 2, 1]


def test_accuracy_by_instance_is_of_those_instances(task):
    batch = task.batch("test", 5, seeded())
    right = torch.nn.functional.one_hot(batch.target, 3).float()
    right[instances(batch.target) == 2] *= -1
    metrics = task.metrics(right.repeat_interleave(2, dim=0), batch)
    assert metrics["accuracy_1"].mean() == 1 and metrics["accuracy_2"].mean() == 0
    assert metrics["accuracy"].mean() == 0.75 and "accuracy_5" not in metrics


def test_analysis_scores_network_and_memory(task):
    class Oracle(torch.nn.Module):
        """Names what was shown as the label before: right where a label follows itself."""

        def forward(self, inputs):
            from lsnn.ops import Activity

            return Activity(inputs[..., 36:], rate=None), None

    analysis = task.analyse(Oracle(), "test")
    right, instance = [], []
    for batch in task.evaluation("test", 7):
        before = torch.cat([torch.zeros_like(batch.target[:1]), batch.target[:-1]])
        right.append(before == batch.target)
        instance.append(instances(batch.target))
    expected = [torch.cat(right)[torch.cat(instance) == k].float().mean() for k in range(1, 5)]
    torch.testing.assert_close(analysis["instance/network"], torch.stack(expected))
    table = task.table({"oracle": analysis, "other": analysis})
    assert table.share and table.header == ("1", "2")
    assert [name for name, _ in table.rows] == ["oracle", "other", "nearest drawing so far", "counting labels"]


def test_who_counts_labels_knows_the_last_one(task):
    for batch in task.evaluation("test", 7):
        named = task._least_shown(batch)
        assert named[-1].equal(batch.target[-1])  # one label has a drawing left
        assert not (named[1] == batch.target[0]).any()


def test_memory_names_copies_of_drawings_it_has_seen(data):
    """With two drawings of each character, and each the same: the second is named right."""
    task = FewShotOmniglot(n_classes=3, n_instances=3, image_ms=1, side=6, n_test=4, data=data)
    batch = next(task.evaluation("test", 4))
    of_class = torch.rand(3, 36, generator=seeded())
    inputs = batch.inputs.clone()
    inputs[:, :, :36] = of_class[batch.target]
    right = task._nearest(batch._replace(inputs=inputs)) == batch.target
    assert right[instances(batch.target) > 1].all()


def test_same_episodes_whatever_the_time_an_image_is_shown(task):
    other = replace(task, image_ms=1, label_ms=2, ink_current=0.3, data=None)
    assert task.comparable(other) and not task.comparable(replace(task, n_classes=4))
    assert not any(task.comparable(replace(task, **{name: 5})) for name in ("n_validation", "n_test"))
    targets = [
        torch.cat([b.target for b in t.evaluation("test", n)], 1)
        for t, n in ((task, 3), (replace(task, image_ms=1), 7))
    ]
    assert targets[0].equal(targets[1]) and targets[0].shape == (12, 7)


def test_trains_from_start_to_end(task, tmp_path):
    from lsnn import runs, training
    from lsnn.neuron import Cells
    from lsnn.report.page import page_of
    from lsnn.report.plates import plates_of
    from lsnn.report.run import read_run

    experiment = preset("omniglot").experiment
    network = replace(experiment.network, cells=Cells(8, 6, tau_a_range=(1.0, 1000.0), beta=1.6, v_th=0.03))
    experiment = replace(experiment, task=task, network=network, iterations=2, batch_size=3, validate_every=1)
    training.start(tmp_path / "run", experiment, preset="omniglot", threads=1)
    results = training.proceed(tmp_path / "run")
    assert {"accuracy", "accuracy_1", "accuracy_2"} <= results["test"].keys() and results["test"]["rate_hz"] > 1
    assert (tmp_path / "run" / runs.ANALYSIS).exists()
    run = read_run(tmp_path / "run")
    assert {"learning", "activity"} <= {plate.name for plate in plates_of(run)}
    assert "| counting labels |" in page_of(run, [])


def test_lstm_has_as_many_parameters():
    spiking, lstm = (n_parameters(preset(name).experiment.build()) for name in ("omniglot", "omniglot-lstm"))
    assert lstm == pytest.approx(spiking, rel=0.01)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_classes": 1}, "n_classes must be at least 2, got 1"),
        ({"side": 1}, "side must be at least 2, got 1"),
        ({"label_ms": -1}, "label_ms must be at least 0, got -1"),
        ({"ink_current": -1.0}, "ink_current must be positive and finite, got -1.0; 1 leaves pixels alone"),
        ({"logit_scale": 0.0}, "logit_scale must be positive and finite, got 0.0; 1 leaves logits alone"),
    ],
)
def test_impossible_fields_are_refused(fields: dict, message: str):
    assert error(FewShotOmniglot, **fields) == message
