"""Three terminals to read first: each is a whole program."""
