"""File formats of images: which ones can be read, and whether a file is complete. Add a format here."""
