"""What the tests of the hosting half share."""
