"""Settings of one network of either stage: what it is, sees and trains on.

What must stay true: the resolved settings are saved with every run; variants are YAML files, never
copies of code.
"""

from typing import ClassVar, Literal

from pydantic import Field

from lumbargrade.crop_settings import CropSettings
from lumbargrade.settings import Settings


class FitSettings(Settings):
    """One training run of one network."""

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=2, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema: bool = True
    max_minutes: float | None = Field(default=None, gt=0)


class DetectorAugmentSettings(Settings):
    """How training images of stage 1 are varied; each draw holds for all slices of a run."""

    mirror_probability: float = Field(default=0.5, ge=0, le=1)
    affine_probability: float = Field(default=0.75, ge=0, le=1)
    """Of rotating, scaling, stretching and shifting."""
    rotate_deg: float = Field(default=12.0, ge=0, le=45)
    scale_low: float = Field(default=0.7, gt=0)
    scale_high: float = Field(default=1.4, gt=0)
    stretch: float = Field(default=0.08, ge=0, lt=0.5)
    """Standard deviation of the logarithm of height against width."""
    shift: float = Field(default=0.08, ge=0, lt=0.5)
    """Largest shift along either axis, as a fraction of the image."""
    brightness_contrast_probability: float = Field(default=0.75, ge=0, le=1)
    shading_probability: float = Field(default=0.6, ge=0, le=1)
    """Of a smooth brightness field, such as surface coils leave."""
    noise_probability: float = Field(default=0.3, ge=0, le=1)
    blur_probability: float = Field(default=0.2, ge=0, le=1)
    border_probability: float = Field(default=0.2, ge=0, le=1)
    """Of blackening a band along an edge, as a narrow field of view does."""
    resolution_probability: float = Field(default=0.0, ge=0, le=1)
    """Of losing detail along either axis, as where fewer lines are scanned."""
    coarsest: float = Field(default=3.0, ge=1)
    """Width of the coarsest such pixel, in pixels."""
    curve_probability: float = Field(default=0.0, ge=0, le=1)
    """Of another grey curve; it rises everywhere, so dark stays darker than bright."""
    crop_probability: float = Field(default=0.0, ge=0, le=1)
    """Of magnifying a part of the image, which may leave out levels."""
    crop_scale: float = Field(default=1.8, ge=1)
    """Strongest such magnification; the weakest is 1.2."""
    teach_absence: bool = False
    """Teach that heatmaps are empty where augmentation moved a point out of the image; else such a
    point teaches nothing."""
    level_jitter_mm: float = Field(default=2.0, ge=0)
    """Standard deviation of the error given to the sagittal level positions (axial view)."""
    level_dropout: float = Field(default=0.15, ge=0, le=1)
    """Probability of hiding them, as where the sagittal view is missing (axial view)."""


class ExtraSlicesSettings(Settings):
    """How plain 2-D slices with disc points are trained on beside the studies (sagittal T2)."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"sources"})
    sources: tuple[str, ...] = ()
    """Of which collections of the dataset; none named for all."""
    pretrain: FitSettings | None = None
    """First train on the slices alone (a batch is so many slices); None begins with the studies."""
    per_batch: int = Field(default=4, ge=1)
    """Slices that each training step sees beside its studies, all slices in turn."""
    folds: int = Field(default=5, ge=2)
    held_out_fold: int | None = Field(default=None, ge=0)
    """Fold of the slices' patients that is not trained on; None trains on all."""
    licence: str = "not stated"
    """Of the slices; a run that uses them adds it to the licence of its training data."""


class DetectorSettings(Settings):
    """Stage 1: one detector configuration, used for the three views."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"start_from"})
    network: Literal["2.5d", "3d"] = "2.5d"
    """A 2-D U-Net over slices with their neighbours, or, to compare, a 3-D U-Net over stacks (needs
    MONAI: ``pip install 'lumbargrade[unet3d]'``)."""
    volume_channels: tuple[int, ...] = Field(default=(16, 32, 64, 128), min_length=2)
    """Of the 3-D U-Net, from its top to its bottom; rows and columns are halved between them."""
    encoder: str = "regnety_002"
    encoder_weights: str = "none"
    """What the encoder starts from: ``none`` (random weights), ``pretrained`` (timm's own, from its
    cache or the hub) or a file of timm weights of this encoder (.safetensors, .pth)."""
    pointer_encoder_weights: str = "none"
    """Likewise for an encoder of the pointer's own."""
    encoder_weights_licence: str | None = None
    """Of these files; None for what timm says of its own. The manifest repeats it."""
    start_from: str = "none"
    """Another detector's folder, such as ``pretrain-detector`` writes, whose encoder and decoder
    this one starts from; one of the same view (sagittal T2) with its heatmaps and pointer, too."""
    encoder_depth: int = Field(default=5, ge=3, le=5)
    decoder_channels: tuple[int, ...] = (96, 64, 48)
    """One per decoder block: as many as halve the encoder's stride down to the heatmap's."""
    heatmap_stride: Literal[1, 2, 4] = 4
    share_maps: bool = True
    """One heatmap for both sides of a foraminal level, and for all levels of a subarticular side:
    the map answers where in the plane, the pointer on which slice."""
    image_size: int = Field(default=160, ge=64)
    max_slices: int = Field(default=64, ge=4)
    """Longer views are cut into overlapping runs."""
    train_slices: int = Field(default=16, ge=1)
    """Slices per study in one training step, drawn as a run around a labelled point."""
    one_slice_probability: float = Field(default=0.15, ge=0, le=1)
    """Of training on single mid-sagittal slices (sagittal T2 alone)."""
    extra_slices: ExtraSlicesSettings = ExtraSlicesSettings()
    """How the slices of ``--extra-slices`` are used (sagittal T2 alone)."""
    lstm_hidden: int = Field(default=96, ge=8)
    pointer: Literal["lstm", "transformer"] = "lstm"
    """What runs over the slices: a bi-LSTM, or a pre-norm transformer layer as wide."""
    pointer_encoder: str | None = None
    """An encoder of the pointer's own; None shares the heatmaps' encoder."""
    pointer_peaks: bool = True
    """Tell the pointer the highest value of each heatmap, too. Without, it is asked first, and
    slices that cannot win are not segmented (axial T2, or ``decoding: argmax``)."""
    expanding_labels: bool = True
    """A point's label fades over the neighbouring slices; else its nearest slice alone has it."""
    label_sigma_px: float = Field(default=4.0, gt=0)
    """On the 256 grid."""
    slice_decay: float = Field(default=0.5, gt=0, lt=1)
    decoding: Literal["independent", "joint", "argmax"] = "independent"
    """Choose the five levels of each kind together; canal and disc points together, too (sagittal
    T2, else as independent); or each point for itself, where its score is highest."""
    cross_view: bool = False
    """Weigh scores by where the sagittal T2 points let expect the point (T1 and axial T2)."""
    low_confidence: float = Field(default=0.1, ge=0, le=1)
    """Points that score less are flagged."""
    augment: DetectorAugmentSettings = DetectorAugmentSettings()
    fit: FitSettings = FitSettings()


class DetectorMember(Settings):
    """What a detector's folder says about itself."""

    view: Literal["sagittal_t2", "sagittal_t1", "axial_t2"]
    seed: int
    detector: DetectorSettings


class AugmentSettings(Settings):
    """Random changes of the crops while the classifier trains, drawn per crop or per study."""

    cutmix_probability: float = Field(default=1.0, ge=0, le=1)
    cutmix_alpha: float = Field(default=4.0, gt=0)
    mixup_probability: float = Field(default=0.0, ge=0, le=1)
    """Of mixup in the place of cutmix."""
    mixup_alpha: float = Field(default=0.4, gt=0)
    mirror_probability: float = Field(default=0.5, ge=0, le=1)
    """Of exchanging the patient's left and right: crops, conditions and labels together."""
    horizontal_flip: float = Field(default=0.0, ge=0, le=1)
    """Probability of flipping a crop's columns, as an image, with no change of its label."""
    vertical_flip: float = Field(default=0.0, ge=0, le=1)
    affine_probability: float = Field(default=0.75, ge=0, le=1)
    """Of rotating and scaling a crop."""
    rotate_deg: float = Field(default=15.0, ge=0, le=45)
    scale: float = Field(default=0.1, ge=0, lt=0.5)
    point_jitter_mm: float = Field(default=1.5, ge=0)
    """Standard deviation of a shift in the plane, along either axis. With ``grid_px`` a mm is a
    pixel of ``side_mm`` all the same."""
    slice_jitter_probability: float = Field(default=0.2, ge=0, le=1)
    """Of taking the crop one slice off."""
    jitter_from_found: bool = False
    """Cut training crops at the marked points, and draw both jitters from the errors that the
    detectors make on studies they never saw, instead of the two settings above."""
    brightness_contrast_probability: float = Field(default=0.75, ge=0, le=1)
    brightness: float = Field(default=0.1, ge=0)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    blur_probability: float = Field(default=0.0, ge=0, le=1)
    view_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Probability of hiding all crops of a view, so that the others learn to answer for it."""


class SequenceSettings(Settings):
    """How the vectors of a study's 25 crops are mixed before they are graded."""

    over: Literal["level", "condition", "level+condition", "all", "none"] = "level"
    """The conditions of a level, the levels of a condition, both side by side, or all 25."""
    kind: Literal["lstm", "transformer"] = "lstm"
    skip: bool = True
    """Add each crop's own vector to what the sequence model makes of it."""
    attention_heads: int = Field(default=4, ge=1)
    """Of the transformer."""
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of the transformer."""


class ClassifierSettings(Settings):
    """Stage 2: 2.5-D classifier with a sequence model over the crops."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"encoders", "slices_as", "answer_mirrored"})
    encoder: str = "regnety_002"
    encoder_weights: str = "none"
    """As in the detectors."""
    encoder_weights_licence: str | None = None
    input_px: int | None = Field(default=None, ge=16)
    """Resize crops to this many pixels before the encoder (the reference: 64 to 128)."""
    encoders: Literal["shared", "by_view"] = "shared"
    """One encoder for the crops of all views, or three that share nothing."""
    slices_as: Literal["sequence", "channels"] = "sequence"
    """Show the encoder one slice at a time, with a bi-LSTM over their vectors, or all slices of a
    crop at once as the channels of one image: a run of the encoder per crop, not per slice."""
    lstm_hidden: int = Field(default=96, ge=8)
    """Half the width of a crop's vector; of the bi-LSTM over the slices, where there is one."""
    sequence: SequenceSettings = SequenceSettings()
    mirror_right: bool = True
    """Show right-sided crops mirrored, so that the network sees left sides only."""
    level_bias: bool = True
    """Give every level a bias of its own in each head."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    augment: AugmentSettings = AugmentSettings()
    answer_mirrored: bool = False
    """Answer with the mean over the study and its mirror image (left and right exchanged), at
    twice the work of an answer."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each training target that is spread evenly over the grades (step 1)."""
    weighted_from_start: bool = False
    """Train step 1 on the weighted and any-severe loss, too."""
    select_by: Literal["score", "auc", "log_loss"] = "score"
    """Which figure of the validation studies chooses the epoch of step 1; step 2 goes by score."""
    fit: FitSettings = FitSettings()
    weighted_fit: FitSettings | None = None
    """Step 2: new heads on the weighted and any-severe loss; None skips it."""
    weighted_fit_frozen: bool = True
    """Step 2 trains the new heads alone."""

    @property
    def answers_are_weighted(self) -> bool:
        """Whether the trained network's softmax is q, not p."""
        return self.weighted_from_start or self.weighted_fit is not None


class ClassifierMember(Settings):
    """What a classifier's folder says about itself."""

    crops: CropSettings
    classifier: ClassifierSettings
