"""Linear regression by gradient descent."""

from collections.abc import Callable
from numbers import Real
from typing import Any, Self

from sklearn.metrics import r2_score

from skgd.estimators.base import BaseGD
from skgd.estimators.parameters import CONSTRAINTS, OWN_LOSSES
from skgd.estimators.predictions import RegressorPredictions
from skgd.estimators.sklearn_private import Interval, StrOptions, fit_context
from skgd.estimators.stream import partial_fit
from skgd.objective.table import REGRESSION_LOSSES


class GDRegressor(RegressorPredictions, BaseGD):
    """Linear regression by batch, mini-batch or stochastic gradient descent.

    Minimises the mean loss of linear predictions z = w.x + b and a penalty on w, by
    updates each of which takes `batch_size` rows: see Notes for the formulas. Several
    targets are learnt in one pass over the data, as by separate fits.

    Parameters
    ----------
    loss : {'squared_error', 'huber', 'absolute_error', 'quantile', \
            'epsilon_insensitive', 'squared_epsilon_insensitive', 'poisson', \
            'cauchy'}, object or compiled function, default='squared_error'
        The loss, or one of your own: see Notes. With 'poisson', y must not be negative
        and `predict` returns exp(z). The slopes of 'huber', 'absolute_error',
        'quantile' and 'epsilon_insensitive' do not grow with the units of y while the
        penalty does: with y in dollars, scale y or decrease `alpha`. 'cauchy' is not
        convex, and hardly notices outliers.
    solver : {'minibatch', 'sgd', 'batch'}, default='minibatch'
        Rows per update: `batch_size` of them, one ('sgd'), or all ('batch').
    batch_size : int or 'auto', default='auto'
        Rows per update of solver 'minibatch'. 'auto' is 32, or 1 with eta0='auto' and
        1000 sparse rows or more. The last batch of an epoch may be smaller; with
        eta0='auto', batches differ by one row at most.
    penalty : {'l2', 'l1', 'elasticnet', None}, default='l2'
        The penalty. 'l2' has l1_ratio 0, 'l1' has l1_ratio 1.
    alpha : float, default=0.0001
        Strength of the penalty.
    l1_ratio : float or None, default=0.15
        Share of L1 in the 'elasticnet' penalty, in [0, 1]; other penalties ignore it.
    fit_intercept : bool, default=True
        Whether to learn an intercept.
    max_iter : int, default=1000
        Largest number of epochs, passes over the training data.
    tol : float or None, default=1e-4
        Training ends once `gap_`, the estimated share of the gain still to be had, is
        at most `tol`. Without an estimate, `n_iter_no_change` ends it. None: it ends at
        `max_iter`, or where no step lowers the objective any more.
    shuffle : bool, default=True
        Whether to visit the rows in a new random order in each epoch. Solver 'batch'
        does not depend on their order.
    verbose : int, default=0
        1 prints a line per epoch.
    epsilon : float, default=0.1
        Width of the losses 'huber', 'epsilon_insensitive',
        'squared_epsilon_insensitive' and 'cauchy', in units of y.
    quantile : float, default=0.5
        The quantile that loss 'quantile' estimates, in (0, 1).
    random_state : int, RandomState instance or None, default=None
        Decides the order of rows and the validation split. An int gives the same
        coefficients each time, bit for bit.
    learning_rate : {'auto', 'constant', 'invscaling', 'optimal', 'adaptive'} or \
            callable, default='auto'
        The schedule of step sizes: see Notes. A callable is called as
        learning_rate(t, eta0), where t is an array of update numbers, from 1 (take
        np.where rather than `if`), and returns their step sizes. 'auto' is 'adaptive'
        if `eta0` is a number.
    eta0 : float or 'auto', default='auto'
        The first step size. A number is textbook gradient descent, for lectures, grids
        and comparisons; its best value depends on the data. With 'auto', steps are
        chosen from the data, whose features need no scaling: see Notes.
    power_t : float, default=0.25
        Exponent of 'invscaling'.
    momentum : float, default=0
        With textbook steps, solver 'batch' or 'minibatch' and no L1: the share of its
        last move that an update goes on with, in [0, 1). Of sparse X, an update then
        takes the time of all features. As the objective ripples, training waits for a
        gain for n_iter_no_change / (1 - momentum) updates, if longer; the best epoch is
        kept, but with tol=None the last one.
    nesterovs_momentum : bool, default=True
        Whether momentum is Nesterov's; if not, it is the heavy ball's. Both as in
        `sklearn.neural_network.MLPRegressor`.
    early_stopping : bool, default=False
        Whether to stop by the score on validation data, and keep the coefficients with
        the best one; of equal scores, those with the least validation loss. The data
        are a random part of X, or `X_val` and `y_val` of `fit`.
    scoring : str, callable or None, default=None
        The score of early stopping: None for R^2, 'loss' for the mean validation loss
        with its sign changed, or a scorer of scikit-learn, by name or as a callable
        scorer(estimator, X, y), which is also given sample_weight if rows have weights.
    validation_fraction : float, default=0.1
        Part of X set aside for early stopping.
    n_iter_no_change : int, default=5
        With textbook steps or finish=False, training ends after as many epochs that
        gained less than the fraction `tol` of what was gained before; with early
        stopping, also after as many whose score rose by less than `tol`.
    warm_start : bool, default=False
        Whether `fit` starts from the present coefficients.
    average : bool or int, default=False
        True: `coef_` is the mean of the iterates after each update; an int: of those
        from update number `average` on, and before it the last iterate. With
        eta0='auto' and learning_rate='auto', stochastic epochs are always averaged.
    finish : bool, default=True
        Whether all rows take over after two epochs of `solver`; if not, epochs of
        `solver` go on to the end. Textbook steps ignore it.
    half_life : float or None, default=None
        Of `partial_fit` with eta0='auto': the number of rows, at least 1, after which
        a row counts half. A model follows a change within a few half-lives; the
        shorter, the noisier it is. None: all rows count alike, however long ago.
    record : {'epoch', 'update', 'path'}, default='epoch'
        'update' also keeps the objective of each update's batch, in `update_history_`:
        16 bytes per update, of at most 1,000,000. If there are more, those whose number
        is a multiple of 2 are kept, or of 4, and so on. 'path' keeps the coefficients
        after each epoch, in `path_`. The model is the same.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients, in the dtype of X; the latter if y has two dimensions.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts.
    n_outputs_, n_iter_, t_, n_features_in_ : int
        Targets; epochs of the last `fit`; number of updates plus 1; features.
    eta0_ : float
        The first step size; with eta0='auto' and learning_rate='auto', of standardised
        features.
    objective_ : float
        The objective at `coef_` and `intercept_`, over the training rows; after
        `partial_fit`, the last one of `loss_curve_`.
    gap_ : float
        An estimate, at these, of (F - F*) / (F_const - F*): F is the objective, F* the
        least one, F_const that of the best constant model. The largest one of several
        outputs; of loss 'cauchy', relative to a local optimum. NaN where nothing
        estimates it, as with textbook steps.
    stop_reason_ : {'converged', 'max_iter', 'stalled', 'diverged', 'no_progress', \
            'early_stopping', 'callback', 'interrupted'}
        Why training ended: 'converged', `gap_` is at most `tol`; 'stalled', it is
        not, but no step lowers the objective any more; 'no_progress' or
        'early_stopping', `n_iter_no_change` epochs without gain of the objective or of
        the score; 'diverged', the best coefficients are kept; 'callback', a callback
        (`set_callbacks`, scikit-learn 1.9) returned True; 'interrupted', Ctrl-C, after
        the running epoch.
    batch_size_ : int
        Rows per update; 1 after `partial_fit` with eta0='auto'.
    loss_curve_ : list of float
        The objective of each epoch: a mean over its batches, each evaluated before
        its update; for solver 'batch', the objective before the epoch; of the
        quasi-Newton method, that of the model after it.
    history_ : dict of list
        One entry per epoch: 'objective', as `loss_curve_`; 'method', a solver or
        'quasi-newton'; 'eta', its last step size; 'n_updates' and 'seconds' since the
        start; 'gap', as `gap_`; 'gradient_norm', where it is known (with L1, of the
        gradient mapping or the least subgradient); with early stopping,
        'validation_score' and 'validation_loss', without penalty. NaN where an epoch
        does not tell. `partial_fit` appends one entry per call; see there.
    update_history_ : dict of ndarray
        With record='update', 'update', the numbers of updates, from 1, and 'objective',
        that of their batches before it. (The penalty moves linearly within an epoch.)
    path_ : dict of ndarray
        With record='path', 'coef' and 'intercept': `coef_` and `intercept_` before
        training and as `fit` would return them after each epoch, stacked; of a stream,
        after each call of `partial_fit`, as many as `history_` keeps.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    GDClassifier : Classification by gradient descent.
    sklearn.linear_model.SGDRegressor : Stochastic gradient descent only. With the
        same parameters, no shuffling and a dense X, solver 'sgd' gives its
        coefficients.

    Notes
    -----
    The objective of one target is, with r the `l1_ratio` and weights s_i of mean 1,

        (1/n) sum_i s_i loss(y_i, w.x_i + b) + alpha [(1 - r)/2 |w|_2^2 + r |w|_1]

    An update with step size eta on a batch B of rows takes w to

        shrink(max(0, 1 - eta alpha (1 - r)) w - eta g, eta alpha r)

    where g is the mean over B of s_i loss'(y_i, w.x_i + b) x_i and shrink(w, c) moves
    each coefficient by c towards zero, and not beyond it (proximal gradient descent,
    [1]_). As g is a mean, a step size means the same for all batch sizes.

    With e = y - z the residual, the losses are: 'squared_error', e^2 / 2; 'huber',
    e^2 / 2 for |e| <= epsilon, else epsilon (|e| - epsilon / 2); 'absolute_error', |e|;
    'quantile' q, q e for e > 0 and (q - 1) e below; 'epsilon_insensitive',
    max(0, |e| - epsilon), and its square; 'poisson', half the Poisson deviance with a
    log link; 'cauchy', epsilon^2 / 2 log(1 + (e / epsilon)^2).

    A loss of your own is an object with a method value_and_slope(y, z), which is given
    arrays of shape (n,) and returns loss(y, z) and its derivative in z, of that shape.
    It must not be negative; where it is not differentiable, training may end 'stalled'.
    Say `convex = True` of it if it is: training is faster then, if it has no kinks. If
    it has a method inverse_link(z), `predict` returns that. It is called once per
    batch, with the GIL: of 'sgd' and streams per row, which is slow. As fast are a
    `scipy.LowLevelCallable` of signature ``double (double, double, double *)``, or with
    a ``void *`` for its data behind, which returns the loss and writes its derivative
    to the third argument, and such a cfunc of numba. A grid or pickle takes neither.

    The step size of update t is, of 'constant', eta0; of 'invscaling',
    eta0 / t^power_t; of 'optimal', which takes no eta0, 1 / (alpha (t0 + t - 1)) with
    t0 = alpha^(-3/4); of 'adaptive', eta0, which is divided by 5 where training would
    end, until it is below eta0 / 10,000.

    With eta0='auto' and learning_rate='auto', a fit is two epochs of `solver`, with the
    steps of [2]_, proposition 3.8, truncated as in [3]_, then a quasi-Newton method on
    all rows, one pass per epoch: L-BFGS [4]_, for losses with kinks within the method
    of multipliers [5]_. solver='batch' is that method from the start. With eta0='auto'
    and another `learning_rate`, the schedule starts from 1 / (2 L), with L the expected
    smoothness of the objective [2]_.

    References
    ----------
    .. [1] N. Parikh and S. Boyd, "Proximal algorithms", Foundations and Trends in
       Optimization 1(3), 2014, section 4.2.
    .. [2] R. M. Gower, N. Loizou, X. Qian, A. Sailanbayev, E. Shulgin and
       P. Richtarik, "SGD: General analysis and improved rates", ICML 2019.
    .. [3] H. Asi and J. C. Duchi, "Stochastic (approximate) proximal point methods",
       SIAM Journal on Optimization 29(3), 2019, section 2.
    .. [4] D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
       optimization", Mathematical Programming 45, 1989.
    .. [5] R. T. Rockafellar, "Augmented Lagrangians and applications of the proximal
       point algorithm in convex programming", Math. Oper. Res. 1(2), 1976.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skgd import GDRegressor
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> for solver in ("batch", "minibatch", "sgd"):
    ...     model = GDRegressor(solver=solver, random_state=0).fit(X, y)
    ...     print(solver, round(model.score(X, y), 1))
    batch 0.5
    minibatch 0.5
    sgd 0.5
    """

    n_outputs_: int

    _losses = REGRESSION_LOSSES

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "loss": [StrOptions(set(REGRESSION_LOSSES)), *OWN_LOSSES],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        solver: str = "minibatch",
        batch_size: int | str = "auto",
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-4,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        quantile: float = 0.5,
        random_state: Any = None,
        learning_rate: str | Callable[..., Any] = "auto",
        eta0: float | str = "auto",
        power_t: float = 0.25,
        momentum: float = 0.0,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        scoring: str | Callable[..., Any] | None = None,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: bool | int = False,
        finish: bool = True,
        half_life: float | None = None,
        record: str = "epoch",
    ) -> None:
        self.loss = loss
        self.solver = solver
        self.batch_size = batch_size
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.finish = finish
        self.half_life = half_life
        self.record = record
        self.quantile = quantile

    @property
    def _n_outputs(self):
        return self.n_outputs_

    def _loss(self):
        return self._one_loss()

    def _learn_targets(self, y):
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self._is_flat = y.ndim == 1

    def _encode(self, y):
        self._one_loss().check_targets(y)
        return y[:, None] if y.ndim == 1 else y

    def _class_weights(self, y, sample_weight, balance):
        return None

    def _predictions(self, z):
        return self._one_loss().predict(z)

    def _score_predictions(self, targets, predictions, sample_weight):
        return r2_score(targets, predictions, sample_weight=sample_weight)

    def _shape_coef(self, coef):
        return coef[0] if self._is_flat else coef

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None
    ) -> Self:
        """Learn rows of a stream, going on from where the model stands.

        With eta0='auto', rows are learnt one by one with steps from the rows so far, of
        any scale ("distance over gradients", Ivgi, Hinder and Carmon, ICML 2023, eq. 1,
        in a metric that follows the variance of the features). `solver`, `batch_size`,
        `max_iter`, `tol`, `average` and `finish` are of no effect. With shuffle=False
        the model is the same, bit for bit, however the rows are cut into calls; with
        shuffle=True each call learns its rows in a random order of its own. All rows
        count alike, those of `fit` included, unless `half_life` is set. Only sums are
        kept, of constant size: a stream can be pickled and gone on with.

        With a number for `eta0` or another `learning_rate`, a call is one epoch of
        `solver` over its rows, and the schedule and averages go on.
        `coef_` and `intercept_` may be set between calls; training goes on from there.
        A chunk whose weights are all 0 is skipped. Where numbers overflow, there is a
        ConvergenceWarning and the model stays. Columns of sparse X are not centred if
        there are more than 100: those far from zero (by several standard deviations)
        are then learnt far too slowly; give them dense, or centre them. An outlier of a
        feature is in its variance for good, unless `half_life` is set.

        Rows should not come sorted by what is predicted: one pass over rows sorted by
        the target ends a few percent of the gain from the optimum, and 'quantile' and
        'poisson' may end below the constant model. Mix them, or pass over them again.

        What to watch is `history_['objective']`: per call, the mean objective of its
        rows before each was learnt (progressive validation), by the model in training;
        `coef_` is an average, which is better. At most 2,000 calls are kept: beyond,
        every other one goes. One thread at a time may call this; others may predict
        meanwhile, with the model before the call or after it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Part of the training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, nonnegative, not divided by their mean. Weight 0 is a
            row absent. All weights times c is what `alpha` / c would be.
        offset : array-like, default=None
            As in `fit`.

        Returns
        -------
        self : object
            The estimator. If partial_fit raises, it stays as it was before.

        Raises
        ------
        ValueError
            If data or parameters are invalid or do not fit together, or
            early_stopping is True.

        Examples
        --------
        >>> import numpy as np
        >>> from skgd import GDRegressor
        >>> rng = np.random.default_rng(0)
        >>> model = GDRegressor(random_state=0)
        >>> for _ in range(100):  # chunks of 20 rows
        ...     X = rng.normal([0.0, 500.0], [1.0, 40.0], size=(20, 2))
        ...     model = model.partial_fit(X, 3.0 * X[:, 0] - 0.2 * X[:, 1] + 7.0)
        >>> model.coef_.round(2)
        array([ 3. , -0.2])
        """
        return partial_fit(self, X, y, sample_weight, offset)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
