"""Settings of the crops that stage 2 sees.

What must stay true: options that are off leave no trace in files and hashes.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from lumbargrade.labels import View
from lumbargrade.settings import Settings


class ViewSides(Settings):
    """A crop's side in mm for single views; None for that of all."""

    sagittal_t2: float | None = Field(default=None, gt=0)
    sagittal_t1: float | None = Field(default=None, gt=0)
    axial_t2: float | None = Field(default=None, gt=0)


class CropSettings(Settings):
    """Crops in true geometry around each landmark."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"view_side_mm", "xy", "mask"})
    slices: int = Field(default=5, ge=1)
    size_px: int = Field(default=64, ge=16)
    side_mm: float = Field(default=42.0, gt=0)
    view_side_mm: ViewSides = ViewSides()
    """Another side for some views, in the same number of pixels."""
    grid_px: int | None = Field(default=None, ge=64)
    """To compare: instead of ``side_mm``, cut ``size_px`` of the slice resized to a square of this
    many pixels, whatever its spacing and proportions (the reference: 64 of 512)."""
    xy: Literal["fixed", "dynamic"] = "fixed"
    """All slices of a crop around the point's one place in the plane, or each around where the
    detector's heatmap has the structure on that slice."""
    mask: bool = False
    """Show the classifier, as a second channel, where the detector sees the structure."""

    @model_validator(mode="after")
    def _one_way_to_say_how_large(self) -> Self:
        if self.grid_px is not None and self.view_side_mm != ViewSides():
            raise ValueError("grid_px takes the place of millimetres, so view_side_mm says nothing")
        return self

    def for_view(self, view: View) -> Self:
        """These settings with ``side_mm`` as it is for the crops of one view."""
        own: float | None = getattr(self.view_side_mm, view.value)
        side_mm = self.side_mm if own is None else own
        return self.model_copy(update={"side_mm": side_mm, "view_side_mm": ViewSides()})

    @property
    def follow(self) -> bool:
        """Whether crops need to know where the detector sees the structure on every slice."""
        return self.xy == "dynamic" or self.mask

    @property
    def channels(self) -> int:
        """The image, and the mask where there is one."""
        return 2 if self.mask else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a crop: slices, rows, columns; with a mask, channels before these."""
        one = (self.slices, self.size_px, self.size_px)
        return (self.channels, *one) if self.mask else one
