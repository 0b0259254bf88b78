from pathlib import Path

import pytest

from lumbargrade.bundle import strip_run
from lumbargrade.calibration import Calibration
from lumbargrade.labels import VIEWS, View
from lumbargrade.models import (
    MEMBER_FILES,
    MemberEntry,
    bundled_models,
    bundled_sets,
    named_models,
    open_models,
    write_manifest,
)
from lumbargrade.settings import ConfigError
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS
from test_phantom_tools import tool


def make_folder(folder: Path) -> tuple[MemberEntry, ...]:
    members = [
        MemberEntry(path=f"members/{view}/fold0", stage="detector", view=view) for view in VIEWS
    ]
    members += [
        MemberEntry(path=f"members/grades/fold{fold}", stage="classifier", fold=fold)
        for fold in (1, 0)
    ]
    for member in members:
        place = folder / member.path
        place.mkdir(parents=True)
        (place / "config.yaml").write_text("a: 1\n")
        (place / "weights.safetensors").write_bytes(member.path.encode())
        (place / "metrics.jsonl").write_text("{}\n")
    (folder / "calibration.yaml").write_text("temperature: 1.0\n")
    write_manifest(folder, name="small", members=members, facts={"seed": 3})
    return tuple(members)


def test_members_are_found_by_the_manifest_and_ordered_by_fold(tmp_path: Path) -> None:
    make_folder(tmp_path)
    models = open_models(tmp_path)
    assert models.name == "small"
    assert [path.name for path in models.classifiers] == ["fold0", "fold1"]
    assert models.detectors[View.AXIAL_T2] == (tmp_path / "members/axial_t2/fold0",)
    assert models.calibration == tmp_path / "calibration.yaml"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("members/axial_t2/fold0/weights.safetensors", True),
        ("members/grades/fold1/config.yaml", True),
        ("calibration.yaml", True),
        ("members/grades/fold1/metrics.jsonl", False),
        ("out_of_fold.csv", False),
    ],
)
def test_the_hash_follows_what_can_change_an_answer(
    tmp_path: Path, name: str, changes: bool
) -> None:
    make_folder(tmp_path)
    before = open_models(tmp_path).hash
    with (tmp_path / name).open("a") as file:
        file.write(" ")
    assert (open_models(tmp_path).hash != before) is changes


def test_the_hash_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    make_folder(tmp_path / "a")
    make_folder(tmp_path / "b" / "c")
    assert open_models(tmp_path / "a").hash == open_models(tmp_path / "b" / "c").hash


def test_a_folder_without_manifest_or_member_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no manifest\.json"):
        open_models(tmp_path)
    members = make_folder(tmp_path)
    write_manifest(tmp_path, name="small", members=members[1:], facts={})
    with pytest.raises(ConfigError, match="no detector for sagittal_t2"):
        open_models(tmp_path)


def test_a_bundled_set_has_the_name_of_its_folder(tmp_path: Path) -> None:
    make_folder(tmp_path)
    assert bundled_sets(tmp_path) == {"default": tmp_path}
    make_folder(tmp_path / "fast")
    assert bundled_sets(tmp_path) == {"default": tmp_path, "fast": tmp_path / "fast"}
    assert open_models(tmp_path / "fast").path == tmp_path / "fast"


def test_a_set_may_share_members_and_show_them_smaller_slices(tmp_path: Path) -> None:
    members = make_folder(tmp_path)
    shared = [m.model_copy(update={"path": f"../{m.path}"}) for m in members]
    small = [m.model_copy(update={"image_size": 96}) if m.view else m for m in shared]
    hashes = set()
    (tmp_path / "fast").mkdir()
    for listed in (shared, small, [small[0], *shared[1:]]):
        write_manifest(tmp_path / "fast", name="fast", members=listed, facts={})
        models = open_models(tmp_path / "fast")
        hashes.add(models.hash)
        for view, paths in models.detectors.items():
            assert [path.resolve() for path in paths] == [tmp_path / f"members/{view}/fold0"]
    assert len(hashes) == 3
    assert models.image_sizes == {
        View.SAGITTAL_T2: (96,), View.SAGITTAL_T1: (None,), View.AXIAL_T2: (None,)
    }  # fmt: skip
    with pytest.raises(ConfigError, match="members of another folder"):
        strip_run(tmp_path / "fast", tmp_path / "bundle")
    (tmp_path / "members/axial_t2/fold0/weights.safetensors").write_bytes(b"others")
    assert open_models(tmp_path / "fast").hash not in hashes


def test_a_set_inside_the_default_one_does_not_change_its_hash(tmp_path: Path) -> None:
    make_folder(tmp_path)
    before = open_models(tmp_path).hash
    make_folder(tmp_path / "fast")
    assert open_models(tmp_path).hash == before


def test_models_are_named_by_set_or_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert named_models("default") == bundled_models() == open_models().path
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert named_models("default") == bundled_models()  # the name, not the folder beside
    assert named_models("./default").resolve() == tmp_path / "default"


@pytest.mark.parametrize("name", ["nosuch", "/no/such/folder"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*default"):
        named_models(name)
    with pytest.raises(ConfigError, match="default"):
        bundled_models(name)


def test_the_fast_set_keeps_one_classifier_and_no_weights(tmp_path: Path) -> None:
    members = list(make_folder(tmp_path))
    members[3] = members[3].model_copy(update={"fold": 0, "name": "second"})
    write_manifest(tmp_path, name="small", members=members, facts={"seed": 3, "out_of_fold": 1})
    (tmp_path / "own.yaml").write_text("temperature: 2.0\n")
    fast = tool("fast_set")
    with pytest.raises(ConfigError, match="one classifier 'third'"):
        fast.write_fast_set(tmp_path, "third", tmp_path / "own.yaml")
    fast.main(
        [str(tmp_path), "--classifier", "second", "--calibration", str(tmp_path / "own.yaml")]
    )
    models = open_models(tmp_path / "fast")
    assert [path.resolve() for path in models.classifiers] == [tmp_path / members[3].path]
    assert models.image_sizes == {view: (size,) for view, size in fast.IMAGE_SIZES.items()}
    assert models.calibration is not None
    assert models.calibration.read_text() == "temperature: 2.0\n"
    assert not list((tmp_path / "fast").rglob("*.safetensors"))


def test_a_members_files_are_those_that_training_leaves() -> None:
    assert (CONFIG, WEIGHTS) == MEMBER_FILES


@pytest.mark.parametrize("name", MEMBER_FILES)
def test_a_member_that_lacks_a_file_is_no_trained_member(tmp_path: Path, name: str) -> None:
    make_folder(tmp_path)
    (tmp_path / "members" / "grades" / "fold1" / name).unlink()
    with pytest.raises(ConfigError, match=rf"grades/fold1 is no trained member: .* no {name}"):
        open_models(tmp_path)


def test_a_calibration_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    path.write_bytes(b"canal: \xff\n")
    with pytest.raises(ConfigError, match=r"calibration.yaml: not a text file in UTF-8"):
        Calibration.from_yaml(path)
