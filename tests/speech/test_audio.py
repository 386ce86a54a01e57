"""Recordings: the same samples as another library reads, and the sound at another rate."""

import io

import numpy as np
import pytest
import torch

from lsnn.speech.audio import RATE, read_any_audio, read_audio, read_corpus_audio, resample
from lsnn.speech.sphere import sphere_bytes
from tests.helpers import error
from tests.timit_files import sphere

soundfile = pytest.importorskip("soundfile")

SAMPLES = (8000 * np.sin(np.arange(4000) / 7)).round().astype(np.int16)
FORMATS = {"PCM_U8": 2**-7, "PCM_16": 0, "PCM_24": 2**-23, "PCM_32": 2**-24, "FLOAT": 2**-24, "DOUBLE": 2**-24}
"""kinds of RIFF samples, and how far apart two readings of one may lie"""


def written(path, kind: str, subtype: str, channels: int = 1, rate: int = RATE):
    values = np.stack([SAMPLES / 32768] * channels, axis=1)
    soundfile.write(path, values, rate, format=kind, subtype=subtype)
    return path


@pytest.mark.parametrize("subtype", FORMATS)
def test_riff_is_read_as_another_library_does(tmp_path, subtype: str):
    path = written(tmp_path / "a.wav", "WAV", subtype, channels=2, rate=44_100)
    expected, rate = soundfile.read(path, always_2d=True)
    wave, found = read_audio(path)
    assert found == rate
    np.testing.assert_allclose(wave.numpy(), expected, atol=FORMATS[subtype])


def test_sphere_of_another_library_is_read(tmp_path):
    path = written(tmp_path / "a.wav", "NIST", "PCM_16")
    assert torch.equal(32768 * read_corpus_audio(path), torch.from_numpy(SAMPLES.astype(np.float32)))


@pytest.mark.parametrize("order", ["01", "10"])
def test_sphere_as_timit_has_it_is_read_in_both_byte_orders(tmp_path, order: str):
    (tmp_path / "a.WAV").write_bytes(sphere(SAMPLES, order=order))
    assert torch.equal(32768 * read_corpus_audio(tmp_path / "a.WAV"), torch.from_numpy(SAMPLES.astype(np.float32)))


def test_another_library_reads_what_is_written():
    found, rate = soundfile.read(io.BytesIO(sphere_bytes(SAMPLES, RATE, "FAAA0")), dtype="int16")
    assert rate == RATE and (found == SAMPLES).all()


@pytest.mark.parametrize(
    ("change", "offset", "words"),
    [
        (lambda raw: raw[:-7], 9017, "cut short: 7993 bytes of samples, the header promises 8000"),
        (lambda raw: raw.replace(b"sample_count -i", b"sample_count -x"), 97, "no NAME -TYPE VALUE"),
        (lambda raw: raw.replace(b"-s2 01", b"-s2 11"), 235, "sample_byte_format"),
        (lambda raw: raw.replace(b"end_head", b"        "), 1024, "no end_head"),
        (lambda raw: b"junk", 0, "neither NIST SPHERE nor RIFF"),
        (lambda raw: b"", 0, "neither NIST SPHERE nor RIFF"),
    ],
)
def test_a_damaged_file_names_itself_and_the_byte(tmp_path, change, offset: int, words: str):
    path = tmp_path / "a.WAV"
    path.write_bytes(change(sphere(SAMPLES)))
    message = error(read_audio, path)
    assert message.startswith(f"{path}, byte ") and words in message
    at = int(message.split("byte ")[1].split(":")[0])
    assert at == offset or sphere(SAMPLES)[at:].startswith(b"sample_"), "the byte of the line that is wrong"


def test_labels_count_samples_so_a_corpus_has_one_rate_and_one_channel(tmp_path):
    (tmp_path / "a.WAV").write_bytes(sphere(SAMPLES, rate=8000))
    assert "8000 samples per second" in error(read_corpus_audio, tmp_path / "a.WAV")
    assert "2 channels" in error(read_corpus_audio, written(tmp_path / "b.wav", "WAV", "PCM_16", channels=2))


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_a_tone_stays_itself_at_another_rate(rate: int):
    def tone(at: int) -> torch.Tensor:
        return torch.sin(2 * torch.pi * 1000 * torch.arange(at).double() / at).float()

    found = resample(tone(rate), rate, RATE)
    assert len(found) == RATE
    torch.testing.assert_close(found, tone(RATE), atol=1e-4, rtol=0)


def test_any_recording_is_brought_to_one_channel_and_rate(tmp_path):
    path = written(tmp_path / "b.wav", "WAV", "PCM_24", channels=2, rate=8000)
    assert len(read_any_audio(path)) == 2 * len(SAMPLES)
