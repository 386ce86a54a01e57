"""The rooms of the compiled kernel, each by itself."""

import gc
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsnn.ops.kernel import forward, jit, lanes, memory
from lsnn.ops.kernel.simd import CACHE_LINE, WORDS


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([8, 16, 32]), st.integers(1, 200), st.data())
def test_masks_of_spikes(width, n, data):
    size = data.draw(st.integers(1, width))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    spikes = rng.random((3, size + 2, n)) < 0.3
    expected = [[sum(1 << lane for lane in range(size) if step[1 + lane, i]) for i in range(n)] for step in spikes]
    for pack, dtype in ((lanes.pack_steps_bytes, np.uint8), (lanes.pack_steps, np.float32)):
        masks = np.full((3, n), 255, WORDS[width])
        assert pack(spikes.astype(dtype), 1, size, masks)
        assert np.array_equal(masks, expected)


@pytest.mark.parametrize("n", [3, 16, 80, 131])
def test_what_is_no_spike_is_found_wherever_it_is(n):
    masks = np.empty((1, n), WORDS[8])
    for lane in range(5):
        for i in range(n):
            spikes = np.ones((1, 5, n), np.uint8)
            spikes[0, lane, i] = 2
            assert not lanes.pack_steps_bytes(spikes, 0, 5, masks)


def test_memory_comes_back_once_nothing_uses_it():
    stock = memory.Stock(limit=1)
    arrays = stock.lease(a=((3, 5), np.float64), b=(7, np.uint8))
    assert all(array.ctypes.data % CACHE_LINE == 0 for array in arrays.values())
    where, part = arrays["a"].ctypes.data, arrays["a"][1:]
    del arrays
    gc.collect()
    assert stock.lease(a=((3, 5), np.float64), b=(7, np.uint8))["a"].ctypes.data != where
    del part
    gc.collect()
    assert stock.lease(a=((3, 5), np.float64), b=(7, np.uint8))["a"].ctypes.data == where


def test_machine_code_is_kept_by_the_version_of_all_sources():
    assert str(forward.run.stats.cache_path).startswith(jit._FOLDER)
    assert numba.config.CACHE_DIR != jit._FOLDER, "other people's functions are kept where they were"


def test_where_no_folder_can_be_written_loops_are_compiled_and_not_kept(monkeypatch):
    def njit(function, *, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return function

    monkeypatch.setattr(jit.numba, "njit", njit)
    assert jit.jit(len) is len and jit.inline(len) is len


def test_compiling_is_announced_once_and_to_people_only(monkeypatch, capsys):
    ours = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=forward.run.py_func)})
    others = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=test_masks_of_spikes)})
    notice = jit._CompileNotice()
    notice.on_start(ours)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    notice.on_start(others)
    assert capsys.readouterr().err == ""
    notice.on_start(ours)
    notice.on_start(ours)
    assert capsys.readouterr().err.count("compiling the kernel") == 1
