"""Prefetching: prepare the next item while the current one is processed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

END = object()


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items in order while a separate thread prepares the next one, never more than one ahead.

    If `items` raises an exception, it is raised here at the position of the item.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        upcoming = thread.submit(next, items, END)
        while (item := upcoming.result()) is not END:
            upcoming = thread.submit(next, items, END)
            yield item  # type: ignore[misc]
