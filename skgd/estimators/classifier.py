"""Linear classification by gradient descent."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from skgd.estimators import labels
from skgd.estimators.base import BaseGD
from skgd.estimators.parameters import CONSTRAINTS, OWN_LOSSES
from skgd.estimators.predictions import ClassifierPredictions
from skgd.estimators.sklearn_private import (
    StrOptions,
    check_partial_fit_first_call,
    fit_context,
)
from skgd.estimators.stream import partial_fit
from skgd.objective.classification import Multinomial, OneVsRest
from skgd.objective.table import CLASSIFICATION_LOSSES


class GDClassifier(ClassifierPredictions, BaseGD):
    """Linear classification by batch, mini-batch or stochastic gradient descent.

    Minimises the mean loss of linear predictions and a penalty, by the updates of
    :class:`GDRegressor`, with labels y of -1 and +1. With K > 2 classes, W has a row
    for each: 'log_loss' is multinomial then (softmax regression); other losses give K
    problems, each class against the rest. With an indicator y, each row has several
    labels, or none, and each label is a problem. All share each pass over the data.

    Parameters
    ----------
    loss : {'log_loss', 'hinge', 'squared_hinge', 'modified_huber', 'perceptron', \
            'squared_error', 'huber', 'epsilon_insensitive', \
            'squared_epsilon_insensitive'}, object or compiled function, \
            default='log_loss'
        The loss: see Notes; for your own, see :class:`GDRegressor`, where y is -1 or 1
        then. 'log_loss' is logistic regression, 'hinge' a linear support vector
        machine. The last four are regressions on the labels -1 and +1.
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
        Width of the losses 'huber', 'epsilon_insensitive' and
        'squared_epsilon_insensitive'.
    n_jobs : int or None, default=None
        Ignored: training uses one core. `SGDClassifier` has it.
    random_state : int, RandomState instance or None, default=None
        Decides the order of rows and the validation split. An int gives the same
        coefficients each time, bit for bit.
    learning_rate : {'auto', 'constant', 'invscaling', 'optimal', 'adaptive'} or \
            callable, default='auto'
        The schedule of step sizes: see Notes of :class:`GDRegressor`. A callable is
        called as learning_rate(t, eta0), where t is an array of update numbers, from 1
        (take np.where rather than `if`), and returns their step sizes. 'auto' is
        'adaptive' if `eta0` is a number.
    eta0 : float or 'auto', default='auto'
        The first step size. A number is textbook gradient descent, for lectures, grids
        and comparisons; its best value depends on the data. With 'auto', steps are
        chosen from the data, whose features need no scaling: see :class:`GDRegressor`.
    power_t : float, default=0.5
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
        are a random part of X with the same share of each class, or `X_val` and
        `y_val` of `fit`.
    scoring : str, callable or None, default=None
        The score of early stopping: None for accuracy, 'loss' for the mean validation
        loss with its sign changed, or a scorer of scikit-learn, by name or as a
        callable scorer(estimator, X, y), which is also given sample_weight if rows have
        weights.
    validation_fraction : float, default=0.1
        Part of X set aside for early stopping.
    n_iter_no_change : int, default=5
        With textbook steps or finish=False, training ends after as many epochs that
        gained less than the fraction `tol` of what was gained before; with early
        stopping, also after as many whose score rose by less than `tol`.
    class_weight : dict, 'balanced' or None, default=None
        Weights {label: weight} by which the sample weights of each class are
        multiplied. 'balanced' gives all classes the same total weight. Each row's class
        weight applies to all K one-vs-rest problems, unlike in `SGDClassifier`.
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
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in the dtype of X; with two classes, of the second.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; of an indicator y, the numbers of its columns.
    multilabel_ : bool
        Whether y was an indicator of several labels per row.
    n_iter_, t_, batch_size_, n_features_in_ : int
        Epochs of the last `fit`; number of updates plus 1; rows per update; features.
    eta0_, objective_, gap_ : float
        The first step size; the objective at `coef_` and `intercept_`, and the estimate
        that `tol` bounds there, of the worst class. As of :class:`GDRegressor`.
    stop_reason_ : str
        Why training ended, as of :class:`GDRegressor`: 'converged' only if `gap_` is at
        most `tol`.
    loss_curve_, history_, update_history_, path_ : list and dicts
        What happened, per epoch and per update, as of :class:`GDRegressor`: the
        objective is summed over the K problems of one-vs-rest.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    GDRegressor : Regression by gradient descent, with all formulas and references.
    sklearn.linear_model.SGDClassifier : Stochastic gradient descent only.

    Notes
    -----
    With m = y z the margin of the linear prediction z, the losses are: 'log_loss',
    log(1 + exp(-m)), or log(sum_k exp(z_k)) - z_y for more than two classes; 'hinge',
    max(0, 1 - m); 'squared_hinge', its square; 'modified_huber', max(0, 1 - m)^2 for
    m >= -1, else -4 m [1]_; 'perceptron', max(0, -m).

    References
    ----------
    .. [1] T. Zhang, "Solving large scale linear prediction problems using stochastic
       gradient descent algorithms", ICML 2004.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skgd import GDClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = GDClassifier(random_state=0).fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.94
    True
    >>> model.predict_proba(X_test[:1]).shape
    (1, 10)
    """

    _losses = CLASSIFICATION_LOSSES

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "loss": [StrOptions(set(CLASSIFICATION_LOSSES)), *OWN_LOSSES],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        loss: Any = "log_loss",
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
        n_jobs: int | None = None,
        random_state: Any = None,
        learning_rate: str | Callable[..., Any] = "auto",
        eta0: float | str = "auto",
        power_t: float = 0.5,
        momentum: float = 0.0,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        scoring: str | Callable[..., Any] | None = None,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: dict[Any, float] | str | None = None,
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
        self.n_jobs = n_jobs
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
        self.class_weight = class_weight

    @property
    def _n_outputs(self):
        n_classes = len(self.classes_)
        return 1 if n_classes == 2 and not self.multilabel_ else n_classes

    @property
    def _by_columns(self):
        """Whether targets are a column of -1 and +1 for each output."""
        # An object is called once for all classes of many rows.
        is_object = hasattr(self.loss, "value_and_slope")
        return self._n_outputs == 1 or self.multilabel_ or is_object

    def _loss(self):
        loss = self._one_loss()
        if self._by_columns:
            return loss
        if self.loss == "log_loss":
            return Multinomial()
        return OneVsRest(loss, self._n_outputs)

    def _learn_targets(self, y):
        self.multilabel_ = labels.are_several(y)
        if self.multilabel_:
            self.classes_ = labels.of_indicator(y)
            return
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                "The number of classes has to be greater than one; got "
                f"{len(self.classes_)} class"
            )

    def _encode(self, y):
        self._one_loss().check_targets(np.array([-1.0, 1.0]))
        if self.multilabel_ or labels.are_several(y):
            labels.check_shape(y, self.classes_, self.multilabel_)
            return 2.0 * y - 1.0
        index = labels.indices(y, self.classes_)[:, None]
        if not self._by_columns:
            return index
        if self._n_outputs > 1:
            index = index == np.arange(self._n_outputs)
        return 2.0 * index - 1.0

    def _class_weights(self, y, sample_weight, balance):
        if self.class_weight is None:
            return None
        if self.multilabel_:
            raise ValueError(
                "class_weight is not supported for y with several labels per row: use "
                "sample_weight."
            )
        return labels.class_weights(self.class_weight, self.classes_, y, sample_weight)

    def _predictions(self, z):
        if self._n_outputs == 1 or self.multilabel_:
            return np.where(z > 0, 1.0, -1.0)
        index = np.argmax(z, axis=1)[:, None]
        if self._by_columns:
            return 2.0 * (index == np.arange(self._n_outputs)) - 1.0
        return index.astype(np.float64)

    def _score_predictions(self, targets, predictions, sample_weight):
        return np.average(np.all(targets == predictions, axis=1), weights=sample_weight)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> Self:
        """Learn rows of a stream, going on from where the model stands.

        See `GDRegressor.partial_fit` for how rows are learnt, what is kept, what may be
        changed between calls and what to watch; all of that is the same here.

        Loss 'perceptron' has no objective to choose steps by: it is as with a number
        for `eta0`.

        Rows should not come sorted by label: a model learns one class, then unlearns
        it, and one pass may end below the constant model. Mix them, or keep some rows
        of each class and pass them again with each call. A few chunks of one class do
        no harm.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Part of the training data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels, among `classes`, or an indicator of several per row.
        classes : array-like of shape (n_classes,), default=None
            All labels there will be. Needed in the first call only, and not with an
            indicator.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, nonnegative, taken as they are: unlike in `fit`,
            they are not divided by their mean. Weight 0 is a row absent. All weights
            times c is what `alpha` / c would be.
        offset : array-like, default=None
            As in `fit`.

        Returns
        -------
        self : object
            The estimator. If partial_fit raises, it stays as it was before.

        Raises
        ------
        ValueError
            If data or parameters are invalid or do not fit together, `classes` is
            missing from the first call, early_stopping is True, or class_weight is
            'balanced'.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skgd import GDClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> model = GDClassifier(random_state=0)
        >>> for start in range(0, 1500, 10):
        ...     rows = slice(start, start + 10)
        ...     model = model.partial_fit(X[rows], y[rows], classes=range(10))
        >>> model.score(X[1500:], y[1500:]) > 0.85
        True
        """

        def begin(first):
            several = first and labels.are_several(y)
            known = labels.of_indicator(y) if several else classes
            check_partial_fit_first_call(self, known)
            if several:
                labels.check_numbers(classes, known)
                self.multilabel_ = True
            elif first:
                self._learn_targets(self.classes_)

        return partial_fit(self, X, y, sample_weight, offset, begin)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags
