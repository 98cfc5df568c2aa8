"""What a media item's life is: states, events, decisions. No I/O."""
