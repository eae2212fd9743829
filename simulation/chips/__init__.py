"""What is made of plastic elsewhere: chips that keep their rules, their factory, a drawer for them, and a reader."""
