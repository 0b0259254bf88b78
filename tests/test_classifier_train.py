from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fake_crops import CROPS, NO_CHANGES, TINY, fake_studies
from lumbargrade.classifier.augment import apply_changes
from lumbargrade.classifier.dataset import CropBatch, grade_prior
from lumbargrade.classifier.infer import (
    Classifier,
    grade_crops,
    grade_studies,
    load_classifier,
    probabilities,
)
from lumbargrade.classifier.loss import cross_entropy, soft_targets
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.classifier.train import (
    FIRST_STEP,
    ClassifierTask,
    train_classifier,
    training_crop_settings,
)
from lumbargrade.config import AugmentSettings, ClassifierMember, ClassifierSettings, FitSettings
from lumbargrade.labels import MISSING_GRADE, TARGETS
from lumbargrade.metric import reweight_for_metric, undo_metric_weights
from lumbargrade.records import Crop, InvalidStudyError
from lumbargrade.training.checkpoint import WEIGHTS, read_metrics

TWO_STEPS = TINY.model_copy(
    update={
        "augment": AugmentSettings(),
        "weighted_fit": FitSettings(epochs=1, batch_size=2, learning_rate=1e-3),
    }
)


def train(out: Path, settings: ClassifierSettings = TINY, *, reverse: bool = False) -> None:
    training = fake_studies(4, training_crop_settings(CROPS, settings))
    validation = fake_studies(3, first=101)
    if reverse:
        training, validation = training[::-1], validation[::-1]
    train_classifier(settings, CROPS, training, validation, out, 0, device="cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("classifier")
    train(out, TWO_STEPS)
    return out


def test_model_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = GradeClassifier(TINY.model_copy(update={"dropout": 0.0})).train()
    studies = fake_studies(1, training_crop_settings(CROPS, TINY))
    member = ClassifierMember(crops=CROPS, classifier=TINY)
    task = ClassifierTask(studies, studies, member, TINY.fit, seed=0, weighted=False)
    (batch,) = task.batches(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(50):
        loss = task.loss(model, batch)
        assert isinstance(loss, torch.Tensor)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.9
    assert losses[-1] < 0.05


def test_saved_equals_reloaded(trained: Path) -> None:
    first, again = load_classifier(trained), load_classifier(trained)
    studies = fake_studies(2, first=201)
    answers = grade_studies(first, studies)
    np.testing.assert_array_equal(answers, grade_studies(again, studies))
    np.testing.assert_allclose(answers.sum(-1), 1.0, atol=1e-12)
    assert first.weighted
    assert first.crops == CROPS


def test_second_step_changes_nothing_but_the_heads(trained: Path) -> None:
    step_1 = torch.nn.Module.state_dict(load_weights_of(trained / FIRST_STEP))
    step_2 = torch.nn.Module.state_dict(load_weights_of(trained))
    assert any("running_mean" in name for name in step_1)
    for name, value in step_1.items():
        assert torch.equal(value, step_2[name]) == (not name.startswith("heads.")), name


def load_weights_of(folder: Path) -> GradeClassifier:
    from lumbargrade.training.checkpoint import load_weights

    model = GradeClassifier(TWO_STEPS)
    model.load_state_dict(load_weights(folder / WEIGHTS))
    return model


def test_order_of_studies_does_not_change_the_weights(tmp_path: Path, trained: Path) -> None:
    train(tmp_path, TWO_STEPS, reverse=True)
    for name in ("weights.safetensors", "metrics.jsonl", "config.yaml"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_a_network_trained_on_the_metric_answers_in_probabilities() -> None:
    class Constant(torch.nn.Module):
        def __init__(self, answer: list[float]) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(torch.tensor(answer).log())

        def forward(self, images: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
            return self.logits.expand(len(images), 25, 3)

    batch = CropBatch(
        pixels=torch.zeros(1, 25, 5, 32, 32, dtype=torch.uint8),
        slice_present=torch.ones(1, 25, 5, dtype=torch.bool),
        labels=torch.zeros(1, 25, dtype=torch.int64),
    )
    p = probabilities(Constant([0.25, 0.25, 0.5]), batch, weighted=True)[0, 0]
    np.testing.assert_allclose(p, undo_metric_weights(np.array([0.25, 0.25, 0.5])), rtol=1e-6)
    np.testing.assert_allclose(reweight_for_metric(p), [0.25, 0.25, 0.5], rtol=1e-6)
    plain = probabilities(Constant([0.25, 0.25, 0.5]), batch, weighted=False)[0, 0]
    np.testing.assert_allclose(plain, [0.25, 0.25, 0.5], rtol=1e-6)


def test_grading_one_study_of_crops_equals_grading_it_in_memory(trained: Path) -> None:
    classifier: Classifier = load_classifier(trained)
    (study,) = fake_studies(1, first=301)
    study.slice_present[7] = False
    crops = [
        Crop(
            target=target,
            pixels=(study.pixels[i] / 255).astype(np.float32),
            slice_present=study.slice_present[i],
            affine=np.eye(4),
        )
        if study.slice_present[i].any()
        else None
        for i, target in enumerate(TARGETS)
    ]
    answers = grade_crops(classifier, crops)
    np.testing.assert_array_equal(answers, grade_studies(classifier, [study])[0])


def test_training_without_changes_sees_what_inference_sees() -> None:
    studies = fake_studies(2, training_crop_settings(CROPS, TINY))
    member = ClassifierMember(crops=CROPS, classifier=TINY.model_copy(update={"dropout": 0.0}))
    task = ClassifierTask(studies, studies, member, TINY.fit, seed=0, weighted=False)
    (batch,) = task.batches(0)
    torch.manual_seed(0)
    model = GradeClassifier(member.classifier).eval()
    images, crops = apply_changes(batch.crops, batch.changes, CROPS)
    expected = cross_entropy(model(images, crops.slice_present), soft_targets(crops.labels))
    loss = task.loss(model, batch)
    assert isinstance(loss, torch.Tensor)
    torch.testing.assert_close(loss, expected)
    assert task.augment == NO_CHANGES


@pytest.mark.parametrize("weighted", [False, True])
def test_unlabelled_cells_have_no_gradient_through_mixing_and_augmentation(weighted: bool) -> None:
    """With cutmix of every pair, and smoothed labels: not in the answers, nor in the images."""
    settings = TINY.model_copy(
        update={"augment": AugmentSettings(view_dropout=0), "label_smoothing": 0.1, "dropout": 0.0}
    )
    studies = fake_studies(2, training_crop_settings(CROPS, settings))
    for study, level in zip(studies, (1, 3), strict=True):
        study.labels[level::5] = MISSING_GRADE
    member = ClassifierMember(crops=CROPS, classifier=settings)
    task = ClassifierTask(studies, studies, member, settings.fit, seed=0, weighted=weighted)
    (batch,) = task.batches(0)
    torch.manual_seed(0)
    model = GradeClassifier(settings).eval()
    kept: list[torch.Tensor] = []

    class Watched(torch.nn.Module):
        def forward(self, images: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = model(images.requires_grad_(True), present)
            logits.retain_grad()
            kept.extend([images, logits])
            return logits

    loss = task.loss(Watched(), batch)
    torch.autograd.backward(loss["loss"] if isinstance(loss, Mapping) else loss)
    images, logits = kept
    labelled = apply_changes(batch.crops, batch.changes, CROPS)[1].labels != MISSING_GRADE
    assert 0 < (~labelled).sum() < 20
    for gradient in (logits.grad, images.grad):
        assert gradient is not None
        reached = gradient.abs().flatten(2).amax(dim=2) > 0
        assert torch.equal(reached, labelled)


def test_prior_counts_labelled_cells_by_family_and_level() -> None:
    studies = fake_studies(3)
    for study in studies:
        study.labels[:] = MISSING_GRADE
        study.labels[[5, 10]] = 1  # foraminal L1/L2, left and right
    prior = grade_prior(studies, (1.0, 2.0, 4.0))
    torch.testing.assert_close(prior[1, 0], torch.tensor([1.0, 14.0, 4.0]) / 19)
    torch.testing.assert_close(prior[0, 0], torch.tensor([1.0, 2.0, 4.0]) / 7)


def heads_and_body(folder: Path) -> tuple[set[str], set[str]]:
    """Names of the tensors that step 2 changed: in the heads, and elsewhere."""
    before, after = (load_file(f / WEIGHTS) for f in (folder / FIRST_STEP, folder))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    heads = {name for name in changed if name.startswith("heads.")}
    return heads, changed - heads


def test_an_unfrozen_second_step_changes_everything(tmp_path: Path) -> None:
    settings = TWO_STEPS.model_copy(update={"weighted_fit_frozen": False})
    train(tmp_path, settings)
    heads, body = heads_and_body(tmp_path)
    assert heads
    parts = {name.removeprefix("crop_encoders.shared.").partition(".")[0] for name in body}
    assert parts == {"encoder", "over_slices", "pool", "missing", "sequence"}


def test_weighted_from_the_start_answers_in_probabilities(tmp_path: Path) -> None:
    """Trained on the metric, its softmax is q: loading must know."""
    settings = TINY.model_copy(update={"weighted_from_start": True})
    train(tmp_path, settings)
    assert load_classifier(tmp_path).weighted
    (metrics, *_) = read_metrics(tmp_path)
    assert {"train_weighted", "train_any_severe"} <= set(metrics)


@pytest.mark.parametrize(
    ("select_by", "selected"), [("score", 0.4), ("log_loss", 0.7), ("auc", 0.2)]
)
def test_the_epoch_is_chosen_by_what_the_settings_say(select_by: str, selected: float) -> None:
    settings = ClassifierSettings.from_dict({**TINY.model_dump(), "select_by": select_by})
    member = ClassifierMember(crops=CROPS, classifier=settings)
    metrics = {"score": 0.4, "log_loss": 0.7, "auc": 0.8}
    step_1 = ClassifierTask([], [], member, TINY.fit, seed=0, weighted=False)
    assert step_1.selected_by(metrics) == pytest.approx(selected)
    step_2 = ClassifierTask([], [], member, TINY.fit, seed=0, weighted=True)
    assert step_2.selected_by(metrics) == 0.4


def test_selection_by_auc_without_an_auc_says_what_is_missing() -> None:
    settings = TINY.model_copy(update={"select_by": "auc"})
    member = ClassifierMember(crops=CROPS, classifier=settings)
    task = ClassifierTask([], [], member, TINY.fit, seed=0, weighted=False)
    with pytest.raises(InvalidStudyError, match="select_by: auc needs"):
        task.selected_by({"score": 0.4})
