"""Holdfast finds out why production broke, recovers it, and proves that it recovered.

Every decision and every step is a record in a durable ledger; a risky step is never repeated
and never guessed. The rooms below this package, and who may import whom, are described in
`docs/concepts/architecture.md`.
"""

__version__ = "0.1.0"
