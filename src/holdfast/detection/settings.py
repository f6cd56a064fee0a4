"""What the detector and the composite rule are tuned by, checked when they are made.

A setting that makes no sense is refused here, with its value, so that no tick can ever
fail on it.
"""

from dataclasses import dataclass

from holdfast.kernel.errors import BadInputError

# A reading counts as above a limit only when it is above by more than rounding can explain,
# so that two correct ways to compute the same rule never disagree on an exact tie.
TIE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings:
    """The reference detector: window and minimum in samples, limits in sigmas."""

    window: int = 60
    min_samples: int = 30
    anomaly_sigma: float = 3.0
    critical_sigma: float = 4.0

    def __post_init__(self) -> None:
        if not 1 < self.min_samples <= self.window:
            raise BadInputError(
                f"detection.min_samples is {self.min_samples} with a window of {self.window}; "
                "set it between 2 and the window",
                field="detection.min_samples",
            )
        if not 0 < self.anomaly_sigma < self.critical_sigma:
            raise BadInputError(
                f"detection.anomaly_sigma is {self.anomaly_sigma} and critical_sigma is "
                f"{self.critical_sigma}; set 0 < anomaly_sigma < critical_sigma",
                field="detection.anomaly_sigma",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeSettings:
    """How many critical series, or anomalous ones, within how many ticks, make an incident."""

    critical: int = 2
    anomalies: int = 3
    ticks: int = 3

    def __post_init__(self) -> None:
        for name in ("critical", "anomalies", "ticks"):
            if getattr(self, name) < 1:
                raise BadInputError(
                    f"detection.composite.{name} is {getattr(self, name)}; set it to 1 or more",
                    field=f"detection.composite.{name}",
                )
