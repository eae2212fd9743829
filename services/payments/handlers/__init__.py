"""What payments does: each handler loads, decides, saves, announces."""
