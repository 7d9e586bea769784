"""The compiled parts of the finish, by their formulas in NumPy."""

import numpy as np
import pytest

from skgd.optim.quasi_newton import Pairs, inner, largest_eigenvalue, quadratic_with_l1


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (0,)])
def test_inner(shape):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    assert inner(a, b) == pytest.approx(np.vdot(a, b))
    assert inner(a.T, b.T) == pytest.approx(np.vdot(a, b))
    with pytest.raises(ValueError, match="same shape"):
        inner(a, np.zeros(1 + a.size))


def bfgs(pairs, scale):
    """The inverse Hessian by the update of BFGS, from `scale` on (a matrix)."""
    H, eye = scale, np.eye(len(scale))
    for s, y in pairs:
        rho = 1.0 / (s @ y)
        left = eye - rho * np.outer(s, y)
        H = left @ H @ left.T + rho * np.outer(s, s)
    return H


@pytest.mark.parametrize("n_moves", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("start", [False, True])
def test_pairs_are_those_of_bfgs(n_moves, start):
    rng = np.random.default_rng(n_moves)
    size, n = 4, 6
    A = rng.normal(size=(n, n))
    hessian = A @ A.T + np.eye(n)
    M = np.diag(rng.uniform(1, 3, n)) if start else np.eye(n)
    memory, moves = Pairs(size, n), []
    for _ in range(n_moves):
        s = rng.normal(size=(2, 3))
        y = (hessian @ s.ravel()).reshape(2, 3)
        memory.add(s, y)
        moves.append((s.ravel(), y.ravel()))
    g = rng.normal(size=(2, 3))
    want = np.linalg.solve(M, np.eye(n))
    if moves:
        s, y = moves[-1]
        want *= s @ y / (y @ want @ y)
        want = bfgs(moves[-size:], want)

    def solve(v):
        return np.linalg.solve(M, v.ravel()).reshape(v.shape)

    got = memory.times(g, solve if start else None)
    np.testing.assert_allclose(got.ravel(), want @ g.ravel(), rtol=1e-10)
    assert memory.count == min(n_moves, size)
    memory.count = 0
    np.testing.assert_allclose(memory.times(g), g)


def test_largest_eigenvalue():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(8, 8))
    matrix, ratio = A @ A.T + 5 * np.outer(A[0], A[0]), rng.uniform(0.5, 2, 8)
    want = np.linalg.eigvalsh(matrix * np.outer(ratio, ratio))[-1]
    got = largest_eigenvalue(matrix, ratio, np.ones(8), 100)
    assert got == pytest.approx(want, rel=1e-6)
    assert largest_eigenvalue(np.zeros((8, 8)), ratio, np.ones(8)) == 0.0


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0, 100.0])
def test_quadratic_with_l1_meets_the_conditions_of_an_optimum(strength):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(20, 8))
    B, g, u = A.T @ A / 20 + 0.01 * np.eye(8), rng.normal(size=8), rng.normal(size=8)
    l1 = strength * rng.uniform(0.5, 1.5, 8)
    l1[-1] = 0.0  # as that of an intercept
    v = quadratic_with_l1(B, g, u, l1, 1e-16, 10_000)
    slope = g + B @ (v - u)
    kept = v != 0.0
    np.testing.assert_allclose(slope[kept], -np.sign(v[kept]) * l1[kept], atol=1e-6)
    assert np.all(np.abs(slope[~kept]) <= l1[~kept] + 1e-6)
    assert kept.sum() < 8 or strength < 1.0
    # A feature without curvature stays.
    B[0] = B[:, 0] = 0.0
    assert quadratic_with_l1(B, g, u, l1)[0] == u[0]
