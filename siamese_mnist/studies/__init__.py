"""Studies: entries tuned with equal trials on validation images, then measured once on the test pairs."""
