import pytest
import torch

from fake_crops import TINY
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.config import ClassifierSettings, SequenceSettings
from lumbargrade.labels import MIRROR_TARGET, TARGETS, View


@pytest.fixture(
    params=[
        {},
        {"slices_as": "channels"},
        {"slices_as": "channels", "encoders": "by_view"},
        {"encoders": "by_view"},
    ],
    ids=["slice by slice", "channels", "channels by view", "slice by slice, by view"],
)
def model(request: pytest.FixtureRequest) -> GradeClassifier:
    torch.manual_seed(0)
    return GradeClassifier(TINY.model_copy(update=request.param)).eval()


def random_crops(studies: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(studies, 25, 5, 32, 32, generator=generator)
    return images, torch.ones(studies, 25, 5, dtype=torch.bool)


def test_logits_have_one_row_per_target(model: GradeClassifier) -> None:
    assert model(*random_crops()).shape == (2, 25, 3)


def test_studies_do_not_mix(model: GradeClassifier) -> None:
    images, present = random_crops(3)
    alone = model(images[1:2], present[1:2])
    torch.testing.assert_close(model(images, present)[1:2], alone)


@pytest.mark.parametrize("training", [False, True])
def test_an_absent_slice_has_no_influence(model: GradeClassifier, training: bool) -> None:
    model.train(training)
    model.heads.eval()
    images, present = random_crops()
    present[0, 3, :2] = False
    other = images.clone()
    other[0, 3, :2] = 0.9
    torch.testing.assert_close(model(images, present), model(other, present))


def test_a_missing_crop_is_answered_by_the_others_of_its_level(model: GradeClassifier) -> None:
    images, present = random_crops(1)
    present[0, 3] = False  # canal L4/L5
    images.requires_grad_(True)
    logits = model(images, present)
    assert torch.isfinite(logits).all()
    (gradient,) = torch.autograd.grad(logits[0, 3, 2], images)
    reached = torch.nonzero(gradient[0].abs().amax(dim=(1, 2, 3)))[:, 0].tolist()
    assert reached == [8, 13, 18, 23]


def test_a_missing_crop_is_a_learned_vector_and_no_black_image(model: GradeClassifier) -> None:
    """Its pixels are not looked at, black or not; its condition's vector is."""
    images, present = random_crops(1)
    absent = present.clone()
    absent[0, 8] = False  # left foramen L4/L5
    torch.nn.init.normal_(model.missing)
    answer = model(images, absent)
    black = images.clone()
    black[0, 8] = 0.0
    assert torch.equal(model(black, absent), answer)
    assert (model(black, present) - answer)[0, 8].abs().max() > 1e-4
    (gradient,) = torch.autograd.grad(answer[0, 8].sum(), model.missing)
    reached = gradient.abs().amax(dim=1) > 0
    assert reached.tolist() == [False, True, False, False, False]
    (gradient,) = torch.autograd.grad(model(images, present).sum(), model.missing)
    assert gradient.abs().max() == 0


def test_all_crops_missing_still_gives_finite_logits(model: GradeClassifier) -> None:
    images, present = random_crops(1)
    assert torch.isfinite(model(images, torch.zeros_like(present))).all()


def test_a_mirrored_right_crop_looks_like_a_left_one(model: GradeClassifier) -> None:
    """Each right cell is shown the mirror image of the left one: all vectors of a pair agree."""
    images, present = random_crops(1)
    for left, right in enumerate(MIRROR_TARGET):
        if left < right:
            axis = -1 if TARGETS[left].condition.view is View.AXIAL_T2 else -3
            images[:, right] = images[:, left].flip(axis)
    turned, turned_present = model._turn_to_left(images, present)
    vectors = model._crop_vectors(turned, turned_present).flatten(1, 2)
    torch.testing.assert_close(vectors[:, 5:], vectors[:, MIRROR_TARGET][:, 5:])


def test_untrained_heads_answer_with_the_prior_they_start_from(model: GradeClassifier) -> None:
    prior = torch.rand(3, 5, 3) + 0.1
    prior /= prior.sum(dim=-1, keepdim=True)
    model.heads.start_from(prior)
    for linear in model.heads.linear.values():
        linear.weight.data.zero_()  # type: ignore[operator]
    answers = model(*random_crops(1)).softmax(dim=-1)[0]
    torch.testing.assert_close(answers[3], prior[0, 3])
    torch.testing.assert_close(answers[10], prior[1, 0])
    torch.testing.assert_close(answers[24], prior[2, 4])


def test_renewed_heads_train_alone_and_batch_norm_stays_bitwise_equal(
    model: GradeClassifier,
) -> None:
    model.train()
    model.renew_heads()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)
    for _ in range(3):
        model.train()
        model(*random_crops()).square().sum().backward()
        optimizer.step()
    assert model.heads.training
    assert not any(encoder.training for encoder in model.encoders)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("heads.")), name


def test_bundled_size_is_small_enough() -> None:
    """3.4 million parameters: below 7 MB in half precision."""
    parameters = sum(value.numel() for value in GradeClassifier(ClassifierSettings()).parameters())
    assert 2 * parameters < 7e6


def test_resized_crops_reach_the_encoder_in_the_asked_size() -> None:
    torch.manual_seed(0)
    model = GradeClassifier(TINY.model_copy(update={"input_px": 64})).eval()
    seen: list[torch.Size] = []
    model.encoders[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    images, present = random_crops(1)
    logits = model(images, present)
    assert seen == [torch.Size([125, 1, 64, 64])]
    larger = torch.nn.functional.interpolate(images[0], (64, 64), mode="bilinear")[None]
    torch.testing.assert_close(logits, model(larger, present), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("input_px", [None, 48])
def test_a_mask_is_a_second_channel_that_is_looked_at(input_px: int | None) -> None:
    torch.manual_seed(0)
    settings = TINY.model_copy(update={"input_px": input_px})
    model = GradeClassifier(settings, channels=2).eval()
    seen: list[torch.Size] = []
    model.encoders[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    images, present = random_crops(1)
    masks = torch.rand(images.shape, generator=torch.Generator().manual_seed(1))
    both = torch.stack([images, masks], dim=2)
    logits = model(both, present)
    size = input_px or 32
    assert seen == [torch.Size([125, 2, size, size])]
    other = both.clone()
    other[0, 8, 1] = 0.0  # the mask of the left foramen L4/L5
    moved = (model(other, present) - logits)[0].abs().amax(dim=1)
    assert (moved[[3, 8, 13, 18, 23]] > 0).all()
    assert moved[[0, 7, 24]].max() == 0


@pytest.mark.parametrize(("slices_as", "runs"), [("sequence", 5), ("channels", 1)])
def test_the_encoder_runs_once_per_slice_or_once_per_crop(slices_as: str, runs: int) -> None:
    model = GradeClassifier(TINY.model_copy(update={"slices_as": slices_as})).eval()
    seen: list[tuple[int, ...]] = []
    model.encoders[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    model(*random_crops(1))
    assert seen == [(25 * runs, 5 // runs, 32, 32)]


def test_slices_as_channels_take_masks_and_other_numbers_of_slices() -> None:
    settings = TINY.model_copy(update={"slices_as": "channels", "input_px": 48})
    model = GradeClassifier(settings, channels=2, slices=3).eval()
    images = torch.rand(1, 25, 2, 3, 32, 32)
    present = torch.ones(1, 25, 3, dtype=torch.bool)
    present[0, :, 0] = False
    answers = model(images, present)
    other = images.clone()
    other[:, :, :, 0] = 0.3
    assert answers.shape == (1, 25, 3)
    torch.testing.assert_close(model(other, present), answers)
    other[:, :, 1, 1] = 0.3
    assert not torch.allclose(model(other, present), answers)


def by_view() -> GradeClassifier:
    torch.manual_seed(0)
    settings = TINY.model_copy(
        update={"encoders": "by_view", "sequence": SequenceSettings(over="none")}
    )
    return GradeClassifier(settings)


@pytest.mark.parametrize(("cell", "own"), [(3, 0), (8, 1), (13, 1), (18, 2), (24, 2)])
def test_by_view_a_cell_reaches_the_encoder_of_its_view_alone(cell: int, own: int) -> None:
    model = by_view().eval()
    model(*random_crops(1))[0, cell].sum().backward()
    reached = [
        any(value.grad is not None and bool(value.grad.any()) for value in encoder.parameters())
        for encoder in model.encoders
    ]
    assert reached == [index == own for index in range(3)]


def test_by_view_a_hidden_view_leaves_its_batch_statistics_alone() -> None:
    model = by_view().train()
    images, present = random_crops()
    present[:, 5:15] = False
    before = [{name: value.clone() for name, value in e.named_buffers()} for e in model.encoders]
    model(images, present).sum().backward()
    unchanged = [
        all(torch.equal(value, old[name]) for name, value in encoder.named_buffers())
        for encoder, old in zip(model.encoders, before, strict=True)
    ]
    assert unchanged == [False, True, False]


def test_weights_saved_when_there_was_one_encoder_without_a_name_still_load() -> None:
    model = GradeClassifier(TINY)
    older = {
        name.removeprefix("crop_encoders.shared."): value + 1
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(older)
    state = model.state_dict()
    name = next(name for name in older if name.startswith("encoder."))
    assert torch.equal(state[f"crop_encoders.shared.{name}"], older[name])
