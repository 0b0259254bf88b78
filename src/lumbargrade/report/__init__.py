"""What people look at: overlays and the HTML report."""
