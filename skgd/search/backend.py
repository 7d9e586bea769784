"""A joblib backend that trains together the fits of a search that share their rows."""

import logging
import warnings
from collections import Counter

import joblib
from joblib.parallel import ParallelBackendBase, get_active_backend
from sklearn.exceptions import ConvergenceWarning

from skgd.search.fold import NOT_A_SEARCH, Call, Fold
from skgd.search.together import AloneError

LOG = logging.getLogger("skgd.search")
# So many workers joblib is told of, so that it hands over all tasks at once.
WORKERS = 10_000


class Task:
    """What joblib submits: calls, mostly one, and their results once they have run."""

    def __init__(self, backend, function, callback):
        self.backend, self.callback, self.results = backend, callback, None
        self.items = getattr(function, "items", None) or [(function, (), {})]
        self.is_batch = hasattr(function, "items")

    def get(self, timeout=None):
        if self.results is None:
            self.backend.run()
        return self.results if self.is_batch else self.results[0]


class StackBackend(ParallelBackendBase):
    """Collect tasks until a result is asked for; then run them, together or alone.

    What cannot be trained together runs on the backend that would be used without this
    one. Calls of scikit-learn's `_fit_and_score` that differ only in steps, penalty and
    stopping of a `GDRegressor` or `GDClassifier` are made in one pass over the rows of
    their fold, folds on threads.
    """

    supports_sharedmem = True
    uses_threads = True

    def __init__(self, nesting_level=None, inner_max_num_threads=None, **kwargs):
        super().__init__(nesting_level, inner_max_num_threads, **kwargs)
        outer, _ = get_active_backend()
        self.outer = getattr(outer, "outer", outer)
        self.pending, self.in_use, self.options = [], False, {"n_jobs": 1}

    def configure(self, n_jobs=1, parallel=None, prefer=None, require=None, **kwargs):
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        self.parallel, self.in_use = parallel, True
        self.options = {"n_jobs": n_jobs, "prefer": prefer, "require": require}
        return WORKERS

    def effective_n_jobs(self, n_jobs):
        return WORKERS if self.in_use else self.outer.effective_n_jobs(n_jobs)

    def terminate(self):
        self.in_use, self.pending = False, []

    def abort_everything(self, ensure_ready=True):
        self.pending = []

    def submit(self, func, callback=None):
        task = Task(self, func, callback)
        self.pending.append(task)
        return task

    apply_async = submit  # the name before joblib 1.5

    def run(self):
        """Run what was submitted."""
        tasks, self.pending = self.pending, []
        folds, alone, together = {}, [], []
        for task in tasks:
            try:
                if len(task.items) > 1:
                    raise AloneError("several calls in a task")
                call = Call(*task.items[0])
                folds.setdefault(call.key, []).append((task, call))
            except AloneError as reason:
                alone.append((task, str(reason)))
        with joblib.parallel_config("threading"):
            outputs = joblib.Parallel(self.options["n_jobs"], batch_size=1)(
                joblib.delayed(_run_fold)([call for _, call in fold])
                for fold in folds.values()
            )
        for fold, (results, reason) in zip(folds.values(), outputs, strict=True):
            if results is None:
                alone += [(task, reason) for task, _ in fold]
                continue
            together += [call for _, call in fold]
            for (task, _), result in zip(fold, results, strict=True):
                task.results = [result]
        with joblib.parallel_config(self.outer):
            results = iter(
                joblib.Parallel(**self.options)(i for t, _ in alone for i in t.items)
            )
        for task, _ in alone:
            task.results = [next(results) for _ in task.items]
        reasons = Counter(reason for _, reason in alone)
        if together or set(reasons) - {NOT_A_SEARCH}:
            said = (f"{count} ({reason})" for reason, count in reasons.most_common())
            LOG.info(
                "%d of %d fits were trained together%s", len(together), len(tasks),
                ", the others alone: " * bool(reasons) + ", ".join(said),
            )  # fmt: skip
        _warn(together)
        for task in tasks:
            if task.callback is not None:
                task.callback(task)


def _run_fold(calls):
    """The results of these calls; or None, and why they have to run alone."""
    if len(calls) == 1:
        return None, "no other fit on its rows"
    try:
        fold = Fold(calls)
    except (AloneError, TypeError, ValueError) as error:
        # Of scikit-learn's checks of data: each fit is to raise it.
        return None, str(error)
    return list(fold.results()), None


def _warn(calls):
    """One warning for all fits that ended badly."""
    outcomes = {}
    for call in calls:
        if call.outcome is not None:
            outcomes.setdefault(call.outcome, []).append(call.final.eta0_)
    if outcomes:
        said = ", ".join(
            f"{len(rates)} {outcome} (eta0 {_range(rates)})"
            for outcome, rates in outcomes.items()
        )
        warnings.warn(
            f"Of {len(calls)} fits that were trained together, {said}. Their scores "
            "are of the best coefficients seen. Consider other rates or, where fits "
            "still gained, a larger max_iter.",
            ConvergenceWarning,
            stacklevel=2,
        )


def _range(rates):
    low, high = min(rates), max(rates)
    return f"{low:.3g}" if low == high else f"from {low:.3g} to {high:.3g}"


joblib.register_parallel_backend("skgd", StackBackend)
