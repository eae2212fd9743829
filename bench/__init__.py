"""What the platform does a second, how long a tap waits, and where the time goes: measured in one run, on real servers."""
