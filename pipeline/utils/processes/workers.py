"""Worker pool: run tasks in several processes, report workers that die, and never leave a worker behind."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Thread
from time import monotonic, sleep
from types import ModuleType
from typing import Any, Generic, TypeVar

from pipeline.errors import UserError
from pipeline.utils.processes.interrupts import exit_on_interrupt

GRACE_SECONDS = 2.0
"""Time in which a worker whose parent has ended can delete its temporary files."""
INTERRUPT_SECONDS = 10
"""Time after which workers that have not ended are interrupted again."""

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """The outcome of a task.

    Attributes:
        task: the task; None if a worker died before it received one.
        result: the result; None if the worker died.
        death: how the worker died, such as "signal 9" or "status 1 (MemoryError)"; None if it did not.
    """

    task: Task | None
    result: Result | None = None
    death: str | None = None


def deal(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Generator[Outcome[Task, Result], None, None]:
    """Call `function` with each task in worker processes, and yield the outcomes in order of completion.

    If a worker dies, its task fails and the other workers continue. If all workers die, the remaining tasks are not
    run. When the iteration ends, also by an exception or `close`, all workers have ended.

    Args:
        function: pickled to each worker once, with its state; it may keep state there between calls. It cannot be
            defined in the main module.
        workers: number of processes.

    Raises:
        UserError: `function` raised it in a worker.
    """
    waiting = iter(tasks)
    busy: dict[Connection, Task] = {}
    failures: dict[Connection, _Failure] = {}
    with _start(function, workers) as running:
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                try:
                    answer = connection.recv()
                except (EOFError, OSError):
                    death = _describe_death(running.pop(connection), failures.get(connection))
                    task = busy.pop(connection, None)
                    if death:
                        yield Outcome(task, death=death)
                    continue
                if isinstance(answer, UserError):
                    raise answer
                if isinstance(answer, _Failure):
                    failures[connection] = answer
                    continue
                if connection in busy:
                    yield Outcome(busy.pop(connection), answer)
                for task in waiting:
                    busy[connection] = task
                    break
                with suppress(OSError):  # the worker has died; the next `wait` reports it
                    connection.send([busy[connection]] if connection in busy else [])


@dataclass(frozen=True)
class _Failure:
    """The error that ends a worker."""

    error: str


@contextmanager
def _start(function: Callable[[Any], Any], count: int) -> Iterator[dict[Connection, SpawnProcess]]:
    """Start worker processes and yield them, keyed by their connections; all have ended when the block ends."""
    context = get_context("spawn")
    running: dict[Connection, SpawnProcess] = {}
    # Ctrl-C reaches every process of a terminal: workers ignore it, and this process stops them with SIGTERM.
    interrupt_handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for _ in range(count):
            parent_end, worker_end = context.Pipe()
            # Not a daemon: daemonic processes may not start processes.
            process = context.Process(target=_work, args=(worker_end,))
            with _hidden_main():
                process.start()
            worker_end.close()
            running[parent_end] = process
    finally:
        signal.signal(signal.SIGINT, interrupt_handler)
    processes = list(running.values())
    try:
        for connection in running:
            with suppress(OSError):
                connection.send(function)
        yield running
    except BaseException:
        _interrupt(processes)
        raise
    finally:
        for process in processes:
            process.join()


def _interrupt(processes: list[SpawnProcess]) -> None:
    """Interrupt workers until all have ended: an interrupt that arrives in a callback or a finaliser is lost."""
    while alive := [process for process in processes if process.is_alive()]:
        for process in alive:
            process.terminate()
        end = monotonic() + INTERRUPT_SECONDS
        for process in alive:
            process.join(max(0.0, end - monotonic()))


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Start processes that do not run the main module again.

    A script may therefore lack `if __name__ == "__main__"`, or come from standard input or a notebook.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _work(connection: Connection) -> None:
    """Run tasks in a worker until an empty message ends it.

    Until the function and its modules are loaded, SIGTERM ends the process; then it interrupts the task.
    """
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        function = connection.recv()
        with exit_on_interrupt():
            connection.send(None)
            while task := connection.recv():
                try:
                    connection.send(function(*task))
                except UserError as error:
                    connection.send(error)
    except (EOFError, BrokenPipeError):
        sys.exit(1)  # the parent has died
    except Exception as error:
        connection.send(_Failure(" ".join(f"{type(error).__name__}: {error}".split())))
        raise


def _end_with_parent() -> None:
    """End this worker as soon as its parent process has ended for any reason, at the latest after GRACE_SECONDS."""
    parent = parent_process()
    assert parent, "a worker has a parent process"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(GRACE_SECONDS)  # the main thread may be in a long computation, or may have swallowed the interrupt
    os._exit(1)


def _describe_death(process: SpawnProcess, failure: _Failure | None) -> str | None:
    """Wait for a process, and return how it died, with the error that it reported; None if it ended normally."""
    process.join()
    if not process.exitcode:
        return None
    status = f"signal {-process.exitcode}" if process.exitcode < 0 else f"status {process.exitcode}"
    return f"{status} ({failure.error})" if failure else status
