"""The stage-2 network: crops of a study → one vector per crop → mixed by a sequence model → grades.

What must stay true: a crop's vector depends on that crop alone, and ``sequence.py`` decides alone
which others it meets; an absent slice or crop has no influence, whatever its pixels hold.

Source: after the 5th-place solution of the RSNA 2024 competition (2.5-D CNN, bi-LSTM over slices,
attention pooling, bi-LSTM over the conditions of a level); slices as channels instead are ours, to
compare.
"""

from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lumbargrade.classifier.crop_encoder import CropEncoder
from lumbargrade.classifier.sequence import SequenceModel
from lumbargrade.config import ClassifierSettings
from lumbargrade.crops import MIRROR_AXIS
from lumbargrade.encoder_weights import StartingWeights
from lumbargrade.labels import (
    CONDITIONS,
    GRADES,
    LEVELS,
    VIEW_OF_TARGET,
    VIEWS,
    Family,
    Side,
)

Images = Float[Tensor, "study 25 *channel slice row column"]
"""Without a channel axis where the images stand alone."""
SlicePresent = Bool[Tensor, "study 25 slice"]
SameAs = Int[Tensor, "study 25"]
Logits = Float[Tensor, "study 25 3"]

FAMILIES = tuple(Family)

SHARED = "shared"
"""Name of the one encoder of all views."""

_OLDER = ("encoder.", "over_slices.", "pool.")
"""How the names of one encoder's weights began before views could have their own."""


def mirror_condition_crops(images: Tensor, condition_index: int) -> Tensor:
    """Exchange the patient's left and right in crops (…, slice, row, column) of one condition."""
    return images.flip(MIRROR_AXIS[CONDITIONS[condition_index].view])


class GradeHeads(nn.Module):
    """One linear head per family, with a bias per level if asked for."""

    def __init__(self, width: int, settings: ClassifierSettings) -> None:
        super().__init__()
        self.dropout = nn.Dropout(settings.dropout)
        self.linear = nn.ModuleDict(
            {family.value: nn.Linear(width, len(GRADES), bias=False) for family in FAMILIES}
        )
        levels = len(LEVELS) if settings.level_bias else 1
        self.bias = nn.Parameter(torch.zeros(len(FAMILIES), levels, len(GRADES)))

    def start_from(self, prior: Float[Tensor, "3 5 3"]) -> None:
        """Set the biases so that untrained heads answer with a prior, (family, level, grade)."""
        with torch.no_grad():
            levels = self.bias.shape[1]
            self.bias.copy_((prior if levels > 1 else prior.mean(dim=1, keepdim=True)).log())
            for linear in self.linear.values():
                nn.init.normal_(linear.weight, std=0.01)  # type: ignore[arg-type]

    def forward(self, vectors: Float[Tensor, "study 5 5 width"]) -> Logits:
        """Logits in target order, from vectors by condition and level."""
        vectors = self.dropout(vectors)
        logits = [
            self.linear[condition.family.value](vectors[:, i])
            + self.bias[FAMILIES.index(condition.family)]
            for i, condition in enumerate(CONDITIONS)
        ]
        return torch.stack(logits, dim=1).flatten(1, 2)  # (study, 25, 3)


class GradeClassifier(nn.Module):
    """Grades the 25 crops of a study."""

    def __init__(
        self,
        settings: ClassifierSettings,
        weights: StartingWeights | None = None,
        *,
        channels: int = 1,
        slices: int = 5,
    ) -> None:
        """Bind settings.

        Args:
            settings: of the network.
            weights: what the encoder starts from, None for random ones.
            channels: of its crops, 2 with masks.
            slices: of its crops.
        """
        super().__init__()
        self.settings = settings
        width = 2 * settings.lstm_hidden
        names = [view.value for view in VIEWS] if settings.encoders == "by_view" else [SHARED]
        self.crop_encoders = nn.ModuleDict(
            {
                name: CropEncoder(settings, weights, channels=channels, slices=slices)
                for name in names
            }
        )
        self.missing = nn.Parameter(torch.zeros(len(CONDITIONS), width))
        self.sequence = SequenceModel(width, settings.sequence)
        self.heads = GradeHeads(width, settings)
        self._frozen_body = False
        self.register_load_state_dict_pre_hook(_rename_older)  # type: ignore[no-untyped-call]

    def forward(
        self, images: Images, slice_present: SlicePresent, same_as: SameAs | None = None
    ) -> Logits:
        """Logits of the grades.

        Args:
            images: crops, 0..1, with a channel axis where there are masks.
            slice_present: False for slices that the stack does not have; a crop without any
                present slice is missing, and the level's other crops answer for it.
            same_as: (study, 25), which of the given studies has the same crop; the CNN runs once
                for all that name one. None where all differ.
        """
        images, slice_present = self._turn_to_left(images, slice_present)
        vectors = self._crop_vectors(images, slice_present, same_as)
        logits: Tensor = self.heads(self.sequence(vectors))
        return logits

    @property
    def encoders(self) -> list[nn.Module]:
        """The timm networks: one, or one per view."""
        return [look.encoder for look in self.crop_encoders.values()]  # type: ignore[misc]

    def renew_heads(self, *, freeze: bool = True) -> None:
        """Prepare step 2: new heads, and everything else frozen, in eval mode for good.

        Args:
            freeze: False lets everything go on training.
        """
        self.requires_grad_(not freeze)
        self.heads = GradeHeads(2 * self.settings.lstm_hidden, self.settings)
        self._frozen_body = freeze
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As usual, but a frozen body stays in eval mode, or its batch norm would drift."""
        super().train(mode and not self._frozen_body)
        self.heads.train(mode)
        self.training = mode
        return self

    def _turn_to_left(
        self, images: Images, slice_present: SlicePresent
    ) -> tuple[Images, SlicePresent]:
        if not self.settings.mirror_right:
            return images, slice_present
        by_condition = list(images.chunk(len(CONDITIONS), dim=1))
        present = list(slice_present.chunk(len(CONDITIONS), dim=1))
        for i, condition in enumerate(CONDITIONS):
            if condition.side is Side.RIGHT:
                by_condition[i] = mirror_condition_crops(by_condition[i], i)
                present[i] = mirror_condition_crops(present[i][..., None, None], i)[..., 0, 0]
        return torch.cat(by_condition, dim=1), torch.cat(present, dim=1)

    def _crop_vectors(
        self, images: Images, slice_present: SlicePresent, same_as: SameAs | None = None
    ) -> Float[Tensor, "study 5 5 width"]:
        studies = len(images)
        flat, present = images.flatten(0, 1), slice_present.flatten(0, 1)  # (crop, slice, …)
        exists = present.any(dim=1)
        views = torch.from_numpy(VIEW_OF_TARGET).to(flat.device).repeat(studies)
        if same_as is None:
            pooled = self._by_view(flat, present, views)
        else:
            first = same_as * len(same_as[0]) + torch.arange(len(same_as[0]), device=flat.device)
            distinct, place = torch.unique(first, return_inverse=True)
            encoded = self._by_view(flat[distinct], present[distinct], views[distinct])
            pooled = encoded[place.flatten()]
        missing = self.missing.repeat_interleave(len(LEVELS), dim=0).repeat(studies, 1)
        vectors = torch.where(exists[:, None], pooled, missing.to(pooled.dtype))
        return vectors.reshape(studies, len(CONDITIONS), len(LEVELS), -1)

    def _by_view(
        self,
        images: Float[Tensor, "crop *channel slice row column"],
        present: Bool[Tensor, "crop slice"],
        views: Int[Tensor, "crop"],
    ) -> Float[Tensor, "crop width"]:
        """Each crop's vector, from the encoder of its view."""
        if SHARED in self.crop_encoders:
            alike: Tensor = self.crop_encoders[SHARED](images, present)
            return alike
        parts, places = [], []
        for index, view in enumerate(VIEWS):
            (own,) = torch.nonzero(views == index, as_tuple=True)
            if len(own):
                parts.append(self.crop_encoders[view.value](images[own], present[own]))
                places.append(own)
        return torch.cat(parts)[torch.cat(places).argsort()]


def _rename_older(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Weights from before encoders could differ by view: the one encoder had no name."""
    for name in [name for name in state if name.startswith(_OLDER)]:
        state[f"crop_encoders.{SHARED}.{name}"] = state.pop(name)
