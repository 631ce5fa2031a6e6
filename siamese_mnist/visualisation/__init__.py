"""A run shown: pictures and pages."""
