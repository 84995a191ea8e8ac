"""Worker processes: tasks are dealt to several processes, whose deaths are noticed and which never outlive this one."""

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
from typing import Any, Generic, TypeVar

from pipeline.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """What became of a task.

    Attributes:
        task: None if a worker died before it had one.
        result: None if the worker died.
        death: how it died, such as "signal 9" or "status 1".
    """

    task: Task | None
    result: Result | None = None
    death: str | None = None


def deal(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Generator[Outcome[Task, Result], None, None]:
    """Call `function` with each task in worker processes, and yield the outcomes in the order in which they end.

    A worker that dies costs its task, and the others continue; tasks are left over if all of them die. When the
    iteration ends, by an exception or `close` too, all workers have ended. Each of them imports the main module: a
    script calls this under `if __name__ == "__main__"`.

    Args:
        function: sent to each worker once, with whatever it holds; it may keep state there between its calls.
        workers: how many processes.

    Raises:
        UserError: `function` raised it in a worker.
    """
    waiting = iter(tasks)
    busy: dict[Connection, Task] = {}
    with _start(function, workers) as running:
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                try:
                    answer = connection.recv()
                except (EOFError, OSError):
                    death = _describe_death(running.pop(connection))
                    task = busy.pop(connection, None)
                    if death:
                        yield Outcome(task, death=death)
                    continue
                if isinstance(answer, UserError):
                    raise answer
                if connection in busy:
                    yield Outcome(busy.pop(connection), answer)
                for task in waiting:
                    busy[connection] = task
                    break
                with suppress(OSError):  # it has died; the next `wait` says so
                    connection.send([busy[connection]] if connection in busy else [])


@contextmanager
def _start(function: Callable[[Any], Any], count: int) -> Iterator[dict[Connection, SpawnProcess]]:
    """Yield worker processes, each by the connection to it; when the block ends they have ended."""
    context = get_context("spawn")
    running: dict[Connection, SpawnProcess] = {}
    # Ctrl-C reaches every process of a terminal: workers ignore it, and this process stops them by SIGTERM.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,))  # no daemon: those may not start processes
            process.start()
            theirs.close()
            running[ours] = process
    finally:
        signal.signal(signal.SIGINT, interrupt)
    processes = list(running.values())
    try:
        for connection in running:
            with suppress(OSError):
                connection.send(function)
        yield running
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()


def _work(connection: Connection) -> None:
    """Do tasks until there are no more."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        function = connection.recv()
        connection.send(None)
        while task := connection.recv():
            try:
                connection.send(function(*task))
            except UserError as error:
                connection.send(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except (EOFError, BrokenPipeError):
        sys.exit(1)  # its parent has died


def _end_with_parent() -> None:
    """Stop this worker as soon as the process that it works for has ended, for whatever reason."""
    parent = parent_process()
    assert parent, "a worker is started by another process"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _describe_death(process: SpawnProcess) -> str | None:
    """Return how a process ended, or None if it ended as it should."""
    process.join()
    if not process.exitcode:
        return None
    return f"signal {-process.exitcode}" if process.exitcode < 0 else f"status {process.exitcode}"
