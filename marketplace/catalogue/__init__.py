"""The catalogue as a file: its form, read with line numbers."""
