"""Interrupts of a training, as by Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.training.trainer import Trainer


@contextmanager
def interrupted_evaluation(number: int) -> Iterator[None]:
    """Interrupt a training while the block runs, in evaluation `number`, counted from 1."""
    evaluate, calls = Trainer.evaluate, []

    def interrupt(self: Trainer) -> object:
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return evaluate(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "evaluate", interrupt)
        yield
