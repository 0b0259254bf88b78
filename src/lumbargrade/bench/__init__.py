"""Measurements of speed: reading, predicting, networks, training."""
