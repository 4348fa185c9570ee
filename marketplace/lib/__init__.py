"""Topic modules without models; they import nothing of ours but one another."""
