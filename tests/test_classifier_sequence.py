"""What a cell can learn from which other, for every sequence model."""

import pytest
import torch

from fake_crops import TINY
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.classifier.sequence import SequenceModel
from lumbargrade.config import SequenceSettings
from lumbargrade.settings import ConfigError

CELLS = torch.arange(25)
CONDITION, LEVEL = CELLS // 5, CELLS % 5
SAME_LEVEL = LEVEL[:, None] == LEVEL
SAME_CONDITION = CONDITION[:, None] == CONDITION

REACH = {
    "none": torch.eye(25, dtype=torch.bool),
    "level": SAME_LEVEL,
    "condition": SAME_CONDITION,
    "level+condition": SAME_LEVEL | SAME_CONDITION,
    "all": torch.ones(25, 25, dtype=torch.bool),
}
"""(answer, input): which input cells an answer may depend on."""

KINDS = ["lstm", "transformer"]


def settings(over: str, kind: str, *, skip: bool = True) -> SequenceSettings:
    return SequenceSettings.from_dict({"over": over, "kind": kind, "skip": skip})


def reach_of(model: SequenceModel) -> torch.Tensor:
    """(answer, input) bool, from the Jacobian."""
    vectors = torch.randn(1, 5, 5, 16, generator=torch.Generator().manual_seed(0))
    vectors.requires_grad_(True)
    answers = model(vectors).square().sum(dim=-1).flatten()
    gradients = [torch.autograd.grad(answer, vectors, retain_graph=True)[0] for answer in answers]
    return torch.stack(gradients).abs().amax(dim=-1).reshape(25, 25) > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("over", REACH)
def test_the_jacobian_is_block_diagonal_by_group(over: str, kind: str) -> None:
    torch.manual_seed(0)
    model = SequenceModel(16, settings(over, kind)).eval()
    assert torch.equal(reach_of(model), REACH[over])


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_the_whole_network_depends_on_its_own_level_alone(kind: str) -> None:
    torch.manual_seed(0)
    by_level = TINY.model_copy(update={"sequence": settings("level", kind)})
    model = GradeClassifier(by_level).eval()
    images = torch.rand(1, 25, 5, 32, 32, generator=torch.Generator().manual_seed(0))
    images.requires_grad_(True)
    logits = model(images, torch.ones(1, 25, 5, dtype=torch.bool))
    for cell in (3, 12, 24):
        (gradient,) = torch.autograd.grad(logits[0, cell].sum(), images, retain_graph=True)
        reached = gradient[0].abs().amax(dim=(1, 2, 3)) > 0
        assert torch.equal(reached, SAME_LEVEL[cell])


@pytest.mark.parametrize("over", ["level", "condition", "all"])
def test_cells_come_out_where_they_went_in(over: str) -> None:
    """A mixer that passes everything on makes the model the identity."""
    model = SequenceModel(16, settings(over, "lstm", skip=False))
    for name in list(model.mixers):
        model.mixers[name] = torch.nn.Identity()
    vectors = torch.randn(3, 5, 5, 16)
    assert torch.equal(model(vectors), vectors)


def test_skip_adds_each_cells_own_vector() -> None:
    torch.manual_seed(0)
    with_skip = SequenceModel(16, settings("level+condition", "lstm"))
    without = SequenceModel(16, settings("level+condition", "lstm", skip=False))
    without.load_state_dict(with_skip.state_dict())
    vectors = torch.randn(2, 5, 5, 16)
    torch.testing.assert_close(with_skip(vectors) - without(vectors), vectors)


def test_a_transformer_tells_places_apart() -> None:
    """Two equal cells at two places of a group get different answers."""
    torch.manual_seed(0)
    model = SequenceModel(16, settings("level", "transformer")).eval()
    mixed = model(torch.ones(1, 5, 5, 16))
    assert (mixed[0, 0, 2] - mixed[0, 1, 2]).abs().max() > 1e-3
    torch.testing.assert_close(mixed[0, 0, 0], mixed[0, 0, 4])


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="width is a multiple of that, found 18"):
        SequenceModel(18, settings("level", "transformer"))
