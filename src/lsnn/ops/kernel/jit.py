"""How the kernel's loops are compiled and where their machine code is kept.

numba keeps machine code per file, and notices a change of that file only.  The loops are inlined across files, so the
code is kept in a folder named after the contents of all of them.
"""

import hashlib
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
from numba.core import config, event

_HERE = Path(__file__).parent


def _cache_folder() -> Path:
    version = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(_HERE.glob("*.py")))).hexdigest()[:16]
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR) / f"lsnn-{version}"
    folder = _HERE / "__pycache__" / f"kernel-{version}"
    for other in folder.parent.glob("kernel-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder


_FOLDER = str(_cache_folder())


def jit(function: Callable) -> Callable:
    """Compile with numba, for contiguous arrays that come from outside: loops allocate nothing.

    Without numba's reference counting, which would count tuples of arrays up and down, atomically, for every neuron.
    """
    return _compile(function)


def inline(function: Callable) -> Callable:
    """`jit` for what runs once per neuron and step: a call that is not inlined takes its vectors through memory."""
    return _compile(function, forceinline=True)


def _compile(function: Callable, **options: bool) -> Callable:
    before = config.CACHE_DIR
    config.CACHE_DIR = _FOLDER
    compiled = partial(numba.njit, function, nogil=True, error_model="numpy", _nrt=False, **options)
    try:
        return compiled(cache=True)
    except RuntimeError:  # numba finds no folder that it may write to
        return compiled()
    finally:
        config.CACHE_DIR = before


class _CompileNotice(event.Listener):
    """One line in a terminal when numba finds nothing in its cache on disk: a wait, not a hang.

    Batches of one and of many, and step by step, are compiled apart, each at its first use.
    """

    said = False

    def on_start(self, event: event.Event) -> None:
        of_ours = event.data["dispatcher"].py_func.__module__.startswith(__package__)
        if of_ours and not self.said and sys.stderr.isatty():
            self.said = True
            print("lsnn: compiling the kernel for this machine, once, up to a minute ...", file=sys.stderr, flush=True)

    def on_end(self, event: event.Event) -> None:
        pass


event.register("numba:compile", _CompileNotice())
