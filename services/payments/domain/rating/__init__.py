"""How a fare comes about: a price, then rules in the order of the tariff's file."""
