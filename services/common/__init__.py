"""What several services share: money, time, errors, logs, the database session."""
