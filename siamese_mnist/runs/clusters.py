"""Workers of a cluster, by Dask or Ray: data goes to them once, and jobs run again where a worker was lost.

joblib's own backends for the two are not used: that of Dask waits for ever for a job whose worker was lost too often,
and that of Ray hands out nothing before all jobs have ended.
"""

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any, NamedTuple

from siamese_mnist.errors import UsageError

_LOSSES = 3  # of its worker that a job bears
_CONNECT_SECONDS = 10


class Workers(NamedTuple):
    """Processes, here or elsewhere, that take jobs."""

    at_once: Callable[[], int]  # number of jobs that run side by side, by now
    send: Callable[[Any], Any]  # gives data to the cluster; what it returns stands for the data among a job's arguments
    submit: Callable[..., Future[Any]]  # a function and its arguments
    losses: tuple[type[BaseException], ...]  # what a job raises whose workers were lost


def check_engine(engine: str, address: str | None = None) -> None:
    """Checks, before any work, that an engine can be used.

    Raises:
        UsageError: if there is no such engine, its package is missing, or an address is given to the local one.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "local":
        if address is not None:
            raise UsageError(f"the engine local has no address, got {address!r}; name the engine dask or ray")
    elif find_spec(_PACKAGES[engine]) is None:
        raise UsageError(f"the engine {engine} needs {_PACKAGES[engine]}; pip install 'siamese-mnist[{engine}]'")


@contextlib.contextmanager
def workers_of(engine: str, address: str | None, *, jobs: int, gpu: bool) -> Iterator[Workers]:
    """Gives the workers of a cluster for as long as the context lasts.

    Args:
        engine: "dask" or "ray".
        address: of the cluster, such as "tcp://10.0.0.1:8786"; None takes the one that this program is connected to
            already, or that the engine's own configuration names, or starts one on this machine.
        jobs: workers of a cluster that is started here.
        gpu: whether each job needs a GPU for itself.

    Raises:
        UsageError: if the cluster cannot be reached, or has no GPU for a job that needs one.
    """
    connect = ENGINES[engine]
    assert connect is not None
    with connect(address, jobs, gpu) as workers:
        yield workers


@contextlib.contextmanager
def _dask(address: str | None, jobs: int, gpu: bool) -> Iterator[Workers]:
    import dask
    from distributed import KilledWorker

    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_dask_client(address, jobs, gpu))
        if gpu and (found := _machines(client)) and not any("GPU" in each["resources"] for each in found.values()):
            raise UsageError("no worker of Dask offers a GPU; start each with --resources 'GPU=1'")
        # Data is part of a task, which the scheduler keeps, so that it is not lost with the workers that hold it.
        stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}))
        executor = client.get_executor(pure=False, **({"resources": {"GPU": 1}} if gpu else {}))
        yield Workers(
            at_once=lambda: len(_machines(client)),
            send=lambda data: client.submit(_itself, data, pure=False),
            submit=executor.submit,
            losses=(KilledWorker, CancelledError),
        )


@contextlib.contextmanager
def _dask_client(address: str | None, jobs: int, gpu: bool) -> Iterator[Any]:
    """This program's own client, if it has one, or a new one."""
    import dask
    from distributed import Client, get_client

    given = address or dask.config.get("scheduler-address", None)
    client = None
    if address is None:
        with contextlib.suppress(ValueError):
            client = get_client()
    if client:
        yield client
        return
    cluster: dict[str, Any] = {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
    if gpu:
        cluster["resources"] = {"GPU": 1}
    try:
        client = Client(given, timeout=_CONNECT_SECONDS, set_as_default=False, **({} if given else cluster))
    except (OSError, ValueError) as error:
        raise _unreachable("Dask scheduler", given, error, "dask scheduler") from error
    with client:
        yield client


def _machines(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return found


@contextlib.contextmanager
def _ray(address: str | None, jobs: int, gpu: bool) -> Iterator[Workers]:
    import ray
    from ray import exceptions

    started = not ray.is_initialized()
    if started:
        try:
            _probe(address)
            _init_ray(address, jobs)
        except (OSError, RuntimeError, ValueError) as error:
            raise _unreachable("Ray cluster", address, error, "ray start --head") from error
    try:
        if gpu and not ray.cluster_resources().get("GPU"):
            raise UsageError("no node of Ray offers a GPU; start one with --num-gpus")
        remote: Any = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=_LOSSES)
        yield Workers(
            at_once=lambda: int(ray.cluster_resources().get("GPU" if gpu else "CPU", 0)),
            send=ray.put,
            submit=lambda function, *args: remote(function).remote(*args).future(),
            losses=(
                exceptions.LocalRayletDiedError,
                exceptions.NodeDiedError,
                exceptions.ObjectLostError,
                exceptions.OutOfMemoryError,
                exceptions.WorkerCrashedError,
            ),
        )
    finally:
        if started:
            ray.shutdown()


def _probe(address: str | None) -> None:
    """Raises OSError if nobody listens at an address; Ray itself would wait for minutes."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        with socket.create_connection((host, int(port)), _CONNECT_SECONDS):
            pass


def _init_ray(address: str | None, jobs: int) -> None:
    import ray

    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of Ray's own plans
        try:
            ray.init(address or "auto", **options)
        except ConnectionError:
            if address or os.environ.get("RAY_ADDRESS"):
                raise
            ray.init("local", num_cpus=jobs, include_dashboard=False, **options)


def _itself(data: Any) -> Any:
    return data


def _unreachable(what: str, address: str | None, error: Exception, command: str) -> UsageError:
    reason = " ".join(str(error).split())
    where = f" at {address!r}" if address else ""
    return UsageError(f"no {what}{where} ({reason}); start one with `{command}` and give its --address")


_PACKAGES = {"dask": "distributed", "ray": "ray"}
ENGINES: dict[str, Callable[[str | None, int, bool], AbstractContextManager[Workers]] | None] = {
    "local": None,
    "dask": _dask,
    "ray": _ray,
}
"""Where jobs run, by name; those of this machine go through joblib, see `jobs`."""
