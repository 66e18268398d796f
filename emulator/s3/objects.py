"""S3 objects; kept on the endpoint."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, given, text
from emulator.core.properties import UNKNOWN, Asset
from emulator.core.resource_type import Properties, Refused
from emulator.core.service_errors import answer_or_none, arguments, service_call
from emulator.s3.buckets import empty_bucket

_CONTENT = ("content", "contentBase64", "source")
# Changes that write the object anew; the others are made on the version that is there.
_REWRITTEN = (
    "acl", "bucketKeyEnabled", "cacheControl", "checksumAlgorithm", "content", "contentBase64",
    "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "etag", "kmsKeyId", "metadata",
    "serverSideEncryption", "source", "sourceHash", "storageClass", "websiteRedirect",
)  # fmt: skip
_UPLOAD_ARGUMENTS = {
    "cacheControl": "CacheControl",
    "contentDisposition": "ContentDisposition",
    "contentEncoding": "ContentEncoding",
    "contentLanguage": "ContentLanguage",
    "kmsKeyId": "SSEKMSKeyId",
    "metadata": "Metadata",
    "serverSideEncryption": "ServerSideEncryption",
}
_CONTENT_TYPE = "application/octet-stream"


def _key(name: str, value: Any) -> Iterable[str]:
    size = len(str(value).encode())
    if size > 1024:
        yield f"{size} bytes long; S3 takes 1024"


class BucketObjectv2(AwsType):
    """`s3.BucketObjectv2`."""

    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    required = ("bucket",)
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False}
    name_property = "key"
    name_maximum = 1024
    id_inputs = ("bucket", "key")
    id_separator = "/"
    # Two resources for one object would overwrite each other; neither AWS nor the engine could tell.
    name_taken = "creating S3 Object ({id}): another resource of this deployment writes this object"
    at_most_one = (_CONTENT,)
    checks: ClassVar = {"key": (_key,)}
    output_defaults: ClassVar[Mapping[str, Any]] = {
        "bucketKeyEnabled": False,
        "contentType": _CONTENT_TYPE,
        "storageClass": "STANDARD",
    }
    replace_on = ("bucket", "key")
    unknown_outputs = ("versionId",)

    def computed(self, request: AwsRequest) -> Properties:
        body = _body(request.inputs)
        by_default = "AES256" if request.inputs.get("kmsKeyId") is None else "aws:kms"
        return {
            "arn": text("arn:aws:s3:::", request.id),
            "etag": UNKNOWN if body is None else hashlib.md5(body, usedforsecurity=False).hexdigest(),
            "serverSideEncryption": given(request.inputs, "serverSideEncryption", by_default),
        }

    def preview_renewal(self, request: AwsRequest) -> Iterable[str]:
        return ("versionId", "etag") if _rewrites(request.old_inputs, request.inputs) else ()

    def provision(self, request: AwsRequest) -> Properties:
        """Uploads it. A second upload after a kill makes a second version, which harms nobody."""
        body = _body(request.inputs)
        if body is None:
            raise Refused(f"creating S3 Object ({request.id}): its content is not known")
        with service_call(
            f"uploading S3 Object ({request.inputs['key']}) to Bucket ({request.inputs['bucket']})"
        ):
            answer = self.endpoint.client("s3", request.region).put_object(
                Bucket=request.inputs["bucket"],
                Key=request.inputs["key"],
                Body=body,
                ContentType=given(request.inputs, "contentType", _CONTENT_TYPE),
                **arguments(request.inputs, _UPLOAD_ARGUMENTS),
            )
        return {"versionId": answer.get("VersionId", ""), "etag": answer["ETag"].strip('"')}

    def renew(self, request: AwsRequest) -> Properties:
        if _rewrites(request.old_inputs, request.inputs):
            return self.provision(request)
        return {"versionId": request.outputs.get("versionId", "")}

    def observe(self, request: AwsRequest) -> Properties | None:
        head = answer_or_none(
            self.endpoint.client("s3").head_object, Bucket=request.inputs["bucket"], Key=request.inputs["key"]
        )
        if head is None:
            return None
        return {"versionId": head.get("VersionId", ""), "etag": head["ETag"].strip('"')}

    def dispose(self, request: AwsRequest) -> None:
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
