"""What one process tells Prometheus, read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from attrs import frozen
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@frozen
class Scrape:
    """One scrape, by name and labels."""

    samples: Mapping[tuple[str, Labels], float]

    @classmethod
    def of(cls, text: str) -> Self:
        """Read Prometheus's text format, as strictly as Prometheus does."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def value(self, name: str, **labels: str) -> float:
        """One sample; raises KeyError where it is not told."""
        return self.samples[f"sebastian_{name}", frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples that carry these labels; 0 where none does."""
        wanted = labels.items()
        return sum(
            value
            for (sample, told), value in self.samples.items()
            if sample == f"sebastian_{name}" and wanted <= told
        )

    def labels(self) -> set[tuple[str, str]]:
        """Every label that is used, with its values."""
        return {label for _, labels in self.samples for label in labels}
