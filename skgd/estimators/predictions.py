"""What a model says of rows: the methods that predict, and score that."""

from typing import Any

import numpy as np
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if

from skgd.estimators import labels
from skgd.estimators.inputs import check_model
from skgd.estimators.partitioned import by_partition, by_sums


class RegressorPredictions(RegressorMixin):
    """Those of a regressor."""

    @by_sums
    def score(
        self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None
    ) -> float:
        """R^2 of `predict`. For other measures, take those of scikit-learn.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        offset : array-like, default=None
            As in `fit`.

        Returns
        -------
        float
            R^2; of several targets, the mean.

        Examples
        --------
        Counts per exposure, and D^2, the share of the deviance explained:

        >>> import numpy as np
        >>> from sklearn.metrics import d2_tweedie_score
        >>> from skgd import GDRegressor
        >>> rng = np.random.default_rng(0)
        >>> X, days = rng.normal(size=(5000, 2)), rng.uniform(1, 100, size=5000)
        >>> y = rng.poisson(days * np.exp(X @ [0.3, -0.2] - 3))
        >>> offset = np.log(days)
        >>> model = GDRegressor("poisson", random_state=0).fit(X, y, offset=offset)
        >>> model.coef_.round(1), model.intercept_.round(1)
        (array([ 0.3, -0.2]), array([-3.]))
        >>> round(d2_tweedie_score(y, model.predict(X, offset), power=1), 1)
        0.6
        """
        return r2_score(y, self.predict(X, offset), sample_weight=sample_weight)

    @by_partition
    def predict(self, X: Any, offset: Any = None) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        offset : array-like, default=None
            As in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted targets; of loss 'poisson', exp of the linear predictions.
        """
        z, flat = self._linear_predictions(X, offset)
        # The user may have set the coefficients of a model that was never fitted.
        flat = getattr(self, "_is_flat", flat)
        return self._predictions(z.ravel() if flat else z)


class ClassifierPredictions(ClassifierMixin):
    """Those of a classifier."""

    classes_: np.ndarray
    multilabel_ = False  # of a model whose attributes the user set

    @by_partition
    def decision_function(self, X: Any, offset: Any = None) -> np.ndarray:
        """Linear predictions, of which the largest one decides.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        offset : array-like, default=None
            Added to the predictions, as in `fit`.

        Returns
        -------
        z : ndarray of shape (n_samples,) or (n_samples, n_classes)
            With two classes, positive for `classes_[1]`; of several labels per row,
            positive for each that a row has.
        """
        z, _ = self._linear_predictions(X, offset)
        return z.ravel() if z.shape[1:] == (1,) else z

    @by_partition
    def predict(self, X: Any, offset: Any = None) -> np.ndarray:
        """Predict the label of each row, or which labels it has.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        offset : array-like, default=None
            Added to the decision function, as in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Labels, or an indicator of several: 1 for those that a row has, or 0.
        """
        z = self.decision_function(X, offset)
        if self.multilabel_:
            return (z > 0).astype(int)
        index = (z > 0).astype(int) if z.ndim == 1 else np.argmax(z, axis=1)
        return np.asarray(self.classes_)[index]

    @available_if(labels.gives_probabilities)
    @by_partition
    def predict_proba(self, X: Any, offset: Any = None) -> np.ndarray:
        """Probabilities of the classes, of losses 'log_loss' and 'modified_huber'.

        With z the decision function, they are, of 'log_loss', 1 / (1 + exp(-z)) or,
        with more than two classes, exp(z_k) divided by the sum over classes (softmax);
        of 'modified_huber', (clip(z, -1, 1) + 1) / 2 ([1]_ of the class, appendix B),
        with more than two classes divided by their sum. Of several labels per row,
        each has the probability of the second of two classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        offset : array-like, default=None
            Added to the decision function, as in `fit`.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        z = self.decision_function(X, offset)
        return labels.probabilities(self.loss, z, self.multilabel_)

    @available_if(labels.gives_probabilities)
    @by_partition
    def predict_log_proba(self, X: Any, offset: Any = None) -> np.ndarray:
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        offset : array-like, default=None
            Added to the decision function, as in `fit`.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        check_model(self)
        if self.loss == "log_loss":  # of p = 0, too
            if self.multilabel_:
                return log_expit(self.decision_function(X, offset))
            if self._n_outputs > 1:
                return log_softmax(self.decision_function(X, offset), axis=1)
        return np.log(self.predict_proba(X, offset))

    @by_sums
    def score(
        self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None
    ) -> float:
        """The accuracy of `predict`: the share of rows of which all labels are right.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        offset : array-like, default=None
            Added to the decision function, as in `fit`.

        Returns
        -------
        float
            The accuracy.
        """
        predicted = self.predict(X, offset)
        if self.multilabel_ and labels.are_several(y):
            y = labels.indicator(check_array(y, accept_sparse=True, input_name="y"))
        return accuracy_score(y, predicted, sample_weight=sample_weight)
