"""What a photo or a map is, for everyone: decoding, sizes, the network's input; a change here changes every number."""
