"""Codecs and primitives. Pure: bytes in, values out, MalformedMessage when they are not what they should be."""
