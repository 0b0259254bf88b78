"""Stage 2: crops → grades."""
