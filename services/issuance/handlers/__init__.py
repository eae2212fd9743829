"""What the issuance service does: each handler loads, decides, saves, announces."""
