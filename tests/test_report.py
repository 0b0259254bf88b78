import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_records import make_prediction
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import TARGETS, Condition, Flag, View
from lumbargrade.prediction import Prediction
from lumbargrade.report.figures import close_ups, cut_square, view_figures
from lumbargrade.report.html import json_island, render_report
from lumbargrade.report.overlay import (
    BOX_COLOUR,
    POINT_COLOUR,
    crop_corners,
    draw_slice,
    edge_letters,
    with_box,
    with_point,
)
from lumbargrade.report.words import DISPLAY_CONDITIONS, FLAG_SHORT, FLAG_WORDS


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


def island(text: str, name: str) -> Any:
    found = re.search(f'<script type="application/json" id="{name}">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


def test_a_report_asks_for_nothing_from_outside(text: str) -> None:
    page = Page(text)
    without_images = re.sub(r"[A-Za-z0-9+/=]{100,}", "", text)
    addresses = set(re.findall(r"https?://[^\"'`]*", without_images))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a namespace, never fetched
    assert all(value.startswith("data:image/jpeg;base64,") for value in page.values("src"))
    assert all(value.startswith("#") for value in page.values("href"))
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}


def test_only_the_pages_own_script_and_style_may_run(text: str) -> None:
    policy = next(value for value in Page(text).values("content") if "default-src" in value)
    assert "default-src 'none'; img-src data:" in policy
    assert "unsafe" not in policy
    for name, element in (("script-src", "script"), ("style-src", "style")):
        (body,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert not list(Page(text).values("style"))


def test_texts_from_the_files_are_escaped(text: str) -> None:
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "T2 &lt;b&gt;sag&lt;/b&gt; &amp; more" in text
    assert "an &lt;i&gt;odd&lt;/i&gt; one" in text
    names = {entry["name"] for view in island(text, "scene")["views"] for entry in view["series"]}
    assert names == {"T2 <b>sag</b> & more"}


def test_no_text_can_end_a_data_island() -> None:
    hostile = "</script><img src=x onerror=alert(1)><!-- <script> \u2028 &lt;"
    written = str(json_island({"name": hostile}))
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == {"name": hostile}


def test_every_flag_has_words() -> None:
    assert set(FLAG_WORDS) == set(FLAG_SHORT) == set(Flag)


def test_a_flag_of_all_rows_is_said_once(prediction: Prediction) -> None:
    words = FLAG_WORDS[Flag.UNUSUAL_ANATOMY]
    assert words not in render_report(prediction)
    flags = [(*of_row, Flag.UNUSUAL_ANATOMY) for of_row in prediction.grades.flags]
    curved = replace(prediction, grades=replace(prediction.grades, flags=tuple(flags)))
    text = render_report(curved)
    assert text.count(words) == 1
    assert FLAG_SHORT[Flag.UNUSUAL_ANATOMY] not in text
    flags[0] = flags[0][:-1]
    all_but_one = replace(prediction, grades=replace(prediction.grades, flags=tuple(flags)))
    assert render_report(all_but_one).count(FLAG_SHORT[Flag.UNUSUAL_ANATOMY]) >= len(TARGETS) - 1


def test_every_cell_links_to_its_card(text: str) -> None:
    page = Page(text)
    ids = set(page.values("id"))
    cells = [attributes for tag, attributes in page.tags if attributes.get("class") == "cell"]
    assert sorted(str(cell["href"]) for cell in cells) == sorted(f"#{t.column}" for t in TARGETS)
    for cell in cells:
        assert TARGETS[int(str(cell["data-target"]))].column == str(cell["href"])[1:]
    assert {value[1:] for value in page.values("href")} <= ids


def test_nothing_of_the_patient_or_the_machine_gets_in(text: str, prediction: Prediction) -> None:
    assert prediction.grades.study_id in text
    for stored in (item for series in prediction.study.series for item in series.slices):
        assert str(stored.path) not in text


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


def test_figures_stand_on_the_slice_of_their_point(prediction: Prediction) -> None:
    for target, figure in zip(TARGETS, close_ups(prediction), strict=True):
        point = prediction.grades.points[target.index]
        assert (figure is None) == (point is None)
        if figure is not None and point is not None:
            assert f"instance {point.instance_number} " in figure.caption
            assert figure.series_id == point.series_id
    canal = view_figures(prediction, View.SAGITTAL_T2)
    assert [figure.caption.split(" · ")[0] for figure in canal] == ["slice 6 of 10"]


@pytest.mark.parametrize("place", [(50.0, 40.0), (1.2, 2.7), (99.0, 79.0)])
def test_a_square_around_a_place_keeps_millimetres_and_is_black_outside(
    place: tuple[float, float],
) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (100, 80), dtype=np.uint8)
    affine = slice_affine((3, -5, 8), (1, 0, 0, 0, 1, 0), (0.5, 1.0), 4.0)
    square, part = cut_square(pixels, affine, *place, side_mm=20.0)
    assert square.shape == (40, 20)
    shown = 0
    for row, column in np.ndindex(square.shape):
        at = np.linalg.solve(affine, part @ [0.0, row, column, 1.0])[1:3].round(6)
        inside = 0 <= at[0] < 100 and 0 <= at[1] < 80
        assert square[row, column] == (pixels[int(at[0]), int(at[1])] if inside else 0)
        shown += inside
    centre = np.linalg.solve(affine, part @ [0.0, 19.5, 9.5, 1.0])[1:3]
    assert np.abs(centre - place).max() <= 1.0
    assert shown >= 100


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


def test_images_decode_at_their_stated_size(text: str) -> None:
    images = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert len(images) == 23 + 7  # 23 points on 7 slices
    for attributes in images[:6]:
        data = base64.b64decode(str(attributes["src"]).partition(",")[2])
        picture = Image.open(io.BytesIO(data))
        assert (str(picture.width), str(picture.height)) == (
            attributes["width"],
            attributes["height"],
        )
