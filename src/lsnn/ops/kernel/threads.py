"""Work shared out over threads."""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def _forget_pool() -> None:
    global _pool, _pool_size
    _pool, _pool_size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # its threads stay with the parent


def share_out(n_tasks: int, work: Callable[[int], None]) -> None:
    """work(0) ... work(n_tasks - 1), on as many threads as torch uses."""
    global _pool, _pool_size
    n_threads = min(torch.get_num_threads(), n_tasks)
    if n_threads <= 1:
        for task in range(n_tasks):
            work(task)
        return
    if _pool is None or _pool_size < n_threads - 1:
        _pool, _pool_size = ThreadPoolExecutor(n_threads - 1, "lsnn"), n_threads - 1
    left = itertools.count()

    def take() -> None:
        while (task := next(left)) < n_tasks:
            work(task)

    others = [_pool.submit(take) for _ in range(n_threads - 1)]
    take()
    for other in others:
        other.result()
