"""Tests of what a media item's life is: no I/O, the ports faked."""
