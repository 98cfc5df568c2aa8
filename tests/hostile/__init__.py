"""Webhooks as attackers, broken proxies and broken clocks send them: none changes a state."""
