"""Refused logins by token: in a file of the instance, and in CloudWatch where they are exported."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.rds.model import IAM_ERROR_LOG, Instance

_log = logging.getLogger("emulator.rds")


class LoginLog:
    """Writes lines in order, in the background.

    Args:
        endpoint: Where CloudWatch is.
    """

    def __init__(self, endpoint: AwsEndpoint) -> None:
        self._endpoint = endpoint
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rds-login-log")

    def refused(self, folder: Path, instance: Instance, line: str) -> Future[None]:
        return self._writer.submit(self._write, folder / f"{IAM_ERROR_LOG}.log", instance, line)

    def stop(self) -> None:
        """Writes what is left, and stops."""
        self._writer.shutdown()

    def _write(self, path: Path, instance: Instance, line: str) -> None:
        # A user's name may hold anything.
        text = "".join(character if character.isprintable() else "?" for character in line)
        try:
            with path.open("a") as file:
                path.chmod(0o600)
                file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {text}\n")
        except OSError as error:
            _log.warning("%s: %s", path, error)
        if IAM_ERROR_LOG in instance.log_exports:
            self._export(instance, text)

    def _export(self, instance: Instance, text: str) -> None:
        client = self._endpoint.client("logs", instance.region)
        group, stream = instance.log_group(IAM_ERROR_LOG), f"{instance.identifier}.0"
        event = {"timestamp": int(time.time() * 1000), "message": text}
        try:
            try:
                client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
            except client.exceptions.ResourceNotFoundException:
                client.create_log_stream(logGroupName=group, logStreamName=stream)
                client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
        except client.exceptions.ResourceNotFoundException:
            # No such group: the program has made none, and exports into nowhere.
            return
        except (ClientError, BotoCoreError) as error:
            _log.warning("%s is not exported to %s: %s", IAM_ERROR_LOG, group, error)
