"""What an operator of the city asks."""
