"""Tests against a team's servers: PostgreSQL, S3, MLflow."""
