"""Programs that the measurement runs as processes of their own, so that nothing but the work itself is on their CPU."""
