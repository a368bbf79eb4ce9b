"""Codecs: encoding a clip at an exact GOP, decoding it as a stream, and motion vectors accumulated
to the keyframe."""
