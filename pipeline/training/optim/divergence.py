"""A training whose loss is no longer finite ends with one line."""

import math

from pipeline.errors import UserError
from pipeline.run import Run


class DivergedError(UserError):
    """A loss is infinite or NaN: the training has diverged with these settings."""


def require_finite(run: Run, epoch: int, *losses: float) -> None:
    """Check the losses of an epoch.

    Raises:
        DivergedError: one of them is infinite or NaN.
    """
    if not math.isfinite(sum(losses)):
        raise DivergedError(
            f"{run}: training diverged in epoch {epoch} (loss {' and '.join(map(str, losses))}); "
            "lower learning_rate, for example with --set"
        )
