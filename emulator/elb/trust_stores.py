"""Trust stores and their revocation lists, read from S3 once: when they are made or changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsRequest, AwsType, text
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call
from emulator.elb.data_plane.configuration import ConfigurationRefused
from emulator.elb.data_plane.trust_store import MOST_REVOCATION_LISTS, trust_store
from emulator.elb.names import (
    LISTENER,
    REVOCATION,
    TRUST_STORE,
    arn_suffix,
    balancing_arn,
    chosen_name,
    name_problem,
)
from emulator.elb.resources import TrustStore as DeclaredTrustStore
from emulator.elb.service import LoadBalancers, UnknownResource

MOST_TRUST_STORES = 20
"""Per account and region."""


class _FromS3(AwsType):
    """Reads an object once."""

    def _content(self, doing: str, region: str, bucket: str, key: str, version: str | None) -> str:
        options = {"VersionId": version} if version else {}
        with service_call(doing):
            answer = self.endpoint.client("s3", region).get_object(Bucket=bucket, Key=key, **options)
        try:
            return answer["Body"].read().decode()
        except UnicodeDecodeError:
            raise Refused(f"{doing}: s3://{bucket}/{key} is no PEM") from None

    def _balancers(self) -> LoadBalancers:
        if self.load_balancers is None:
            raise Refused("trust stores need a running sandbox; this provider only previews")
        return self.load_balancers


class TrustStore(_FromS3):
    """`lb.TrustStore`."""

    token = TRUST_STORE
    required = ("caCertificatesBundleS3Bucket", "caCertificatesBundleS3Key")
    name_property = "name"
    name_maximum = 32
    replace_on = frozenset({"name", "namePrefix", "region"})
    blockers = (LISTENER,)
    not_deletable = (
        "deleting ELBv2 Trust Store ({id}): api error TrustStoreInUse: Trust store '{id}' is currently in "
        "use by a listener"
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN."""
        return balancing_arn(request, "truststore", chosen_name(request, request.inputs))

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name."""
        yield from name_problem(inputs)

    def refuse(self, request: AwsRequest) -> None:
        """A name that is taken, too many."""
        name = chosen_name(request, request.inputs)
        others = [record for record in self.registry.of_type(self.token) if record.id != request.id]
        if any(other.outputs.get("name", other.inputs.get("name")) == name for other in others):
            raise Refused(
                f"creating ELBv2 Trust Store ({name}): api error DuplicateTrustStoreName: A trust store with "
                f"the same name '{name}' exists"
            )
        if len(others) >= MOST_TRUST_STORES:
            raise Refused(
                f"creating ELBv2 Trust Store ({name}): api error TooManyTrustStores: {MOST_TRUST_STORES} "
                "trust stores are allowed"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARNs and name."""
        return {
            "arn": request.id,
            "arnSuffix": arn_suffix(request.id, f"{request.region}:123456789012:"),
            "name": chosen_name(request, request.inputs),
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Reads the bundle, which must be one that ELB takes."""
        doing = f"creating ELBv2 Trust Store ({chosen_name(request, request.inputs)})"
        bundle = self._content(
            doing,
            request.region,
            request.inputs["caCertificatesBundleS3Bucket"],
            request.inputs["caCertificatesBundleS3Key"],
            request.inputs.get("caCertificatesBundleS3ObjectVersion"),
        )
        try:
            trust_store(bundle)
            self._balancers().change_bundle(request.id, bundle)
        except ConfigurationRefused as error:
            raise Refused(f"{doing}: api error InvalidCaCertificatesBundle: {error}") from error
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Another bundle, or another version of it; connections that there are go on."""
        return self.provision(request)

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether it is there."""
        try:
            self._balancers().get(DeclaredTrustStore, request.id)
        except UnknownResource:
            return None
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it."""
        self._balancers().remove(DeclaredTrustStore, request.id)


class TrustStoreRevocation(_FromS3):
    """`lb.TrustStoreRevocation`: every change makes a new one, with an id that was never used."""

    token = REVOCATION
    required = ("revocationsS3Bucket", "revocationsS3Key", "trustStoreArn")
    replace_on = frozenset(
        {"region", "revocationsS3Bucket", "revocationsS3Key", "revocationsS3ObjectVersion", "trustStoreArn"}
    )
    defaults: ClassVar[Mapping[str, Any]] = {}
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """`<ARN of the trust store>,<id>`; a preview cannot know the id."""
        arn = request.inputs["trustStoreArn"]
        if request.preview:
            return UNKNOWN
        return text(arn, ",", self._number(request, arn))

    def _number(self, resource: AwsRequest, arn: str) -> int:
        pending = self.registry.unconfirmed(resource.urn)
        if pending is not None and pending.id.startswith(f"{arn},"):
            return int(pending.id.rpartition(",")[2])
        try:
            return self._balancers().reserve_revocation_id(arn)
        except UnknownResource:
            return 1

    def refuse(self, request: AwsRequest) -> None:
        """An unknown trust store, too many lists."""
        arn = request.inputs["trustStoreArn"]
        doing = f"creating ELBv2 Trust Store Revocation ({request.id}): api error"
        self.existing(TRUST_STORE, arn, f"{doing} TrustStoreNotFound: Trust store '{{id}}' not found")
        others = [
            record
            for record in self.registry.of_type(self.token)
            if record.id != request.id and record.inputs["trustStoreArn"] == arn
        ]
        if len(others) >= MOST_REVOCATION_LISTS:
            raise Refused(
                f"{doing} TooManyTrustStoreRevocationEntries: {MOST_REVOCATION_LISTS} lists are allowed"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """The id."""
        if request.id is UNKNOWN:
            return {"revocationId": UNKNOWN}
        return {"revocationId": int(str(request.id).rpartition(",")[2])}

    def provision(self, request: AwsRequest) -> Properties:
        """Reads the list, which must be PEM and signed by one of the authorities if it is known."""
        doing = f"creating ELBv2 Trust Store Revocation ({request.id})"
        content = self._content(
            doing,
            request.region,
            request.inputs["revocationsS3Bucket"],
            request.inputs["revocationsS3Key"],
            request.inputs.get("revocationsS3ObjectVersion"),
        )
        arn, _, number = request.id.rpartition(",")
        try:
            trust_store(self._balancers().get(DeclaredTrustStore, arn).bundle, (content,))
            self._balancers().put_revocations(arn, int(number), content)
        except ConfigurationRefused as error:
            raise Refused(f"{doing}: api error InvalidRevocationContent: {error}") from error
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether it is there."""
        arn, _, number = request.id.rpartition(",")
        try:
            found = self._balancers().get(DeclaredTrustStore, arn)
        except UnknownResource:
            return None
        return {} if int(number) in found.revocations else None

    def dispose(self, request: AwsRequest) -> None:
        """Takes it out of the trust store."""
        arn, _, number = request.id.rpartition(",")
        self._balancers().remove_revocations(arn, int(number))
