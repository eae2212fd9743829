"""The card service: applications, the life of a card, the one-window view, the electronic card."""
