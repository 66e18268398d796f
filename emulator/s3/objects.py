"""S3 objects; kept on the endpoint."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from emulator.core.aws_type import AwsRequest, AwsType, given, known, text
from emulator.core.properties import UNKNOWN, Asset
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call
from emulator.s3.buckets import empty_bucket

_CONTENT = ("content", "contentBase64", "source")
# Changes that write the object anew; the others are made on the version that is there.
_REWRITTEN = (
    "acl",
    "bucketKeyEnabled",
    "cacheControl",
    "checksumAlgorithm",
    "content",
    "contentBase64",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "etag",
    "kmsKeyId",
    "metadata",
    "serverSideEncryption",
    "source",
    "sourceHash",
    "storageClass",
    "websiteRedirect",
)


class BucketObjectv2(AwsType):
    """`s3.BucketObjectv2`."""

    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    required = ("bucket",)
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False}
    name_property = "key"
    name_maximum = 1024
    replace_on = frozenset({"bucket", "key", "region"})

    def resource_id(self, request: AwsRequest) -> Any:
        """Bucket and key."""
        return text(request.inputs["bucket"], "/", request.inputs["key"])

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """One content; S3's own limits on keys."""
        given = [name for name in _CONTENT if inputs.get(name) is not None]
        for name in given[1:]:
            yield Failure(name, f'"{name}": conflicts with {given[0]}')
        key = inputs.get("key")
        if known(key) and len(str(key).encode()) > 1024:
            yield Failure("key", f"{len(str(key).encode())} bytes long; S3 takes 1024")

    def refuse(self, request: AwsRequest) -> None:
        """Two resources for one object would overwrite each other; AWS cannot tell, the engine could not "
        "either."""
        if self.taken(request):
            raise Refused(
                f"creating S3 Object ({request.id}): another resource of this deployment writes this object"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """Where it is and what it is."""
        body = _body(request.inputs)
        encryption = given(
            request.inputs,
            "serverSideEncryption",
            "aws:kms" if request.inputs.get("kmsKeyId") is not None else "AES256",
        )
        return {
            "arn": text("arn:aws:s3:::", request.id),
            "bucketKeyEnabled": given(request.inputs, "bucketKeyEnabled", False),
            "contentType": given(request.inputs, "contentType", "application/octet-stream"),
            "etag": UNKNOWN if body is None else hashlib.md5(body, usedforsecurity=False).hexdigest(),
            "serverSideEncryption": encryption,
            "storageClass": given(request.inputs, "storageClass", "STANDARD"),
        }

    def unknown_outputs(self, inputs: Properties) -> Properties:
        """S3 makes the version up."""
        del inputs
        return {"versionId": UNKNOWN}

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        """A new version, where the object is written anew."""
        return ("versionId", "etag") if _rewrites(request.old_inputs, request.inputs) else ()

    def provision(self, request: AwsRequest) -> Properties:
        """Uploads it. A second upload after a kill makes a second version, which harms nobody."""
        body = _body(request.inputs)
        if body is None:
            raise Refused(f"creating S3 Object ({request.id}): its content is not known")
        options = {
            argument: request.inputs[name]
            for name, argument in (
                ("cacheControl", "CacheControl"),
                ("contentDisposition", "ContentDisposition"),
                ("contentEncoding", "ContentEncoding"),
                ("contentLanguage", "ContentLanguage"),
                ("kmsKeyId", "SSEKMSKeyId"),
                ("metadata", "Metadata"),
                ("serverSideEncryption", "ServerSideEncryption"),
            )
            if request.inputs.get(name) is not None
        }
        content_type = given(request.inputs, "contentType", "application/octet-stream")
        with service_call(
            f"uploading S3 Object ({request.inputs['key']}) to Bucket ({request.inputs['bucket']})"
        ):
            answer = self.endpoint.client("s3", request.region).put_object(
                Bucket=request.inputs["bucket"],
                Key=request.inputs["key"],
                Body=body,
                ContentType=content_type,
                **options,
            )
        return {"versionId": answer.get("VersionId", ""), "etag": answer["ETag"].strip('"')}

    def renew(self, request: AwsRequest) -> Properties:
        """Uploads it anew, where its content or its headers changed."""
        if _rewrites(request.old_inputs, request.inputs):
            return self.provision(request)
        return {"versionId": request.outputs.get("versionId", "")}

    def observe(self, request: AwsRequest) -> Properties | None:
        """The latest version."""
        try:
            head = self.endpoint.client("s3").head_object(
                Bucket=request.inputs["bucket"], Key=request.inputs["key"]
            )
        except ClientError:
            return None
        return {"versionId": head.get("VersionId", ""), "etag": head["ETag"].strip('"')}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes all its versions."""
        with service_call(f"deleting S3 Object ({request.id})", accept=("NoSuchBucket", "NoSuchKey")):
            empty_bucket(self.endpoint.client("s3"), request.inputs["bucket"], request.inputs["key"])


def _rewrites(old: Properties, new: Properties) -> bool:
    return any(new.get(name) is UNKNOWN or old.get(name) != new.get(name) for name in _REWRITTEN)


def _body(inputs: Properties) -> bytes | None:
    if any(inputs.get(name) is UNKNOWN for name in _CONTENT):
        return None
    if inputs.get("content") is not None:
        return str(inputs["content"]).encode()
    if inputs.get("contentBase64") is not None:
        return base64.b64decode(inputs["contentBase64"])
    source = inputs.get("source")
    return source.read() if isinstance(source, Asset) else b""
