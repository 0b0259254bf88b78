"""The report's page in a real browser: what a reader clicks, drags and sees."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64

from browser import Page, needs_chromium, open_browser
from fake_records import FakePredictor, make_prediction, make_study
from lumbargrade.labels import TARGETS, View
from lumbargrade.outputs import grades_document
from lumbargrade.records import Series
from lumbargrade.report.html import render_report
from lumbargrade.report.pixels import value_range

pytestmark = needs_chromium

HOSTILE = '</script><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
CANAL_L4 = "spinal_canal_stenosis_l4_l5"
WIDTH, HEIGHT = 1400, 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    path: Path
    document: dict[str, Any]

    def row(self, column: str) -> dict[str, Any]:
        number = next(t.index for t in TARGETS if t.column == column)
        row: dict[str, Any] = self.document["grades"][number]
        return row


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    prediction = make_prediction(pixels=120)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(prediction))
    return Report(path=path, document=grades_document(prediction))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, report: Report) -> Iterator[Page]:
    browser.problems.clear()
    browser.size(WIDTH, HEIGHT)
    show(browser, report.path)
    yield browser
    assert browser.problems == []


def show(page: Page, path: Path, fragment: str = "") -> None:
    page.open(path, fragment)
    settle(page)


def settle(page: Page) -> None:
    """Wait until the large view's canvas holds the slice that its slider names."""
    page.wait(
        "(() => { const p = document.querySelector('.pane.active');"
        "const s = p.querySelector('input');"
        "return !s || p.querySelector('canvas').dataset.slice === String(s.value - 1); })()"
    )


def centre(page: Page, selector: str) -> tuple[float, float]:
    x, y = page.value(
        f"(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect();"
        "return [r.left + r.width / 2, r.top + r.height / 2]; })()"
    )
    return x, y


def click(page: Page, selector: str) -> None:
    press(page, *centre(page, selector))


def press(page: Page, x: float, y: float, *, count: int = 1) -> None:
    page.mouse("mousePressed", x, y, button="left", clickCount=count)
    page.mouse("mouseReleased", x, y, button="left", clickCount=count)


def instance(page: Page, view: str) -> int:
    words = page.value(
        f"Array.from(document.querySelectorAll('[data-view={view}] svg text'))"
        ".map((t) => t.textContent).find((t) => t.includes('instance'))"
    )
    return int(re.search(r"instance (\d+)", words)[1])  # type: ignore[index]


def slice_number(page: Page, view: str) -> int:
    return int(page.value(f"document.querySelector('[data-view={view}] input').value"))


def canvas_frame(page: Page, view: str) -> list[float]:
    frame: list[float] = page.value(
        f"(() => {{ const r = document.querySelector('[data-view={view}] canvas')"
        ".getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
    )
    return frame


def grey_sum(page: Page) -> float:
    return float(
        page.value(
            "(() => { const c = document.querySelector('.pane.active canvas');"
            "const copy = document.createElement('canvas');"
            "[copy.width, copy.height] = [c.width, c.height];"
            "const context = copy.getContext('2d', { willReadFrequently: true });"
            "context.drawImage(c, 0, 0);"
            "const d = context.getImageData(0, 0, c.width, c.height).data;"
            "let s = 0; for (let i = 0; i < d.length; i += 4) s += d[i]; return s; })()"
        )
    )


def window_text(page: Page) -> str:
    return str(page.value("document.querySelector('.pane.active .window').textContent"))


@pytest.mark.parametrize(
    "column",
    [
        "spinal_canal_stenosis_l1_l2",
        CANAL_L4,
        "left_neural_foraminal_narrowing_l2_l3",
        "right_neural_foraminal_narrowing_l5_s1",
        "left_subarticular_stenosis_l3_l4",
        "right_subarticular_stenosis_l4_l5",
    ],
)
def test_a_click_on_a_cell_shows_its_slice_with_the_ring_on_its_pixel(
    page: Page, report: Report, column: str
) -> None:
    row = report.row(column)
    point = row["point"]
    view = next(t.condition.view for t in TARGETS if t.column == column).value
    click(page, f".cell[href='#{column}']")
    settle(page)
    assert page.value("document.querySelector('.pane.active').dataset.view") == view
    assert instance(page, view) == point["instance_number"]
    left, top, width, height = canvas_frame(page, view)
    middle = pytest.approx(centre(page, ".pane.active .stage"), abs=0.5)
    assert centre(page, ".pane.active canvas") == middle
    x, y = centre(page, f"[data-view={view}] .ring.chosen circle")
    assert x == pytest.approx(left + (point["column"] + 0.5) / 120 * width, abs=0.5)
    assert y == pytest.approx(top + (point["row"] + 0.5) / 120 * height, abs=0.5)
    card = page.value("document.querySelector('.card.current').innerText")
    for value in row["probabilities"].values():
        assert f"{value:.2f}" in card
    assert page.value("location.hash") == f"#{column}"


def test_a_shared_address_leads_to_its_target(page: Page, report: Report) -> None:
    show(page, report.path, f"#{CANAL_L4}")
    assert page.value("document.querySelector('.cell[aria-current]').hash") == f"#{CANAL_L4}"
    assert page.value("scrollY") == 0
    assert instance(page, "sagittal_t2") == report.row(CANAL_L4)["point"]["instance_number"]
    page.value("location.hash = 'left_subarticular_stenosis_l4_l5'")
    settle(page)
    assert page.value("document.querySelector('.card.current').id").startswith("left_subarticular")


def test_the_surest_worst_grade_is_shown_first(page: Page, report: Report) -> None:
    order = ["normal_mild", "moderate", "severe"]
    rows = [row for row in report.document["grades"] if row["point"]]
    worst = max(rows, key=lambda r: (order.index(r["grade"]), max(r["probabilities"].values())))
    shown = page.value("document.querySelector('.card.current').id")
    assert shown == f"{worst['condition']}_{worst['level']}"


def test_a_target_without_a_point_says_so_and_leaves_the_images(page: Page) -> None:
    before = slice_number(page, "axial_t2")
    click(page, ".cell[href='#left_subarticular_stenosis_l1_l2']")
    card = page.value("document.querySelector('.card.current').innerText")
    assert "No image of this place" in card
    assert "not covered" in card
    assert slice_number(page, "axial_t2") == before
    assert page.value("document.querySelectorAll('.ring.chosen').length") == 0


def test_arrow_keys_move_slices_and_grades(page: Page, report: Report) -> None:
    show(page, report.path, f"#{CANAL_L4}")
    start = slice_number(page, "sagittal_t2")
    page.key("ArrowDown")
    assert slice_number(page, "sagittal_t2") == start + 1
    page.key("ArrowUp")
    page.key("ArrowUp")
    assert slice_number(page, "sagittal_t2") == start - 1
    page.key("Home")
    assert slice_number(page, "sagittal_t2") == 1
    page.key("End")
    assert slice_number(page, "sagittal_t2") == 10
    page.key("ArrowDown")  # no way beyond
    assert slice_number(page, "sagittal_t2") == 10
    page.key("ArrowRight")
    assert page.value("location.hash") == "#left_subarticular_stenosis_l4_l5"
    page.key("ArrowLeft")
    page.key("ArrowLeft")
    assert page.value("location.hash") == "#right_subarticular_stenosis_l4_l5"
    page.key("Escape")  # to the cell: now the arrows walk the table
    page.key("ArrowUp")
    assert page.value("location.hash") == "#right_subarticular_stenosis_l3_l4"
    page.key("ArrowRight")
    assert page.value("document.activeElement.hash") == "#spinal_canal_stenosis_l3_l4"
    settle(page)


def test_wheel_drag_and_slider_scroll(page: Page) -> None:
    click(page, f".cell[href='#{CANAL_L4}']")
    start = slice_number(page, "sagittal_t2")
    x, y = centre(page, ".pane.active .stage")
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=100)
    page.wait(f"document.querySelector('[data-view=sagittal_t2] input').value == {start + 1}")
    page.drag((x, y), (0, -42), "left")
    assert slice_number(page, "sagittal_t2") == start + 1 - 3
    page.value(
        "(() => { const s = document.querySelector('[data-view=sagittal_t2] input');"
        "s.value = 7; s.dispatchEvent(new Event('input')); })()"
    )
    settle(page)
    assert "slice 7 of 10" in page.value(
        "document.querySelector('[data-view=sagittal_t2] input').getAttribute('aria-valuetext')"
    )
    assert page.value("document.querySelector('.pane.active canvas').dataset.slice") == "6"


def test_the_first_picture_shows_the_first_window(page: Page, report: Report) -> None:
    click(page, f".cell[href='#{CANAL_L4}']")
    settle(page)
    prediction = make_prediction(pixels=120)
    (series,) = prediction.study.series_of(View.SAGITTAL_T2)
    values = value_range(series)
    wide = values.window_high - values.window_low
    middle = (values.window_high + values.window_low) / 2
    assert window_text(page) == f"W {wide:.0f}  C {middle:.0f}"
    pixels = series.slices[slice_number(page, "sagittal_t2") - 1].pixels
    shown = np.clip((pixels - values.window_low) / wide, 0, 1) * 255
    assert grey_sum(page) / pixels.size == pytest.approx(shown.mean(), abs=1.5)


@pytest.mark.parametrize("how", ["right button", "window mode"])
def test_dragging_windows_and_a_double_click_resets(page: Page, how: str) -> None:
    click(page, f".cell[href='#{CANAL_L4}']")
    settle(page)
    x, y = centre(page, ".pane.active .stage")
    at, before, text = slice_number(page, "sagittal_t2"), grey_sum(page), window_text(page)
    if how == "window mode":
        click(page, "[data-mode=window]")
    button = "right" if how == "right button" else "left"
    page.drag((x, y), (0, 60), button)  # down: a higher centre, a darker picture
    darker = grey_sum(page)
    assert darker < 0.9 * before
    page.drag((x, y), (0, -120), button)
    assert grey_sum(page) > 1.1 * before
    page.drag((x, y), (80, 0), button)
    width = [int(re.search(r"W (\d+)", t)[1]) for t in (text, window_text(page))]  # type: ignore[index]
    assert width[1] > width[0]
    press(page, x, y)
    press(page, x, y, count=2)
    settle(page)
    assert (grey_sum(page), window_text(page)) == (before, text)
    assert slice_number(page, "sagittal_t2") == at


def test_marks_can_be_hidden(page: Page) -> None:
    click(page, f".cell[href='#{CANAL_L4}']")
    for key, selector in (("p", ".ring"), ("b", ".box"), ("l", ".pane.active .line")):
        count = f"document.querySelectorAll('{selector}').length"
        shown = page.value(count)
        assert shown > 0
        page.key(key)
        assert page.value(count) == 0
        page.key(key)
        assert page.value(count) == shown
    assert page.value("document.querySelectorAll('.ring').length") >= 5


def test_lines_show_where_the_other_slice_cuts(page: Page) -> None:
    click(page, f".cell[href='#{CANAL_L4}']")
    page.value(
        "(() => { const s = document.querySelector('[data-view=axial_t2] input');"
        "s.value = 5; s.dispatchEvent(new Event('input')); })()"
    )
    # Axial slice 5 lies at z = 46 - 4 * 6 = 22 mm; sagittal row r at z = 120 - 2 r mm.
    _, top, _, height = canvas_frame(page, "sagittal_t2")
    line = "document.querySelector('[data-view=sagittal_t2] .line-axial_t2 .over')"
    y1, y2 = (float(page.value(f"{line}.getBoundingClientRect().{e}")) for e in ("top", "bottom"))
    assert (y1 + y2) / 2 == pytest.approx(top + ((120 - 22) / 2 + 0.5) / 120 * height, abs=1)
    # Sagittal slice at x = 3 mm (the sixth of -27, -21, …); axial column c at x = -120 + 2 c mm.
    left, _, width, _ = canvas_frame(page, "axial_t2")
    line = "document.querySelector('[data-view=axial_t2] .line-sagittal_t2 .over')"
    x1, x2 = (float(page.value(f"{line}.getBoundingClientRect().{e}")) for e in ("left", "right"))
    assert (x1 + x2) / 2 == pytest.approx(left + ((120 + 3) / 2 + 0.5) / 120 * width, abs=1)


def turned(series: Series, rotation: Float64[np.ndarray, "3 3"]) -> Series:
    """A series as if the scanner's planes had been tilted about the isocentre."""
    whole = np.eye(4)
    whole[:3, :3] = rotation
    slices = tuple(replace(item, affine=whole @ item.affine) for item in series.slices)
    return replace(series, slices=slices)


def test_the_line_of_an_oblique_slice_ends_where_its_image_ends(
    browser: Page, tmp_path: Path
) -> None:
    a, b = np.deg2rad([20.0, 12.0])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    study = make_study(pixels=120)
    t2, t1, axial = study.series
    axial = turned(axial, about_x @ about_y)
    prediction = FakePredictor().run(replace(study, series=(t2, t1, axial)))
    path = tmp_path / "oblique.html"
    path.write_text(render_report(prediction))
    browser.problems.clear()
    browser.size(WIDTH, HEIGHT)
    show(browser, path, f"#{CANAL_L4}")
    shown = prediction.volumes[View.AXIAL_T2].affines[slice_number(browser, "axial_t2") - 1]
    sagittal = t2.slices[slice_number(browser, "sagittal_t2") - 1].affine
    left, top, width, height = canvas_frame(browser, "sagittal_t2")
    expected = []
    for row in (-0.5, 119.5):  # along this edge of the axial image, where is the sagittal plane?
        start = shown @ [0.0, row, 0.0, 1.0]
        column = (sagittal[0, 3] - start[0]) / shown[0, 2]
        _, r, c, _ = np.linalg.solve(sagittal, shown @ [0.0, row, column, 1.0])
        expected.append((left + (c + 0.5) / 120 * width, top + (r + 0.5) / 120 * height))
    ends = browser.value(
        "(() => { const l = document.querySelector('[data-view=sagittal_t2] .line-axial_t2 .over');"
        "const r = l.closest('.stage').getBoundingClientRect();"
        "return ['1', '2'].map((i) => [r.left + l['x' + i].baseVal.value, "
        "r.top + l['y' + i].baseVal.value]); })()"
    )
    assert sorted(map(tuple, ends)) == [pytest.approx(end, abs=0.5) for end in sorted(expected)]
    assert abs(ends[0][1] - ends[1][1]) > 50  # it is oblique
    assert browser.problems == []


def test_the_other_views_show_the_same_place(page: Page, report: Report) -> None:
    click(page, f".cell[href='#{CANAL_L4}']")
    # L4/L5 at z = -35 mm; axial slices at 46, 40, …: -32 (number 14) and -38 are equally near.
    assert slice_number(page, "axial_t2") in (14, 15)
    crosses = page.value("document.querySelectorAll('[data-view=axial_t2] .cross.over').length")
    assert crosses == 1
    # A click in the large view takes the others along: here 60 rows up, to z = +85 … off the stack.
    left, top, width, height = canvas_frame(page, "sagittal_t2")
    row = (120 - 22) / 2
    press(page, left + width / 2, top + (row + 0.5) / 120 * height)
    page.wait("document.querySelector('[data-view=axial_t2] input').value == 5")


def test_the_scale_bar_is_as_long_as_it_says_and_letters_name_the_sides(page: Page) -> None:
    click(page, ".cell[href='#left_subarticular_stenosis_l4_l5']")
    _, _, width, _ = canvas_frame(page, "axial_t2")
    bar = "document.querySelector('.pane.active .scale.over')"
    mm = float(page.value(f"{bar}.dataset.mm"))
    long = float(page.value(f"{bar}.getBBox().width"))
    assert long == pytest.approx(mm / 240 * width, abs=0.5)
    letters = (
        "Array.from(document.querySelectorAll('[data-view={}] .letter'))"
        ".map((t) => t.textContent).join('')"
    )
    assert page.value(letters.format("axial_t2")) == "RLAP"
    assert page.value(letters.format("sagittal_t1")) == "APHF"
    x = [
        page.value(f"document.querySelectorAll('.pane.active .letter')[{i}].getBBox().x")
        for i in (0, 1)
    ]
    assert x[0] < x[1]


def test_zoom_keeps_the_ring_on_its_pixel(page: Page, report: Report) -> None:
    click(page, f".cell[href='#{CANAL_L4}']")
    before = canvas_frame(page, "sagittal_t2")[2]
    page.key("+")
    x, y = centre(page, ".pane.active .stage")
    page.mouse("mouseWheel", x + 40, y + 30, deltaX=0, deltaY=-200, modifiers=2)
    page.wait(
        "document.querySelector('.pane.active canvas').getBoundingClientRect().width > "
        f"{2 * before}"
    )
    click(page, "[data-mode=pan]")
    page.drag((x, y), (-30, 20), "left")
    left, top, width, height = canvas_frame(page, "sagittal_t2")
    point = report.row(CANAL_L4)["point"]
    ring = centre(page, "[data-view=sagittal_t2] .ring.chosen circle")
    assert ring[0] == pytest.approx(left + (point["column"] + 0.5) / 120 * width, abs=0.6)
    assert ring[1] == pytest.approx(top + (point["row"] + 0.5) / 120 * height, abs=0.6)
    page.key("0")
    assert canvas_frame(page, "sagittal_t2")[2] == pytest.approx(before)


def test_help_opens_and_closes_by_keys(page: Page) -> None:
    page.key("?")
    assert page.value("document.querySelector('dialog').open") is True
    page.value("document.querySelector('dialog [data-action=close]').click()")
    assert page.value("document.querySelector('dialog').open") is False


def test_a_phone_shows_one_view_without_sideways_scrolling(page: Page, report: Report) -> None:
    page.size(390, 844, is_phone=True)
    show(page, report.path, "#left_subarticular_stenosis_l4_l5")
    assert page.value("document.documentElement.scrollWidth") == 390
    visible = (
        "Array.from(document.querySelectorAll('.pane')).filter((p) => p.offsetWidth)"
        ".map((p) => p.dataset.view).join()"
    )
    assert page.value(visible) == "axial_t2"
    page.value("document.querySelector('.pane.active').scrollIntoView({block: 'center'})")
    start = slice_number(page, "axial_t2")
    x, y = centre(page, ".pane.active .stage")
    page.touch([(x, y), (x - 14, y), (x - 28, y), (x - 42, y)])
    assert slice_number(page, "axial_t2") == start - 3
    click(page, "[data-pane=sagittal_t2]")
    assert page.value(visible) == "sagittal_t2"
    assert page.value("document.documentElement.scrollWidth") == 390
    smallest = page.value(
        "Math.min(...Array.from(document.querySelectorAll('.tools button'))"
        ".filter((b) => b.offsetWidth).map((b) => b.offsetHeight))"
    )
    assert smallest >= 28


def test_printing_gives_two_to_five_pages(page: Page) -> None:
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf()))
    assert 2 <= pages <= 5


def test_without_scripts_every_grade_has_its_picture(browser: Page, report: Report) -> None:
    browser.size(WIDTH, HEIGHT)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report.path)
        seen = "Array.from(document.querySelectorAll('{}')).filter((e) => e.offsetWidth).length"
        assert browser.value(seen.format(".card")) == 25
        assert browser.value(seen.format(".card img")) == sum(
            row["point"] is not None for row in report.document["grades"]
        )
        assert browser.value(seen.format("#slices img")) >= 3
        assert browser.value(seen.format("#viewer, button")) == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_hostile_texts_stay_texts(browser: Page, tmp_path: Path) -> None:
    prediction = make_prediction(description=HOSTILE)
    grades = replace(prediction.grades, warnings=(HOSTILE,), models_name=HOSTILE)
    path = tmp_path / "hostile.html"
    path.write_text(render_report(replace(prediction, grades=grades)))
    browser.problems.clear()
    browser.size(WIDTH, HEIGHT)
    show(browser, path)
    assert browser.value("typeof window.hacked") == "undefined"
    assert browser.value("document.querySelectorAll('img[src=x]').length") == 0
    assert HOSTILE in browser.value("document.querySelector('.warnings').textContent")
    assert browser.problems == []


def test_the_policy_stops_markup_that_would_run(browser: Page, report: Report) -> None:
    browser.size(WIDTH, HEIGHT)
    show(browser, report.path)
    browser.value(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked=1\">')"
    )
    browser.value("new Promise((done) => setTimeout(done, 200))")
    assert browser.value("typeof window.hacked") == "undefined"
    browser.problems.clear()


@pytest.mark.parametrize("views", [(View.SAGITTAL_T2,), (View.AXIAL_T2,)])
def test_a_study_with_missing_views_works(
    browser: Page, tmp_path: Path, views: tuple[View, ...]
) -> None:
    path = tmp_path / "missing.html"
    path.write_text(render_report(make_prediction(views=views)))
    browser.problems.clear()
    browser.size(WIDTH, HEIGHT)
    show(browser, path)
    for key in ("1", "2", "3", "ArrowDown", "+", "0", "e", "e", *(["ArrowRight"] * 25)):
        browser.key(key)
    settle(browser)
    words = browser.value("document.querySelector('.panes').innerText")
    assert words.count("This study has no usable") == 2
    assert browser.problems == []


@pytest.mark.parametrize("is_dark", [False, True])
def test_words_stand_out_from_their_background(page: Page, is_dark: bool) -> None:
    """WCAG AA: 4.5 to 1 for all text outside the images."""
    page.size(WIDTH, HEIGHT, is_dark=is_dark)
    weak = page.value(
        """(() => {
        const parse = (c) => c.match(/[\\d.]+/g).map(Number);
        const light = (c) => c.slice(0, 3).map((v) => v / 255)
          .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = (e) => {
          for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] === 1) return c;
          }
          return [255, 255, 255];
        };
        const weak = [];
        for (const e of document.body.querySelectorAll('*')) {
          if (e.closest('.stage, script, .hidden') || !e.offsetWidth) continue;
          if (!Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim())) continue;
          const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          if (ratio < 4.5) weak.push(`${e.className} ${e.textContent.slice(0, 20)} ${ratio}`);
        }
        return weak; })()"""
    )
    assert weak == []
