"""Losses of a user, as objects."""

import numpy as np


class Asymmetric:
    """What is predicted too low costs more: the loss of an expectile."""

    def __init__(self, level=0.5, convex=True):
        self.level, self.convex = level, convex
        self.calls = 0

    def value_and_slope(self, y, z):
        self.calls += 1
        r = z - y
        side = np.where(r < 0.0, self.level, 1.0 - self.level)
        return side * r**2, 2.0 * side * r


class LogLoss:
    convex = True

    def value_and_slope(self, y, z):
        return np.logaddexp(0.0, -y * z), -y / (1.0 + np.exp(y * z))


class Count:
    """Half the Poisson deviance."""

    convex = True

    def value_and_slope(self, y, z):
        some = np.where(y > 0, y, 1.0)
        return np.exp(z) - y - y * (z - np.log(some)), np.exp(z) - y

    def inverse_link(self, z):
        return np.exp(z)


class Pinball:
    def __init__(self, convex):
        self.convex = convex

    def value_and_slope(self, y, z):
        r = y - z
        return np.where(r > 0, 0.9 * r, -0.1 * r), np.where(r > 0, -0.9, 0.1)


class Hinge(Pinball):
    def value_and_slope(self, y, z):
        return np.maximum(0.0, 1.0 - y * z), np.where(y * z < 1.0, -y, 0.0)


class Steep(Pinball):
    """Nearly a hinge with its kink at 0, but smooth."""

    def value_and_slope(self, y, z):
        e = np.exp(-np.abs(100.0 * z))
        p = np.where(y * z > 0.0, e / (1.0 + e), 1.0 / (1.0 + e))
        return np.logaddexp(0.0, -100.0 * y * z) / 100.0, -y * p
