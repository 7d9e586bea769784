"""What the training loop asks of a method, and what it gets."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skgd.training.state import State


@dataclass
class EpochResult:
    """What a method tells of an epoch, a row of `history_`.

    `objective` is as in `history_`, `method` the name of what stepped, `eta` the last
    step size. What is not known is NaN.
    """

    objective: float
    method: str
    eta: float
    gap: float = np.nan
    gradient_norm: float = np.nan


@dataclass
class Ending:
    """How training ended.

    `state` is the one to keep, `objective` the one there, and `gap` an estimate of what
    is left, or nan. `reason` is a value of `stop_reason_`.
    """

    state: State
    reason: str
    objective: float = np.nan
    gap: float = np.nan


class Method(Protocol):
    """How an epoch steps, and when there is nothing left to do.

    A method is made for one fit and knows its problem. `train` calls `n_shuffled` once,
    then for each epoch `epoch` and, in this order and as far as they are needed,
    `begins_anew`, `evaluated` and `to_gain`, `ending`, `diverges` or `lower`; at last,
    if the model is to be judged by all rows, `finish`.
    """

    batch_size: int  # rows per update
    recovers: bool  # whether it undoes epochs whose objective is not finite
    patient: bool  # whether epochs without gain end training
    inertia: float  # epochs that an update's move goes on for, at least 1

    def n_shuffled(self, max_iter: int) -> int:
        """How many of the first epochs want their rows in random order."""

    def epoch(self, state, visits, objectives=None, watch=None) -> EpochResult:
        """Make an epoch: change `state` in place.

        `visits` are the rows with their targets and weights, as `Data.visits` returns
        them. The objective of each update's batch, before it, is written to
        `objectives`. `watch` is called with the state between updates, if they can be
        told apart.
        """

    def evaluated(self, state) -> State:
        """The state that the objective of the last epoch belongs to."""

    def begins_anew(self) -> bool:
        """Whether states before the last epoch are not to be kept."""

    def to_gain(self, objective: float) -> float:
        """What a tolerance is a fraction of, at this objective."""

    def ending(self) -> str | None:
        """Why training ends here; None if it does not."""

    def diverges(self, objective: float) -> bool:
        """Whether a curve that rises up to this objective diverges."""

    def lower(self, state) -> bool:
        """Lower the step instead of ending; False if that is no use."""

    def finish(self, ending: Ending, progress, largest: float) -> Ending:
        """Judge the last state, and put another one in its place if it is better.

        No coefficient may be larger than `largest`.
        """
