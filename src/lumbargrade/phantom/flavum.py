"""The ligamentum flavum of either side, and the fat pad between them behind the sac.

What must stay true: where a flavum narrows the sac it reaches it but for the level's film of fat;
how thick it is elsewhere, and how large the pad, moves no measure.
"""

import numpy as np

from lumbargrade.phantom.anatomy import LevelAnatomy
from lumbargrade.phantom.canvas import Box, Canvas
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.sac import smooth_max
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import mixed

_THINNEST_MM, _THICKEST_MM = 2.0, 4.8
_PER_CUT = 0.4
"""How much thicker a flavum is for each mm by which it pushes the sac."""

_PAD_BEHIND_MM = 2.5
"""How far the pad reaches between the laminae, behind the canal's back wall."""

_HALF_WIDTH_MM = 15.0
_HALF_HEIGHT_MM = 10.0


def paint_flavum(
    canvas: Canvas, seed: int, index: int, level: LevelAnatomy, sac: SacCourse
) -> None:
    """Either side's ligament between two laminae, fat between them in the midline.

    Args:
        canvas: to paint on.
        seed: of the study.
        index: of the level, 0 for L1/L2.
        level: its anatomy.
        sac: the canal's course.
    """
    rng = generator(seed, Stream.FLAVUM, part=index)
    own, causes = level.sac, level.causes
    usual = float(rng.uniform(_THINNEST_MM, 3.0)) + float(rng.uniform(0, 1.6)) * causes.degeneration
    pad = causes.fat_pad_mm * float(rng.uniform(0.7, 1.3))
    pad *= np.exp(-(own.left_cut_mm + own.right_cut_mm) / 8)
    pad_width, skew = float(rng.uniform(2.0, 3.2)) + 0.3 * pad, float(rng.normal(0, 0.6))
    box = Box(x=(-16, 16), d=(0, 32), s=(level.s_mm - 11, level.s_mm + 11))
    axes = (axis[part] for axis, part in zip(canvas.axes, canvas.window(box), strict=True))
    x, d, s = (a.reshape(shape) for a, shape in zip(axes, _BROADCAST, strict=True))
    ds = s - level.s_mm
    fade, wall = own.fade(ds), sac.back_wall(x, d, s)
    support = own.back_support_mm()
    midline = np.exp(-np.square((x - skew) / pad_width))
    ends = np.maximum(np.abs(ds) - _HALF_HEIGHT_MM + 0.15 * np.abs(x), np.abs(x) - _HALF_WIDTH_MM)
    behind, ligaments = [], []
    for sign, cut in ((1.0, own.left_cut_mm), (-1.0, own.right_cut_mm)):
        thick = np.minimum(usual + _PER_CUT * cut * fade, _THICKEST_MM)
        face = causes.film_mm - own.back_face(x, d, fade, sign, support)
        front = np.maximum(face, -wall - (0.5 * usual + 1.3 * cut * fade))
        padded = np.maximum(front, np.minimum(face + pad * midline, _PAD_BEHIND_MM - wall))
        # The two meet behind the pad: the cleft between them closes with depth.
        cleft = 0.5 - 0.5 * np.maximum(-padded, 0) - sign * x
        side = smooth_max(padded, cleft, 0.6)
        rear = np.maximum(wall - np.maximum(0.5 * usual, _PAD_BEHIND_MM * midline + 1.0), ends)
        behind.append((np.maximum(np.maximum(front, -sign * x), rear), np.maximum(side, rear)))
        ligaments.append(np.maximum(side, np.maximum(-padded - thick, rear)))
    fat, tissue = (np.minimum(*pair) for pair in zip(*behind, strict=True))
    both = np.minimum(*ligaments)
    canvas.paint(lambda *_: fat, Tissue.FAT, box)
    between = mixed(canvas, {Tissue.MUSCLE: 0.7, Tissue.FAT: 0.12, Tissue.FLAVUM: 0.18})
    canvas.paint(lambda *_: tissue, between, box)
    canvas.paint(lambda *_: both, Tissue.FLAVUM, box)


_BROADCAST = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
"""Shapes of the axes x, d and s over a grid."""
