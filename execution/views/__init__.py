"""Pages of the hosting half."""
