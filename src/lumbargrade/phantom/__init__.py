"""Synthetic lumbar studies with exact truth."""
