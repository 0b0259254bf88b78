"""Stage 1: view volumes → landmarks."""
