"""What stands on a clerk's desk beside the screen: printers, and whatever reads a card or a document."""
