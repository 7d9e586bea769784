"""PyTorch: the usual loop over mini-batches, on the CPU and in float64."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from adapters._method import ALL, ALPHA, TINY, Method, rows_per_update

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


@dataclass
class Tensors:
    task: str
    n_outputs: int
    X: torch.Tensor
    y: torch.Tensor


def mean_loss(task, z, y):
    if task == "regression":
        return 0.5 * functional.mse_loss(z[:, 0], y)
    if task == "binary":
        return functional.binary_cross_entropy_with_logits(z[:, 0], y)
    return functional.cross_entropy(z, y)


class Torch(Method):
    name = "PyTorch"
    sparse = False
    batch_sizes = (1, 32, 200, 1024, ALL)
    has_default = False  # a loop has none
    python_updates = True

    def prepare(self, data):
        dtype = np.int64 if data.task == "multiclass" else np.float64
        y = torch.from_numpy(data.y.astype(dtype))
        return Tensors(data.task, data.n_outputs, torch.from_numpy(data.X), y)

    def fit(self, tensors, passes, batch_size, optimizer="sgd", step=TINY):
        torch.manual_seed(0)
        X, y, task = tensors.X, tensors.y, tensors.task
        model = torch.nn.Linear(X.shape[1], tensors.n_outputs, dtype=X.dtype)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        # The intercept is not penalised. Adam would scale a weight decay like a
        # gradient, so the penalty is part of the loss there.
        decay = ALPHA if optimizer == "sgd" else 0.0
        groups = [
            dict(params=[model.weight], weight_decay=decay),
            dict(params=[model.bias]),
        ]
        descent = OPTIMIZERS[optimizer](groups, lr=step)
        rows = rows_per_update(batch_size, len(y))
        for _ in range(passes):
            for batch in torch.randperm(len(y)).split(rows):
                descent.zero_grad()
                loss = mean_loss(task, model(X[batch]), y[batch])
                if optimizer == "adam":
                    loss = loss + 0.5 * ALPHA * model.weight.square().sum()
                loss.backward()
                descent.step()
        return model

    def few_epochs(self):
        return {self.name: dict(optimizer="adam", step=1e-3)}  # as sklearn MLP

    def settings(self, data):
        grid = [
            dict(batch_size=batch_size, optimizer=optimizer, step=step)
            for batch_size in (32, 200)
            for optimizer in OPTIMIZERS
            for step in (1e-3, 1e-2, 1e-1, 1.0)
        ]
        return {self.name: grid}

    def coefficients(self, model):
        return model.weight.detach().numpy(), model.bias.detach().numpy()


METHODS = [Torch()]
