"""Lets timm and segmentation-models-pytorch be imported; import this module before either.

What must stay true: where torchvision's own extension loads, this module changes nothing. It acts
only on Linux with a CPU build of torch beside a torchvision wheel that is linked against CUDA:
there ``import torchvision`` fails with "operator torchvision::nms does not exist", because it
registers shapes for operators that its extension, which cannot load, should have defined. Defining
their signatures is enough; nothing here calls them. This is the one module that works at import.
"""

import ctypes
import importlib.util
import sys
from pathlib import Path

import torch

_SIGNATURES = tuple(
    f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
)


def define_missing_operators() -> "torch.library.Library | None":
    """Define the signatures of torchvision's operators where its extension cannot load.

    Returns:
        The library that holds the definitions, to be kept alive, or None where none are needed.
    """
    if not sys.platform.startswith("linux") or torch.version.cuda is not None:
        return None
    if "torchvision" in sys.modules or _extension_loads():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for signature in _SIGNATURES:
        library.define(signature)  # type: ignore[no-untyped-call]
    return library


def _extension_loads() -> bool:
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return True  # not installed: its own ImportError says so best
    for path in Path(found.origin).parent.glob("_C*.so"):
        try:
            ctypes.CDLL(str(path))
        except OSError:
            return False
    return True


_LIBRARY = define_missing_operators()
