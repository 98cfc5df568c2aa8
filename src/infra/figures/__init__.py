"""What the service knows of itself, for Prometheus: of the database, and of each process."""
