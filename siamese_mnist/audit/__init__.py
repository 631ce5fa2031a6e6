"""The audit: every claim of the report that has a figure or a direction, tested again over seeds.

`gather` measures, `findings` judges, `page` tells.
"""

from siamese_mnist.audit.claims import findings
from siamese_mnist.audit.evidence import ENTRIES, Evidence, gather
from siamese_mnist.audit.finding import Finding
from siamese_mnist.audit.page import page

__all__ = ["ENTRIES", "Evidence", "Finding", "findings", "gather", "page"]
