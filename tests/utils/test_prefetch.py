import threading
from collections.abc import Iterator

import pytest

from pipeline.utils.prefetch import prefetch


def test_items_keep_their_order_and_number() -> None:
    assert list(prefetch(iter(range(100)))) == list(range(100))
    assert list(prefetch(iter([]))) == []
    assert list(prefetch(iter([None, 0]))) == [None, 0]


def test_the_next_item_is_prepared_while_one_is_worked_on_and_no_more_than_it() -> None:
    begun = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    stream = prefetch(items())
    assert next(stream) == 0
    assert begun[1].wait(5)
    assert not begun[2].wait(0.2)
    assert next(stream) == 1
    assert begun[2].wait(5)


def test_a_fault_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="the second"):
        next(stream)
