from tests.runtime.instance import aws_url, environment, metadata_endpoint, on_instance

__all__ = ["aws_url", "environment", "metadata_endpoint", "on_instance"]
