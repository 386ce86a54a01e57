"""Features: equal to kaldi's and librosa's, and the differences and frames that go with them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lsnn.speech.features import HOP, RATE, WINDOW, Features, difference, frame_centres, n_frames
from tests.helpers import error

KALDI = pytest.importorskip("kaldi_native_fbank")
librosa = pytest.importorskip("librosa")

STATIC = Features(differences=0)


def sound(seconds: float = 1.0) -> torch.Tensor:
    """Tones that glide, noise, and a stretch of near silence, in [-1, 1)."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(int(seconds * RATE)) / RATE
    tone = 0.3 * torch.sin(2 * torch.pi * (200 * time + 900 * time**2)) + 0.1 * torch.sin(2 * torch.pi * 3100 * time)
    wave = tone + 0.02 * torch.randn(len(time), generator=generator)
    wave[len(wave) // 2 : len(wave) * 2 // 3] *= 1e-3
    return (32768 * wave).round() / 32768


def kaldi(wave: torch.Tensor, options, online) -> np.ndarray:
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.high_freq = 0.0  # half the rate
    computed = online(options)
    computed.accept_waveform(RATE, (32768 * wave).tolist())
    computed.input_finished()
    return np.stack([computed.get_frame(k) for k in range(computed.num_frames_ready)])


def test_cepstrum_is_kaldis():
    options = KALDI.MfccOptions()
    options.num_ceps, options.mel_opts.num_bins = 13, 26
    expected = kaldi(sound(), options, KALDI.OnlineMfcc)
    found = STATIC.of(sound()).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=5e-3)  # float32; values reach 100


def test_mel_bands_are_kaldis():
    options = KALDI.FbankOptions()
    options.mel_opts.num_bins = 40
    expected = kaldi(sound(), options, KALDI.OnlineFbank)
    found = replace(STATIC, kind="mel", n_mels=40).of(sound()).numpy()
    np.testing.assert_allclose(found[:, :40], expected, atol=1e-3)


def test_cepstrum_is_librosas():
    settings = {"n_fft": WINDOW, "hop_length": HOP, "center": False}
    expected = librosa.feature.mfcc(y=sound().numpy(), sr=RATE, n_mfcc=13, n_mels=26, **settings)
    found = replace(STATIC, convention="librosa").of(sound()).numpy()
    np.testing.assert_allclose(found, expected.T, atol=2e-3)  # values reach 500


def test_mel_bands_are_librosas():
    settings = {"n_fft": WINDOW, "hop_length": HOP, "center": False}
    bands = librosa.feature.melspectrogram(y=sound().numpy(), sr=RATE, n_mels=40, **settings)
    found = replace(STATIC, convention="librosa", kind="mel", n_mels=40).of(sound()).numpy()
    np.testing.assert_allclose(found[:, :40], librosa.power_to_db(bands).T, atol=1e-3)


@pytest.mark.parametrize("convention", ["kaldi", "librosa"])
def test_silence_has_finite_features(convention):
    assert Features(convention=convention).of(torch.zeros(RATE)).isfinite().all()


def test_differences_reach_from_the_frame_before_to_the_one_after():
    values = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    assert difference(values).flatten().tolist() == [0, 3, 6, 0]
    assert difference(values[:1]).tolist() == [[0]]
    found = Features(n_mfcc=2).of(sound(0.2))
    assert found[:, 2:4].equal(difference(found[:, :2])) and found[:, 4:].equal(difference(found[:, 2:4]))


def test_sizes_are_those_of_the_paper_and_of_the_later_code():
    assert Features().n == 39
    assert Features(kind="mel", n_mels=40).n == 123


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_frames_are_whole_windows(samples: int, frames: int):
    assert n_frames(samples) == frames
    assert Features().of(torch.zeros(samples)).shape == (frames, 39)


def test_frames_are_centred_on_their_windows():
    wave = torch.zeros(RATE)
    wave[7 * HOP + WINDOW // 2] = 1.0
    energy = STATIC.of(wave)[:, 0]
    assert frame_centres(98)[7] == 7 * HOP + WINDOW // 2
    heard = (energy > energy.min()).nonzero()[:, 0]
    assert heard.float().mean() == 7


@pytest.mark.parametrize("change", [{"n_mels": 0}, {"n_mels": 100}, {"n_mfcc": 27}, {"n_mfcc": 0}, {"differences": 3}])
def test_impossible_settings_are_refused(change):
    (name,) = change
    assert name in error(Features, **change)
