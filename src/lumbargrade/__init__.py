"""lumbargrade: points and severity grades from lumbar-spine MRI."""
