import gzip
import hashlib
import re
import sys
from pathlib import Path

import pytest
import torch

from lsnn import mnist

# Of the original IDX files, headers included.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = SHA256


def idx(*shape: int, n_bytes: int | None = None, top: int = 10) -> bytes:
    """An IDX file of this shape; its data count 0, 1, ... top - 1, 0, 1, ..."""
    n_bytes = torch.Size(shape).numel() if n_bytes is None else n_bytes
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    return header + bytes(k % top for k in range(n_bytes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny data set in MNIST's layout: 24 training and 3 test images."""
    for name, content in zip(SHA256, [idx(24, 28, 28), idx(24), idx(3, 28, 28), idx(3)], strict=True):
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_packaged_bytes_are_the_original_ones():
    assert {name: hashlib.sha256(raw).hexdigest() for name, raw in mnist._packaged()} == SHA256
    assert tuple(SHA256) == mnist.FILES


def test_packaged_images_are_the_original_ones():
    images = mnist.load()
    assert images.train_images.shape == (60_000, 28, 28) and images.test_images.shape == (10_000, 28, 28)
    assert images.train_labels[:5].tolist() == [5, 0, 4, 1, 9] and images.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    for pixels, name, n in ((images.train_images, TRAIN_IMAGES, 60_000), (images.test_images, TEST_IMAGES, 10_000)):
        raw = bytes([0, 0, 8, 3]) + b"".join(k.to_bytes(4, "big") for k in (n, 28, 28)) + pixels.numpy().tobytes()
        assert hashlib.sha256(raw).hexdigest() == SHA256[name]


def test_official_split():
    images = mnist.load()
    (train, train_labels), (validation, validation_labels), (test, _) = map(
        images.split, ("train", "validation", "test")
    )
    assert (len(train), len(validation), len(test)) == (55_000, 5_000, 10_000)
    assert torch.equal(torch.cat([train, validation]), images.train_images)
    assert torch.equal(torch.cat([train_labels, validation_labels]), images.train_labels)


def test_images_are_read_once(folder: Path):
    assert mnist.load() is mnist.load(None)
    assert mnist.load(folder) is mnist.load(folder / ".." / folder.name)


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_folder_may_hold_any_spelling(folder: Path, gzipped: bool, dotted: bool):
    for path in list(folder.iterdir()):
        content = path.read_bytes()
        path.unlink()
        name = path.name.replace("-idx", ".idx") if dotted else path.name
        (folder / (name + ".gz" * gzipped)).write_bytes(gzip.compress(content) if gzipped else content)
    images = mnist.load(folder)
    assert images.train_images.shape == (24, 28, 28) and images.train_images.dtype == torch.uint8
    assert images.train_images[0, 0, :12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert images.train_labels[:3].tolist() == [0, 1, 2] and images.train_labels.dtype == torch.int64
    assert images.test_labels.tolist() == [0, 1, 2]


def test_validation_is_the_last_twelfth(folder: Path):
    images = mnist.load(folder)
    assert images.split("train")[1].equal(images.train_labels[:22])
    assert images.split("validation")[1].equal(images.train_labels[22:])


def error(folder: Path) -> str:
    """The message with which a folder is refused: one line."""
    with pytest.raises(ValueError) as caught:
        mnist.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_folder_is_named(tmp_path: Path):
    assert re.match(rf"{tmp_path}/none is no folder; name one", error(tmp_path / "none"))


def test_missing_file_is_named_with_its_other_spellings(folder: Path):
    (folder / TEST_LABELS).unlink()
    assert error(folder) == (
        f"{folder} lacks t10k-labels-idx1-ubyte; add it, or one of "
        "t10k-labels-idx1-ubyte.gz, t10k-labels.idx1-ubyte, t10k-labels.idx1-ubyte.gz"
    )


GZIPPED = gzip.compress(idx(24))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(24), r"is not gzip, or damaged \(.*\); fetch it again, or drop .gz"),
        (GZIPPED[:-12], "is cut short, its gzip data end too early; fetch it again"),
        (GZIPPED[:-8] + bytes(8), r"is not gzip, or damaged \(.*\); fetch it again"),  # wrong checksum
        (GZIPPED[:10] + bytes([255] * 20), r"is not gzip, or damaged \(.*\); fetch it again"),
        (b"", r"starts with bytes \(none\)"),
    ],
)
def test_damaged_gzip_is_refused(folder: Path, content: bytes, message: str):
    (folder / TRAIN_LABELS).unlink()
    (folder / f"{TRAIN_LABELS}.gz").write_bytes(content)
    assert re.match(f"{folder}/{TRAIN_LABELS}.gz {message}", error(folder))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (TRAIN_IMAGES, idx(24), "starts with bytes 00 00 08 01, IDX images with 00 00 08 03; it is another file"),
        (TRAIN_LABELS, GZIPPED, "starts with bytes 1f 8b .*, IDX labels with 00 00 08 01; .* gzipped without .gz"),
        (TRAIN_LABELS, bytes([0, 0]), "starts with bytes 00 00, IDX labels"),
        (TRAIN_LABELS, bytes([0, 0, 8, 1, 0]), "has 5 bytes, but"),
        (TRAIN_IMAGES, idx(24, 28, 28)[:-1], r"has 18831 bytes, but 18832 by its header \(24 x 28 x 28\); fetch it"),
        (TEST_IMAGES, idx(3, 28, 28) + b"\0", "has 2369 bytes, but 2368 by its header"),
        (TEST_IMAGES, idx(2**32 - 1, 28, 28, n_bytes=9), "has 25 bytes, but 3367254359296 by its header"),
        (TRAIN_IMAGES, idx(24, 28, 27), "has images of 28 x 27 pixels; make them 28 x 28"),
        (TRAIN_LABELS, idx(24, top=11), r"has label 10; number the classes 0 \.\.\. 9"),
    ],
)
def test_wrong_content_is_refused(folder: Path, name: str, content: bytes, message: str):
    (folder / name).write_bytes(content)
    assert re.match(f"{folder}/{name} {message}", error(folder))


def test_images_and_labels_must_be_equally_many(folder: Path):
    (folder / TRAIN_LABELS).write_bytes(idx(23))
    assert error(folder) == (
        f"{folder}/{TRAIN_IMAGES} has 24 images, {folder}/{TRAIN_LABELS} 23 labels; take both from one data set"
    )


@pytest.mark.parametrize(("images", "n", "least"), [(TRAIN_IMAGES, 11, 12), (TRAIN_IMAGES, 0, 12), (TEST_IMAGES, 0, 1)])
def test_too_few_images_are_refused(folder: Path, images: str, n: int, least: int):
    (folder / images).write_bytes(idx(n, 28, 28))
    (folder / images.replace("images-idx3", "labels-idx1")).write_bytes(idx(n))
    assert error(folder) == f"{folder}/{images} has {n} images; at least {least} are needed to fill every split"


def test_python_without_lzma_is_told_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(ValueError, match="lzma module is not available, and the packaged MNIST needs it; install it"):
        mnist._packaged()
