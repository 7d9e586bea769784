"""What is measured: epochs, ways to the optimum, defaults, memory and growth.

All methods are timed on the same data, in turns: every turn times each of them once.
Reported are medians over the turns. What a library fails at, or takes too long for, is
left out of the turns and noted with the reason.
"""

import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import peak_memory
from adapters._method import ALL, ALPHA
from data import Data, dense_classes, dense_regression, text
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

PROBED_UPDATES = 50


def timed(function, *arguments, **keywords):
    """Seconds of a call, and what it returns."""
    start = time.perf_counter()
    result = function(*arguments, **keywords)
    return time.perf_counter() - start, result


def reason(error):
    """An exception in one line."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:90]}"


def in_turns(jobs, turns, notes):
    """Medians of what the functions `jobs` return; no entry for those that raise."""
    results = {key: [] for key in jobs}
    for _ in range(turns):
        for key in list(results):
            try:
                results[key].append(jobs[key]())
            except Exception as error:  # whatever a library raises, others go on
                notes.append(f"{key[0]}: {reason(error)}")
                del results[key]
    return {key: statistics.median(values) for key, values in results.items()}


def accepting(methods, data, notes):
    """The methods that can take the data; a note says why others can't."""
    for method in methods:
        if why := method.refuses(data):
            notes.append(f"{method.name}: {why}")
        else:
            yield method


def pass_seconds(method, data, batch_size, **setting):
    """About how long a pass takes, from a few updates."""
    rows = min(len(data.y), PROBED_UPDATES * batch_size)
    prepared = method.prepare(data.rows(slice(rows)))
    seconds, _ = timed(method.fit, prepared, 1, batch_size, **setting)
    return seconds * len(data.y) / rows


# ------------------------------------------------------------------------ epochs


class Epoch:
    """Times an epoch: the difference between fits of some epochs and of one.

    So checking the input does not count. Where updates take Python's time, and there
    are many, epochs are those of the first rows and scaled up (`partial`): their time
    is proportional to the number of updates.
    """

    def __init__(self, method, data, prepared, batch_size, quick):
        self.method, self.batch_size = method, batch_size
        n = rows = len(data.y)
        if method.python_updates:
            self.extra = 2
            if batch_size != ALL:
                enough = 0.01 if quick else 0.25
                whole = pass_seconds(method, data, batch_size)
                rows = min(n, max(PROBED_UPDATES * batch_size, int(n * enough / whole)))
        else:
            # Epochs of few rows take less time than the clock jitters.
            self.extra = max(4, (50_000 if quick else 200_000) // n)
        self.partial = rows < n
        self.scale = n / rows
        if self.partial:
            prepared = method.prepare(data.rows(slice(rows)))
        self.prepared = prepared
        method.fit(prepared, 1, batch_size)  # the first fit loads code, starts threads

    def __call__(self):
        one, few = (
            timed(self.method.fit, self.prepared, passes, self.batch_size)
            for passes in (1, 1 + self.extra)
        )
        passes = self.method.passes(few[1], 1 + self.extra) - 1
        if passes < 1:
            raise ValueError("converged in the first pass")
        return self.scale * (few[0] - one[0]) / passes


def epochs(methods, data, turns, quick, batch_sizes=None):
    """Seconds per epoch, {(name, batch size): (seconds, partial)}, and notes.

    With `batch_sizes` None, each method has its usual one. Data are standardised, lest
    training diverges and ends early.
    """
    data = data.standardised()
    jobs, notes = {}, []
    iterative = [m for m in methods if not m.direct]
    for method in accepting(iterative, data, notes):
        try:
            prepared = method.prepare(data)
            for batch_size in batch_sizes or [method.usual_batch_size()]:
                if batch_size in method.batch_sizes:
                    job = Epoch(method, data, prepared, batch_size, quick)
                    jobs[method.name, batch_size] = job
        except Exception as error:
            notes.append(f"{method.name}: {reason(error)}")
    medians = in_turns(jobs, turns, notes)
    return {key: (value, jobs[key].partial) for key, value in medians.items()}, notes


# -------------------------------------------------------------------- few epochs


FEW_EPOCHS = 5


def few_epochs(methods, data, turns):
    """Seconds of 5 epochs of 200 rows per update where possible, and test accuracies.

    {row: (seconds, accuracy)}, and notes. Steps are a library's defaults where it has
    any. The time is that of a whole fit.
    """
    jobs, notes = {}, []
    for method in accepting(methods, data, notes):
        batch_size = method.usual_batch_size(200)
        try:
            prepared = method.prepare(data)
            for row, setting in method.few_epochs().items():
                setting = dict(setting, batch_size=batch_size)
                jobs[row,] = FitSeconds(method, prepared, FEW_EPOCHS, setting)
        except Exception as error:
            notes.append(f"{method.name}: {reason(error)}")
    medians = in_turns(jobs, turns, notes)
    return {
        row: (seconds, test_score(jobs[row,].method, jobs[row,].model, data))
        for (row,), seconds in medians.items()
    }, notes


# ----------------------------------------------------------------------- optimum


def mean_loss(data, z, one_vs_rest):
    """Mean loss at linear predictions z of shape (n, K)."""
    if data.task == "regression":
        return 0.5 * np.mean((data.y - z[:, 0]) ** 2)
    if data.task == "binary":
        return np.mean(np.logaddexp(0.0, np.where(data.y > 0, -1.0, 1.0) * z[:, 0]))
    own = z[np.arange(len(z)), data.y]
    if one_vs_rest:
        return np.mean(np.logaddexp(0.0, z).sum(axis=1) - own)
    return np.mean(logsumexp(z, axis=1) - own)


class Objective:
    """mean loss + alpha / 2 |w|^2, the intercept not penalised.

    With more than two classes, the loss is that of softmax or, one-vs-rest, the sum of
    K binary ones.
    """

    def __init__(self, data, one_vs_rest):
        self.data, self.one_vs_rest = data, one_vs_rest
        p, K = data.X.shape[1], data.n_outputs
        self.constant = self(np.zeros((K, p)), self.constant_intercept())
        self.optimum = self(*self.solve())

    def __call__(self, coef, intercept):
        with np.errstate(all="ignore"):
            z = np.asarray(self.data.X @ coef.T) + intercept
            penalty = ALPHA / 2 * np.sum(coef**2)
            return mean_loss(self.data, z, self.one_vs_rest) + penalty

    def distance(self, coef, intercept):
        """How far from the optimum, in units of how far the best constant model is."""
        excess = self(coef, intercept) - self.optimum
        return excess / (self.constant - self.optimum)

    def constant_intercept(self):
        y = self.data.y
        if self.data.task == "regression":
            return np.array([y.mean()])
        share = np.bincount(y, minlength=2) / len(y)
        if self.data.task == "binary":
            return np.log(share[1:] / share[0])
        return np.log(share / (1.0 - share)) if self.one_vs_rest else np.log(share)

    def solve(self):
        """Ridge's closed form, or lbfgs until no derivative exceeds 1e-7."""
        X, y = self.data.X, self.data.y
        if self.data.task == "regression":
            model = Ridge(alpha=ALPHA * len(y), solver="cholesky").fit(X, y)
            return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
        solver = LogisticRegression(C=1 / (ALPHA * len(y)), tol=1e-7, max_iter=10_000)
        if self.data.task == "multiclass" and self.one_vs_rest:
            one_each = [
                clone(solver).fit(X, y == k) for k in range(self.data.n_outputs)
            ]
            return (
                np.concatenate([model.coef_ for model in one_each]),
                np.concatenate([model.intercept_ for model in one_each]),
            )
        solver.fit(X, y)
        return solver.coef_, solver.intercept_


TARGETS = (0.01, 0.001)
MAX_PASSES = 4096


class Search:
    """Finds the setting and the fewest passes within which a method is on target.

    Passes are doubled until a setting reaches a target, and then bisected for that
    setting; all are fits from scratch, with the same seed. A setting is dropped once
    twice the passes would take longer than `limit` seconds, or if it is no better than
    a constant after 4 passes, or ten times as far as the best after 16.
    """

    def __init__(self, method, settings, data, prepared, objective, limit):
        self.method, self.prepared, self.objective = method, prepared, objective
        self.found, self.tried, self.dropped = {}, 0, set()
        alive = [s for s in settings if self.affordable(data, s, limit)]
        passes = 1
        while alive and len(self.found) < len(TARGETS) and passes <= MAX_PASSES:
            outcomes = [(setting, *self.fit(setting, passes)) for setting in alive]
            self.tried = passes
            for target in TARGETS:
                there = [o for o in outcomes if o[2] <= target]
                if there and target not in self.found:
                    setting = min(there, key=lambda o: o[1])[0]
                    self.found[target] = setting, self.fewest(setting, passes, target)
            if method.direct:
                break
            best = min(np.nan_to_num(o[2], nan=np.inf) for o in outcomes)
            alive = [s for s, *o in outcomes if self.goes_on(passes, *o, best, limit)]
            passes *= 2

    def affordable(self, data, setting, limit):
        if not self.method.python_updates:
            return True
        try:
            affordable = pass_seconds(self.method, data, **setting) < limit
        except ValueError as error:  # so do some libraries say that they overflowed
            self.dropped.add(reason(error))
            return False
        if not affordable:
            self.dropped.add(f"a pass takes more than {limit:g} s")
        return affordable

    def goes_on(self, passes, seconds, distance, best, limit):
        if not np.isfinite(distance):
            self.dropped.add("not finite")
        elif passes >= 4 and distance >= 1.0:
            self.dropped.add("no better than a constant model")
        elif passes >= 16 and distance > 10.0 * best:
            self.dropped.add("far behind the best")
        elif seconds > limit / 2:
            self.dropped.add(f"more than {limit:g} s per fit")
        else:
            return True
        return False

    def fit(self, setting, passes):
        """Seconds of a fit and its distance from the optimum, nan if it fails."""
        try:
            seconds, model = timed(self.method.fit, self.prepared, passes, **setting)
        except ValueError as error:
            self.dropped.add(reason(error))
            return np.nan, np.nan
        return seconds, self.objective.distance(*self.method.coefficients(model))

    def fewest(self, setting, enough, target):
        """Bisect between half of `enough` passes, which are too few, and `enough`."""
        too_few = enough // 2
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            if self.fit(setting, middle)[1] <= target:
                enough = middle
            else:
                too_few = middle
        return enough


def optimum(methods, data, turns, limit):
    """Ways to within 1 % and 0.1 % of the optimum, and notes.

    Returns {row: {target: (passes, seconds, setting)}}. Evaluating the objective is
    not in the time, checking the input is.
    """
    data = data.standardised()
    objectives, found, jobs, notes = {}, {}, {}, []
    for method in accepting([m for m in methods if m.settings(data)], data, notes):
        one_vs_rest = method.one_vs_rest and data.task == "multiclass"
        if one_vs_rest not in objectives:
            objectives[one_vs_rest] = Objective(data, one_vs_rest)
        try:
            prepared = method.prepare(data)
            for row, settings in method.settings(data).items():
                search = Search(
                    method, settings, data, prepared, objectives[one_vs_rest], limit
                )
                found[row] = search.found
                if len(search.found) < len(TARGETS):
                    why = ", ".join(sorted(search.dropped)) or "out of passes"
                    notes.append(f"{row}: {search.tried} passes tried; settings: {why}")
                for target, (setting, passes) in search.found.items():
                    jobs[row, target] = FitSeconds(method, prepared, passes, setting)
        except Exception as error:
            notes.append(f"{method.name}: {reason(error)}")
    medians = in_turns(jobs, turns, notes)
    return {
        row: {
            target: (passes, medians[row, target], setting)
            for target, (setting, passes) in targets.items()
            if (row, target) in medians
        }
        for row, targets in found.items()
    }, notes


class FitSeconds:
    """Times a whole fit, and keeps its model."""

    def __init__(self, method, prepared, passes, setting):
        self.method = method
        self.arguments, self.setting = (prepared, passes), setting

    def __call__(self):
        seconds, self.model = timed(self.method.fit, *self.arguments, **self.setting)
        return seconds


# ---------------------------------------------------------------------- defaults


DEFAULT_ROWS = 25_000
DEFAULT_SECONDS = 60.0


def default_scores(methods, data, quick):
    """Test scores and seconds of a fit with nothing set, and notes.

    R^2 or accuracy on a fifth of the rows: {name: {"raw": (score, seconds),
    "standardised": ...}}, for features as they are and, of dense data, standardised.
    A fit that may take long is left out.
    """
    limit = DEFAULT_SECONDS / 100 if quick else DEFAULT_SECONDS
    data = data.rows(slice(DEFAULT_ROWS))
    classes = None if data.task == "regression" else data.y
    X, X_test, y, y_test = train_test_split(
        data.X, data.y, test_size=0.2, random_state=0, stratify=classes
    )
    features = {"raw": (X, X_test)}
    if isinstance(X, np.ndarray):
        scaler = StandardScaler().fit(X)
        features["standardised"] = scaler.transform(X), scaler.transform(X_test)
    versions = {
        version: Data(
            data.name, data.task, train, y, Data(data.name, data.task, test, y_test)
        )
        for version, (train, test) in features.items()
    }
    scores, notes = {}, []
    for method in accepting([m for m in methods if m.has_default], data, notes):
        scores[method.name] = {}
        for version, part in versions.items():
            try:
                scores[method.name][version] = default_score(method, part, limit)
            except Exception as error:
                notes.append(f"{method.name}, {version}: {reason(error)}")
    return scores, notes


def default_score(method, data, limit):
    if method.default_passes:
        most = method.default_passes * pass_seconds(method, data, 200)
        if most > limit:
            raise TimeoutError(f"{method.default_passes} passes may take {most:.0f} s")
    seconds, model = timed(method.fit_default, method.prepare(data))
    return test_score(method, model, data), seconds


def test_score(method, model, data):
    """R^2 or accuracy of a model of `data` on its rows to test."""
    test = data.test
    coef, intercept = method.coefficients(model)
    z = np.asarray(test.X @ coef.T) + intercept
    if data.task == "regression":
        if method.clips:
            z = z.clip(data.y.min(), data.y.max())
        # R^2 of a model that overflowed has no meaning, but is surely bad.
        return r2_score(test.y, z[:, 0]) if np.isfinite(z).all() else -np.inf
    predicted = z.argmax(axis=1) if data.task == "multiclass" else z[:, 0] > 0
    return accuracy_score(test.y, predicted)


# ------------------------------------------------------------------------ memory


def memory(methods, data):
    """Megabytes that a fit of 3 passes takes beyond the data, and notes."""
    megabytes, notes = {}, []
    with tempfile.TemporaryDirectory() as folder:
        peak_memory.save(data, folder)
        for method in accepting(methods, data, notes):
            command = [sys.executable, peak_memory.__file__, folder]
            command += [type(method).__module__, method.name, "3"]
            process = subprocess.run(command, capture_output=True, text=True)
            if process.returncode == 0:
                megabytes[method.name] = float(process.stdout.splitlines()[-1])
            else:
                last = (process.stderr.splitlines() or ["no message"])[-1]
                notes.append(f"{method.name}: {last[:100]}")
    return megabytes, notes


# ------------------------------------------------------------------------- growth


def scaling(methods, turns, quick):
    """How an epoch grows with n, p, nonzeros and classes.

    Yields a title, the sizes, {name: {size: (seconds, partial)}} and notes.
    """
    for title, sizes, make in growth(quick):
        times, notes = {}, []
        for size in sizes:
            result, new = epochs(methods, make(size), turns, quick)
            for (name, _), value in result.items():
                times.setdefault(name, {})[size] = value
            notes += [note for note in new if note not in notes]
        yield title, sizes, times, notes


def growth(quick):
    """Title, sizes, and what makes the data of a size."""
    scale = 20 if quick else 1

    def dense(n, p):
        return Data("dense", "regression", *dense_regression(n, p))

    def documents(words):
        X, y = text(n_sparse, 20_000 // scale, words)
        return Data("text", "binary", X, y)

    def images(n_classes):
        X, y = dense_classes(20_000 // scale, 100, n_classes)
        return Data("images", "multiclass", X, y)

    n, n_sparse = 20_000 // scale, 50_000 // scale
    last = 2 if quick else None
    return (
        (
            "n rows of 20 features",
            [1000, 10_000, 100_000, 1_000_000][:last],
            lambda n: dense(n, 20),
        ),
        (f"{n:,} rows of p features", [10, 100, 1000][:last], lambda p: dense(n, p)),
        (
            f"{n_sparse:,} sparse rows, words per row",
            [5, 20, 80][:last],
            documents,
        ),
        (f"{n:,} rows of 100 features, K classes", [3, 10, 30][:last], images),
    )


def exponent(times):
    """Slope of log seconds over log size, by least squares."""
    seconds = np.array([value for value, _ in times.values()])
    if len(seconds) < 2 or (seconds <= 0.0).any():
        return np.nan
    return np.polyfit(np.log(list(times)), np.log(seconds), 1)[0]
