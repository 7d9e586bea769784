"""The training loop of models that share their rows, and so each pass over them."""

from time import perf_counter

import numpy as np

from skgd.training.loop import is_sane, record_of
from skgd.training.method import Ending
from skgd.training.progress import Progress
from skgd.training.visits import Visits


class Member:
    """A model that is trained with others: what `train` keeps of one.

    Parameters
    ----------
    state : State
    method : Method
    max_iter, tol, n_iter_no_change
        As of `train`.
    """

    def __init__(self, state, method, max_iter, tol, n_iter_no_change):
        self.state, self.method, self.max_iter = state, method, max_iter
        self.progress = Progress(state.copy(), method, tol, n_iter_no_change, False)
        self.history, self.reason = [], None

    def take(self, result, start, largest):
        """Take in an epoch, by the rules of `train`."""
        self.history.append(record_of(result, self.state, start))
        if not is_sane(result, self.state, largest):
            self.reason = "diverged"
            return
        self.progress.update(self.state, self.history[-1])
        self.reason = self.progress.ending(self.state, result.objective)
        if self.reason is None and len(self.history) == self.max_iter:
            self.reason = "max_iter"


def train_together(stack, members, *, shuffle=None, largest=np.inf):
    """Run epochs of all members until each of them ends as it would by itself.

    Parameters
    ----------
    stack : skgd.optim.stack.Stack
        Makes the epochs, and holds the coefficients.
    members : list of Member
        Those of the stack. Who ends, leaves it.
    shuffle, largest
        As of `train`.

    Returns
    -------
    list of Ending
    """
    start = perf_counter()
    n_epochs = max(member.max_iter for member in members)
    n_shuffled = members[0].method.n_shuffled(n_epochs)
    quiet = np.errstate(over="ignore", under="ignore", invalid="ignore")
    with quiet, Visits(stack.problem.data, shuffle, n_shuffled) as visits:
        while stack.members:
            for member, result in zip(
                stack.members, stack.epoch(visits.draw()), strict=True
            ):
                member.take(result, start, largest)
            stack.leave([m for m in stack.members if m.reason is not None])
        endings = [
            Ending(member.state, member.reason, objective)
            for member, objective in zip(
                members, stack.objectives(members), strict=True
            )
        ]
        return [
            member.method.finish(ending, member.progress, largest)
            for member, ending in zip(members, endings, strict=True)
        ]
