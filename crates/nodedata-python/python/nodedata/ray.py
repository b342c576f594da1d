"""Conversions spread over a Ray cluster. Needs ``ray``, which is imported when a conversion begins."""

from __future__ import annotations

import os
from typing import Any

from . import _native
from ._mistakes import known_keywords, refuse, whole

__all__ = ["convert"]

#: Parts of a plan for each CPU of the cluster: who is done early takes the next.
_PARTS_PER_CPU = 4


@known_keywords
def convert(
    pipeline: str | os.PathLike[str],
    address: str | None = None,
    max_retries: int = 3,
    *,
    plan: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Runs a pipeline file on the workers of a Ray cluster, and returns the report: the same bytes as ``nodedata.run`` makes.

    Source, output and plan must lie where all workers see them under the same paths; only the numbers of units travel. A worker that
    dies is replaced up to ``max_retries`` times, and what it had finished stays. ``plan`` is the file that is written for the workers,
    by default ``<pipeline>.plan.json``. ``address`` is as for ``ray.init``.
    """
    import ray

    retries = whole("max_retries", max_retries)
    source = os.path.abspath(os.fspath(pipeline))
    file = os.path.abspath(os.fspath(plan)) if plan is not None else f"{source}.plan.json"
    planned = _native.plan(source, file, {})
    was_running = ray.is_initialized()
    if was_running and address is not None:
        refuse("Ray is running already, and `address` is given", "leave `address` out, or call `ray.shutdown()` first")
    if not was_running:
        ray.init(address=address)
    try:
        n_cpus = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        n_parts = max(min(len(planned["units"]), n_cpus * _PARTS_PER_CPU), 1)
        work = ray.remote(_work).options(max_retries=retries, num_cpus=1)
        ray.get([work.remote(file, index, n_parts) for index in range(n_parts)])
        report = _native.finish(file, None)
    finally:
        if not was_running:
            ray.shutdown()
    os.remove(file)
    return dict(report)


def _work(plan: str, index: int, of: int) -> dict[str, Any]:
    """One part of a plan, in a worker. What is finished already is left as it is."""
    return dict(_native.work(plan, index, of, None))
