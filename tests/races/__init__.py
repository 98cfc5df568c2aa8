"""Many callers at once on several replicas: one winner, the others answered rightly."""
