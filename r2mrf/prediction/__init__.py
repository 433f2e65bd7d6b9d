"""A photo in; its map, confidence and record out."""
