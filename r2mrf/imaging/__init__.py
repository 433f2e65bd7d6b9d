"""Reading and writing images: add an image format or a damage check here. A change here changes every figure."""
