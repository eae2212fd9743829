"""What the card service does: each handler loads, decides, saves, announces."""
