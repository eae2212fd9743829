"""Service windows: applications, the life of a card, the one-window view, a second person's word."""
