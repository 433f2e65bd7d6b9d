"""A page on this machine to look at one photo: its map at any view, its blur radius, how the map comes about."""
