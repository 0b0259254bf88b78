"""The unevenness of marrow: one texture of several scales for all bones, fatter in patches.

What must stay true: every bone reads the same periodic block at its own place, so that pedicles,
laminae and facets go on in the texture of the bodies without a seam.
"""

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray
from scipy.fft import irfftn, rfftn

from lumbargrade.phantom.canvas import STEP_MM
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue, marrow_fat_share

_BLOCK = (96, 144, 96)
"""Voxels of the block along x, d and s; about 60 mm each way."""

_SCALES_MM = ((0.55, 0.05), (1.3, 0.035), (3.2, 0.025))
"""Widths of the trabecular unevenness and their strengths (standard deviation)."""

_ALONG_S = 1.5
"""How much longer it runs along the spine."""

_PATCH_MM = 3.8
_PATCH_FROM = 0.3
"""Patches are where a smooth field exceeds this, in its standard deviations."""


def marrow_texture(
    seed: int, signals: Float64[np.ndarray, "contrast tissue"]
) -> Float32[np.ndarray, "contrast x d s"]:
    """One patient's block: by what share the signal of marrow is above the usual, per contrast.

    Args:
        seed: of the study.
        signals: each contrast's signal of every tissue. Patches of fat are brighter or darker than
            marrow as fat is.
    """
    rng = generator(seed, Stream.TEXTURE)
    age = marrow_fat_share(seed)
    strength = float(rng.uniform(0.7, 1.25))
    amount = float(rng.uniform(0.05, 0.4)) * (0.4 + age)
    spectrum = rfftn(rng.standard_normal(_BLOCK, dtype=np.float32))
    grain = sum(
        np.float32(strength * share) * _smoothed(spectrum, width) for width, share in _SCALES_MM
    )
    patch = _smoothed(np.conj(spectrum) * _turned(rng), _PATCH_MM)
    fat = np.clip((patch - np.float32(_PATCH_FROM)) * np.float32(amount), 0, 0.6)
    fat -= fat.mean()
    block = np.empty((len(signals), *_BLOCK), np.float32)
    for out, row in zip(block, signals, strict=True):
        marrow = float(row[Tissue.MARROW])
        gain = float(row[Tissue.FAT]) / marrow - 1 if marrow > 0 else 0.0
        np.multiply(fat, np.float32(np.clip(gain, -1, 2)), out=out)
        out += grain
    return block


def _smoothed(spectrum: NDArray[np.complex64], width_mm: float) -> Float32[np.ndarray, "x d s"]:
    """Noise smoothed over a width, periodic, with mean 0 and a standard deviation of 1."""
    widths = np.array([width_mm, width_mm, _ALONG_S * width_mm]) / STEP_MM
    a, b, c = (
        np.exp(-2 * np.square(np.pi * width * frequency)).astype(np.float32)
        for width, frequency in zip(widths, _frequencies(), strict=True)
    )
    field = irfftn(spectrum * (a[:, None, None] * b[None, :, None] * c[None, None, :]), _BLOCK)
    field -= field.mean()
    field /= field.std()
    return np.asarray(field, np.float32)


def _turned(rng: np.random.Generator) -> NDArray[np.complex64]:
    """Phases that move a periodic field elsewhere, so that two of one noise differ."""
    shift = rng.integers(20, 70, 3)
    phases = [
        np.exp(-2j * np.pi * frequency * moved)
        for frequency, moved in zip(_frequencies(), shift, strict=True)
    ]
    a, b, c = (phase.astype(np.complex64) for phase in phases)
    return np.asarray(a[:, None, None] * b[None, :, None] * c[None, None, :])


def _frequencies() -> tuple[NDArray[np.floating], ...]:
    """Cycles per voxel along the axes of the block's spectrum."""
    return np.fft.fftfreq(_BLOCK[0]), np.fft.fftfreq(_BLOCK[1]), np.fft.rfftfreq(_BLOCK[2])
