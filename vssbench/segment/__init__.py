"""A user's own video, segmented: as an overlay, in colours, or as indexed PNGs."""
