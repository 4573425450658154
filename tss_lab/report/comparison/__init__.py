"""Several runs side by side: read from their folders, checked for being comparable, tabled and drawn."""
