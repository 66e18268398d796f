"""RDS for PostgreSQL: real servers behind endpoints that do what RDS does with TLS, parameters and IAM."""
