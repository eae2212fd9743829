"""What a merchant's terminals need: sign a tap, keep it on disk, emit it until its outcome has come back."""
