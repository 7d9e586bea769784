"""scikit-learn's callbacks (`sklearn.callback`, from 1.9): tasks of a fit."""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """Nothing to support."""


class FitTasks:
    """The task of fitting an estimator and, below it, one per epoch.

    Callbacks get X and y as the user gave them. A `fitted_estimator` is made only for
    those that ask for it. `attributes`, set once data are validated, makes its
    attributes of a state and the history so far.
    """

    attributes = None

    def __init__(self, estimator, X, y, sample_weight):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.arguments = dict(estimator=estimator, X=X, y=y, metadata=metadata)
        self.epoch = None
        self.fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self.fit.call_on_fit_task_begin(**self.arguments)

    @classmethod
    def of(cls, estimator, X, y, sample_weight):
        """The tasks of this fit; None if no callback listens."""
        if not getattr(estimator, "_skl_callbacks", None):
            return None
        return cls(estimator, X, y, sample_weight)

    def begin(self):
        """Begin an epoch."""
        self.epoch = self.fit.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.arguments)

    def end(self, state, history):
        """End an epoch, at `state` or, if that is none to predict with, None.

        Returns whether a callback wants training to stop.
        """
        attributes = None
        if state is not None:

            def attributes():
                return self.attributes(state, history)

        return self.epoch.call_on_fit_task_end(
            **self.arguments, reconstruction_attributes=attributes
        )

    def finish(self):
        """End the fit; the estimator is fitted."""
        self.fit.call_on_fit_task_end(**self.arguments, reconstruction_attributes={})
