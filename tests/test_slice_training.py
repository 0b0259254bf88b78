import json
from pathlib import Path

import pytest

from fake_prepared import write_prepared
from fake_spine import study
from lumbargrade.config import DetectorSettings, ExtraSlicesSettings, FitSettings
from lumbargrade.detector.pretrain import train_on_slices
from lumbargrade.detector.slices import ViewArrays
from lumbargrade.detector.train import train_detector
from lumbargrade.extra_slices import read_extra_slices
from lumbargrade.labels import View
from lumbargrade.training.checkpoint import CHECKPOINT, METRICS, WEIGHTS
from lumbargrade.training.loop import fit
from lumbargrade.training.stopping import Stopped
from test_extra_slices import write_slices
from test_phantom_tools import tool
from test_recipe import TINY

FIT = FitSettings(epochs=2, batch_size=2, learning_rate=1e-3)
PRETRAINED = TINY.sagittal_t2.model_copy(
    update={"extra_slices": ExtraSlicesSettings(per_batch=1, pretrain=FIT), "fit": FIT}
)


def trained(settings: DetectorSettings, extra: tuple[ViewArrays, ...], out: Path) -> bytes:
    studies = [study("1"), study("2", (0.0, 0.0, 5.0))]
    train_detector(
        View.SAGITTAL_T2, settings, studies, studies[:1], out, 0,
        extra=extra, device="cpu",
    )  # fmt: skip
    return (out / WEIGHTS).read_bytes()


def three_slices(folder: Path) -> tuple[ViewArrays, ...]:
    return read_extra_slices(write_slices(folder / "slices", 3), ExtraSlicesSettings()).arrays(64)


def test_pretraining_leads_elsewhere_and_leaves_nothing_behind(tmp_path: Path) -> None:
    extra = read_extra_slices(write_slices(tmp_path / "slices", 3), ExtraSlicesSettings()).arrays(
        64
    )
    with_it = trained(PRETRAINED, extra, tmp_path / "with")
    plain = PRETRAINED.model_copy(update={"extra_slices": ExtraSlicesSettings(per_batch=1)})
    assert with_it != trained(plain, extra, tmp_path / "without")
    assert not (tmp_path / "with" / CHECKPOINT).exists()
    assert trained(PRETRAINED, (), tmp_path / "a") == trained(plain, (), tmp_path / "b")


@pytest.mark.parametrize("fits", [1, 2])
def test_a_training_cut_off_in_or_after_pretraining_ends_in_the_same_bytes(
    fits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = read_extra_slices(write_slices(tmp_path / "slices", 3), ExtraSlicesSettings()).arrays(
        64
    )
    whole = trained(PRETRAINED, extra, tmp_path / "whole")
    epochs = 0

    def cut_off(*_: object) -> None:
        nonlocal epochs
        epochs += 1
        raise Stopped(15)

    name, original = (("train_on_slices", train_on_slices), ("fit", fit))[fits - 1]
    monkeypatch.setattr(
        f"lumbargrade.detector.train.{name}",
        lambda *given, **named: original(*given, **{**named, "on_epoch": cut_off}),
    )
    with pytest.raises(Stopped):
        trained(PRETRAINED, extra, tmp_path / "cut")
    assert epochs == 1
    monkeypatch.undo()
    assert trained(PRETRAINED, extra, tmp_path / "cut") == whole


@pytest.mark.parametrize("with_studies", [False, True])
def test_folds_are_judged_on_slices_they_never_saw(
    with_studies: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slices = write_slices(tmp_path / "slices", 5)
    recipe = TINY.model_copy(
        update={
            "sagittal_t2": TINY.sagittal_t2.model_copy(
                update={"extra_slices": ExtraSlicesSettings(folds=2, per_batch=1), "fit": FIT}
            )
        }
    )
    recipe.to_yaml(tmp_path / "recipe.yaml")
    arguments = [str(tmp_path / "recipe.yaml"), str(slices), "--out", str(tmp_path / "out")]
    if with_studies:
        arguments += ["--data", str(write_prepared(tmp_path / "prepared", 10))]
    tool("slice_folds").main([*arguments, "--device", "cpu"])
    document = json.loads(capsys.readouterr().out)
    assert list(document["folds"]) == ["0", "1"]
    for decoding in ("independent", "joint"):
        per_fold = [document["folds"][fold][decoding] for fold in ("0", "1")]
        assert [figures["images"] for figures in per_fold] == [3, 2]
        assert document["all"][decoding]["points"] == 24
        assert 0 <= document["all"][decoding]["shifted_spines"] <= 5
    for fold in (0, 1):
        member = tmp_path / "out" / f"fold{fold}"
        assert (member / WEIGHTS).is_file()
        epochs = (member / METRICS).read_text().splitlines()
        assert len(epochs) == FIT.epochs
        assert f"held_out_fold: {fold}" in (member / "config.yaml").read_text()
