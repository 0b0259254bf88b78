import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fake_records import make_prediction
from lumbargrade.config import CropSettings
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import TARGETS, Condition, View
from lumbargrade.prediction import Prediction
from lumbargrade.report.figures import target_figures, view_figures
from lumbargrade.report.html import DISPLAY_CONDITIONS, render_report
from lumbargrade.report.overlay import (
    BACKGROUND,
    BOX_COLOUR,
    POINT_COLOUR,
    crop_corners,
    draw_crop,
    draw_slice,
    edge_letters,
    with_box,
    with_point,
)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, attribute: str) -> Iterator[str]:
        for _, attributes in self.tags:
            value = attributes.get(attribute)
            if value is not None:
                yield value


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return make_prediction()


@pytest.fixture(scope="module")
def text(prediction: Prediction) -> str:
    return render_report(prediction)


def test_a_report_asks_for_nothing_from_outside(text: str) -> None:
    page = Page(text)
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]*", "", text))
    assert all(value.startswith("data:image/jpeg;base64,") for value in page.values("src"))
    assert len(list(page.values("src"))) > 50
    assert all(value.startswith("#") for value in page.values("href"))
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "default-src 'none'" in next(page.values("content"))


def test_texts_from_the_files_are_escaped(text: str) -> None:
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "T2 &lt;b&gt;sag&lt;/b&gt; &amp; more" in text
    assert "an &lt;i&gt;odd&lt;/i&gt; one" in text


def test_every_cell_links_to_its_figure(text: str) -> None:
    page = Page(text)
    ids = set(page.values("id"))
    anchors = list(page.values("data-anchor"))
    assert sorted(anchors) == sorted(target.column for target in TARGETS)
    assert {f"#{anchor}" for anchor in anchors} <= set(page.values("href"))
    assert {value[1:] for value in page.values("href")} <= ids


def test_the_patients_right_stands_on_the_left(text: str) -> None:
    assert DISPLAY_CONDITIONS[0] is Condition.RIGHT_NEURAL_FORAMINAL_NARROWING
    sides = [str(condition.side) for condition in DISPLAY_CONDITIONS]
    assert sides == ["right", "right", "None", "left", "left"]
    header = text[text.index("<thead>") : text.index("</thead>")]
    assert header.index("Right foramen") < header.index("Canal") < header.index("Left foramen")


def test_a_report_says_that_it_is_for_research(text: str) -> None:
    words = re.sub(r"<[^>]+>", "", text)
    assert "Research use only. Not a medical device." in words


def test_a_report_shows_models_series_and_refusals(text: str, prediction: Prediction) -> None:
    assert prediction.grades.models_hash in text
    assert "its field of view is 60 mm, below 80 mm" in text
    for series in prediction.study.series:
        assert series.reason in text


def test_equal_predictions_give_equal_reports(text: str) -> None:
    assert render_report(make_prediction()) == text


def test_a_missing_view_has_words_instead_of_images() -> None:
    text = render_report(make_prediction(views=(View.SAGITTAL_T2,)))
    assert "View missing" in text
    assert text.count("No image of this place") == 20


def test_a_report_of_clinical_matrices_stays_below_5_mb() -> None:
    big = make_prediction(pixels=384, crops=CropSettings())
    rng = np.random.default_rng(0)
    noisy = {
        view: replace(
            volume,
            slices=tuple(
                rng.integers(0, 256, item.shape, dtype=np.uint8) for item in volume.slices
            ),
        )
        for view, volume in big.volumes.items()
    }
    assert len(render_report(big)) < 3e6
    assert len(render_report(replace(big, volumes=noisy))) < 5e6  # nothing compresses worse


def test_figures_stand_on_the_slice_of_their_point(prediction: Prediction) -> None:
    for target, figures in zip(TARGETS, target_figures(prediction), strict=True):
        point = prediction.grades.points[target.index]
        assert (figures is None) == (point is None)
        if figures is not None and point is not None:
            assert f"instance {point.instance_number} " in figures.on_slice.caption
            assert figures.crop is not None
    canal = view_figures(prediction, View.SAGITTAL_T2)
    assert [figure.caption.split(" · ")[0] for figure in canal] == ["slice 6 of 10"]


def test_a_ring_is_drawn_around_its_point_within_half_a_pixel() -> None:
    affine = slice_affine((0, 0, 0), (1, 0, 0, 0, 1, 0), (0.5, 0.5), 4.0)
    canvas = with_point(draw_slice(np.zeros((100, 80), np.uint8), affine, size=400), 60.0, 30.0)
    assert canvas.picture.size == (320, 400)
    ring = np.all(np.asarray(canvas.picture) == POINT_COLOUR, axis=-1)
    rows, columns = np.nonzero(ring)
    centre = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    assert centre == pytest.approx(((60.5 * 4) - 0.5, (30.5 * 4) - 0.5), abs=0.5)


def test_pictures_keep_the_proportions_of_millimetres() -> None:
    affine = slice_affine((0, 0, 0), (1, 0, 0, 0, 1, 0), (1.0, 0.5), 4.0)
    canvas = draw_slice(np.zeros((100, 100), np.uint8), affine, size=400)
    assert canvas.picture.size == (200, 400)


def test_drawing_leaves_its_input_as_it_was() -> None:
    affine = slice_affine((0, 0, 0), (1, 0, 0, 0, 1, 0), (1, 1), 4.0)
    canvas = draw_slice(np.zeros((50, 50), np.uint8), affine, size=100)
    before = np.asarray(canvas.picture).copy()
    with_point(canvas, 20, 20, label="L4/L5")
    with_box(canvas, np.array([[5.0, 5], [5, 9], [9, 9], [9, 5]]))
    np.testing.assert_array_equal(np.asarray(canvas.picture), before)


def test_letters_follow_the_patient() -> None:
    axial = slice_affine((0, 0, 0), (1, 0, 0, 0, 1, 0), (1, 1), 4.0)
    sagittal = slice_affine((0, 0, 0), (0, 1, 0, 0, 0, -1), (1, 1), 4.0)
    assert edge_letters(axial) == ("R", "L", "A", "P")
    assert edge_letters(sagittal) == ("A", "P", "H", "F")


def test_the_box_is_48_mm_wide_on_the_slice(prediction: Prediction) -> None:
    crop = prediction.crops[2]
    assert crop is not None
    volume = prediction.volumes[View.SAGITTAL_T2]
    corners = crop_corners(crop, volume.affines[5])
    assert corners.shape == (4, 2)
    np.testing.assert_allclose(np.ptp(corners, axis=0) * 6.0, 48.0, atol=1e-9)
    canvas = with_box(draw_slice(volume.slices[5], volume.affines[5], size=400), corners)
    box = np.all(np.asarray(canvas.picture) == BOX_COLOUR, axis=-1)
    assert np.ptp(np.nonzero(box)[1]) == pytest.approx(80, abs=2)  # 48 of 240 mm over 400 px


def test_absent_slices_of_a_crop_are_named_not_black(prediction: Prediction) -> None:
    crop = prediction.crops[5]
    assert crop is not None
    absent = replace(crop, slice_present=np.array([True, True, True, True, False]))
    picture = np.asarray(draw_crop(absent, tile=40))
    assert picture.shape == (216 + 4 + 40, 216, 3)  # 5 tiles of 40 px and 4 gaps of 4 px
    assert (picture[225, -35] == BACKGROUND).all()
    assert (picture[225, -35 - 44] != BACKGROUND).any()
    assert (picture[220, 2 * 44] == BOX_COLOUR).all()


def test_images_decode_at_their_stated_size(text: str) -> None:
    images = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert len(images) > 50
    for attributes in images[:6]:
        data = base64.b64decode(str(attributes["src"]).partition(",")[2])
        picture = Image.open(io.BytesIO(data))
        assert (str(picture.width), str(picture.height)) == (
            attributes["width"],
            attributes["height"],
        )
