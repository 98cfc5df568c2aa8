"""The service held against its own OpenAPI description, by schemathesis."""
