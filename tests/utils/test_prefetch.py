import threading
from collections.abc import Iterator

import pytest

from pipeline.utils.prefetch import prefetch


def test_all_items_are_yielded_in_order() -> None:
    assert list(prefetch(iter(range(100)))) == list(range(100))
    assert list(prefetch(iter([]))) == []
    assert list(prefetch(iter([None, 0]))) == [None, 0]


def test_exactly_one_item_is_prefetched() -> None:
    started = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(started):
            event.set()
            yield number

    stream = prefetch(items())
    assert next(stream) == 0
    assert started[1].wait(5)
    assert not started[2].wait(0.2)
    assert next(stream) == 1
    assert started[2].wait(5)


def test_an_exception_is_raised_at_its_position() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="the second"):
        next(stream)
