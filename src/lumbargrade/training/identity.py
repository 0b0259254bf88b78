"""What a training state belongs to: settings, seed, libraries, threads.

What must stay true: a state is never taken up under other settings than those it was made with;
where it goes on in other surroundings, which may change its last digits, that is said.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from lumbargrade.config import FitSettings
from lumbargrade.settings import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitIdentity:
    """Of one call of ``fit``."""

    asked: Mapping[str, Any]
    """Settings of the fit, seed, steps of an epoch: what must be equal to go on."""
    surroundings: Mapping[str, Any]
    """Version, threads and processes of torch: what equal bytes need besides."""

    @classmethod
    def of(cls, settings: FitSettings, *, seed: int, steps: int, processes: int) -> Self:
        """The identity of a fit in this process, or in several."""
        return cls(
            asked={**settings.model_dump(mode="json"), "seed": seed, "steps_per_epoch": steps},
            surroundings={
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                **({"processes": processes} if processes > 1 else {}),
            },
        )

    def document(self) -> str:
        """As it is kept in a state."""
        return json.dumps({"asked": dict(self.asked), "surroundings": dict(self.surroundings)})

    def check(self, document: str, out: Path) -> None:
        """Compare with the identity kept in a state; other surroundings are a warning.

        Raises:
            ConfigError: the state was made under other settings.
        """
        kept = json.loads(document)
        differing = _differences(kept["asked"], self.asked)
        if differing:
            raise ConfigError(
                f"{out} holds a training that was begun with other settings ({differing}): give "
                "the same settings to go on with it, or another --out"
            )
        elsewhere = _differences(kept["surroundings"], self.surroundings)
        if elsewhere:
            logger.warning(
                "%s was begun in other surroundings (%s): the result may differ in its last digits",
                out, elsewhere,
            )  # fmt: skip


def _differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {kept.get(name)!r}, now {now.get(name)!r}"
        for name in dict.fromkeys([*kept, *now])
        if kept.get(name) != now.get(name)
    )
