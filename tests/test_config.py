from pathlib import Path

import pytest

from lumbargrade.config import FitSettings
from lumbargrade.crop_settings import CropSettings
from lumbargrade.recipe_settings import Recipe, SplitSettings
from lumbargrade.settings import ConfigError, parse_overrides


def test_settings_round_trip_through_yaml(tmp_path: Path) -> None:
    recipe = Recipe.from_dict(
        {
            "name": "small",
            "classifier": {"weighted_fit": {"epochs": 3}},
            "axial_t2": {"decoder_channels": [64, 32, 16]},
        }
    )
    recipe.to_yaml(tmp_path / "config.yaml")
    assert Recipe.from_yaml(tmp_path / "config.yaml") == recipe
    assert recipe.axial_t2.decoder_channels == (64, 32, 16)
    assert "weight_decay" in (tmp_path / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "x", "sed": 1}, r"sed: .*allowed: name, seed, data_licence"),
        ({"name": "x", "crops": {"size": 1}}, r"crops.size: .*allowed: slices, size_px, side_mm"),
        (
            {"name": "x", "classifier": {"fit": {"lr": 1}}},
            r"classifier.fit.lr: .*allowed: .*learning_rate",
        ),
        (
            {"name": "x", "classifier": {"weighted_fit": {"lr": 1}}},
            r"classifier.weighted_fit.lr: .*allowed: .*learning_rate",
        ),
    ],
)
def test_an_unknown_key_fails_and_names_the_allowed_ones(
    data: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.from_dict(data, source="recipe.yaml")


def test_values_are_strict_and_bounded() -> None:
    with pytest.raises(ConfigError, match="epochs: .*valid integer"):
        FitSettings.from_dict({"epochs": "20"})
    with pytest.raises(ConfigError, match="epochs: .*greater than or equal to 1"):
        FitSettings.from_dict({"epochs": 0})
    with pytest.raises(ConfigError, match="side_mm: .*greater than 0"):
        CropSettings.from_dict({"side_mm": -1.0})
    with pytest.raises(ConfigError, match="name: Field required"):
        Recipe.from_dict({})


def test_every_mistake_is_named_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nsed: 1\ncrops: {slices: 0}\n")
    with pytest.raises(ConfigError) as caught:
        Recipe.from_yaml(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}: ") for line in lines)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SplitSettings().detector = 0.5


def test_overrides_reach_nested_keys_and_leave_the_rest() -> None:
    overrides = parse_overrides(["classifier.fit.epochs=2", "seed = 7", "name=a b", "crops={}"])
    assert overrides == {"classifier.fit.epochs": 2, "seed": 7, "name": "a b", "crops": {}}
    data = {"name": "x", "classifier": {"fit": {"batch_size": 4}}}
    recipe = Recipe.from_dict(data, overrides)
    assert (recipe.classifier.fit.epochs, recipe.classifier.fit.batch_size) == (2, 4)
    assert (recipe.name, recipe.seed) == ("a b", 7)
    assert data == {"name": "x", "classifier": {"fit": {"batch_size": 4}}}


def test_an_override_changes_one_of_several_parts_that_a_file_writes_once(tmp_path: Path) -> None:
    """YAML's aliases and merges share what they repeat; a view that is not named keeps its own."""
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: x\n"
        "sagittal_t2: &detector {max_slices: 32, fit: {epochs: 40}}\n"
        "sagittal_t1: *detector\n"
        "axial_t2: {<<: *detector, max_slices: 64}\n"
    )
    recipe = Recipe.from_yaml(
        path, parse_overrides(["sagittal_t2.fit.epochs=1", "sagittal_t1.max_slices=38"])
    )
    views = (recipe.sagittal_t2, recipe.sagittal_t1, recipe.axial_t2)
    assert [view.fit.epochs for view in views] == [1, 40, 40]
    assert [view.max_slices for view in views] == [32, 38, 64]


def test_an_override_can_switch_on_an_optional_part() -> None:
    recipe = Recipe.from_dict({"name": "x"}, parse_overrides(["classifier.weighted_fit.epochs=5"]))
    assert recipe.classifier.weighted_fit == FitSettings(epochs=5)


@pytest.mark.parametrize("item", ["epochs", "=3", ""])
def test_an_override_without_key_or_value_is_refused(item: str) -> None:
    with pytest.raises(ConfigError, match="--set wants key=value"):
        parse_overrides([item])


def test_an_override_below_a_plain_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed"):
        Recipe.from_dict({"name": "x", "seed": 3}, {"seed.more": 1})


def test_an_override_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match="crops"):
        parse_overrides(["crops={a: ["])


@pytest.mark.parametrize("text", ["- a\n- b\n", "name: [\n", "just words\n"])
def test_a_file_that_holds_no_settings_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        Recipe.from_yaml(path)
