"""The series of a phantom study as its files would hold them, without writing any."""

from lumbargrade.phantom.protocol import plan_study
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.study import stored_affines
from lumbargrade.phantom.truth import StoredSeries


def stored_as_planned(seed: int, spine: Spine) -> list[StoredSeries]:
    """In the order of the plan, slices numbered from 1."""
    return [
        StoredSeries(
            series_id=str(number),
            number=number,
            protocol=protocol,
            affines=stored_affines(protocol),
            instance_numbers=tuple(range(1, len(protocol.affines) + 1)),
            variant=(),
        )
        for number, protocol in enumerate(plan_study(seed, spine), start=1)
    ]
