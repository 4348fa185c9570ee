"""What the books are connected to in the outside world."""
