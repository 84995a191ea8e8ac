"""Work on one thing while the next one is prepared."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

END = object()


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items in order, preparing the one after each in a thread of its own; never more than one ahead.

    What an item's preparation raises is raised here, in its place.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        upcoming = thread.submit(next, items, END)
        while (item := upcoming.result()) is not END:
            upcoming = thread.submit(next, items, END)
            yield item  # type: ignore[misc]
