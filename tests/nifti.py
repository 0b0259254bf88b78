"""NIfTI-1 volumes for tests."""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_nifti(path: Path) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Voxels (i, j, k) and RAS affine of a gzipped NIfTI-1 file with an sform."""
    raw = gzip.decompress(path.read_bytes())
    shape = struct.unpack_from("<8h", raw, 40)[1:4]
    dtype = {4: "<i2", 16: "<f4", 512: "<u2", 2: "u1"}[struct.unpack_from("<h", raw, 70)[0]]
    offset = int(struct.unpack_from("<f", raw, 108)[0])
    affine = np.eye(4)
    affine[:3] = np.array(struct.unpack_from("<12f", raw, 280)).reshape(3, 4)
    voxels = np.frombuffer(raw, dtype, count=int(np.prod(shape)), offset=offset)
    return voxels.reshape(shape, order="F"), affine
