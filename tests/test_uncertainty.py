import numpy as np
import pytest

from lumbargrade.labels import MISSING_GRADE
from lumbargrade.uncertainty import disagreement, risk_coverage, threshold_for


def test_members_that_agree_do_not_disagree_and_opposed_ones_differ_by_log_2() -> None:
    a, b = np.array([[0.2, 0.3, 0.5]]), np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(disagreement([a, a, a]), 0.0, atol=1e-12)
    opposed = disagreement([b, b[:, ::-1]])
    np.testing.assert_allclose(opposed, np.log(2.0), atol=1e-6)
    assert disagreement([b, b[:, ::-1]], [1.0, 0.0])[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("share", "kept"), [(0.9, 90), (0.5, 50), (1.0, 100), (0.001, 1)])
def test_the_threshold_leaves_the_stated_share(share: float, kept: int) -> None:
    values = np.random.default_rng(0).random((4, 25))
    assert (values <= threshold_for(values, share)).sum() == kept


def test_risk_falls_with_coverage_where_uncertainty_tells_errors() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet((0.5, 0.5, 0.5), size=4000)
    labels = (rng.random((4000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    labels[:7] = MISSING_GRADE
    curve = risk_coverage(labels, p, 1 - p.max(axis=1), points=10)
    np.testing.assert_allclose(curve.coverage, np.linspace(0.1, 1.0, 10), atol=1e-3)
    assert (np.diff(curve.error) > 0).all()
    labelled = labels != MISSING_GRADE
    wrong = p[labelled].argmax(axis=1) != labels[labelled]
    assert curve.error[-1] == pytest.approx(wrong.mean())
