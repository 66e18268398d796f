from tests.runtime.instance import aws_url, environment, metadata_endpoint

__all__ = ["aws_url", "environment", "metadata_endpoint"]
