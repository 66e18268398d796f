"""Trust stores and their revocation lists, read from S3 once: when they are created or changed."""

from __future__ import annotations

from typing import Any

from emulator.core.aws_type import AwsRequest, AwsType, text
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Properties, Refused
from emulator.core.service_errors import service_call
from emulator.elb.data_plane.ca_bundle import MOST_REVOCATION_LISTS, read_ca_bundle
from emulator.elb.model import ConfigurationRefused, TrustStore
from emulator.elb.naming import LISTENER, REVOCATION, TRUST_STORE, NamedElbType
from emulator.elb.service import LoadBalancers, UnknownResource

MOST_TRUST_STORES = 20
"""Per account and region."""


class TrustStoreType(NamedElbType):
    """`lb.TrustStore`."""

    token = TRUST_STORE
    model = TrustStore
    path = "truststore"
    words = "Trust Store"
    required = ("caCertificatesBundleS3Bucket", "caCertificatesBundleS3Key")
    replace_on = ("name", "namePrefix")
    provision_again = True
    blockers = (LISTENER,)
    not_deletable = (
        "deleting ELBv2 Trust Store ({id}): api error TrustStoreInUse: Trust store '{id}' is currently in "
        "use by a listener"
    )

    def refuse(self, request: AwsRequest) -> None:
        super().refuse(request)
        if len(list(self.others(request))) >= MOST_TRUST_STORES:
            raise Refused(
                f"creating ELBv2 Trust Store ({self.physical_name(request)}): api error TooManyTrustStores: "
                f"{MOST_TRUST_STORES} trust stores are allowed"
            )

    def provision(self, request: AwsRequest) -> Properties:
        """Reads the bundle, which must be one that ELB takes; connections that there are go on."""
        doing = f"creating ELBv2 Trust Store ({self.physical_name(request)})"
        bundle = _s3_object(self, request, doing, "caCertificatesBundleS3")
        try:
            read_ca_bundle(bundle)
            self.service(LoadBalancers).change_bundle(request.id, bundle)
        except ConfigurationRefused as error:
            raise Refused(f"{doing}: api error InvalidCaCertificatesBundle: {error}") from error
        return {}


class TrustStoreRevocationType(AwsType):
    """`lb.TrustStoreRevocation`: every change makes a new one, with an id that was never used."""

    token = REVOCATION
    required = ("revocationsS3Bucket", "revocationsS3Key", "trustStoreArn")
    replace_on = ("revocationsS3Bucket", "revocationsS3Key", "revocationsS3ObjectVersion", "trustStoreArn")
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """`<ARN of the trust store>,<id>`; a preview cannot know the id."""
        arn = request.inputs["trustStoreArn"]
        if request.preview:
            return UNKNOWN
        return text(arn, ",", self._number(request, arn))

    def _number(self, request: AwsRequest, arn: str) -> int:
        pending = self.registry.unconfirmed(request.urn)
        if pending is not None and pending.id.startswith(f"{arn},"):
            return _parts(pending.id)[1]
        try:
            return self.service(LoadBalancers).reserve_revocation_id(arn)
        except UnknownResource:
            return 1

    def refuse(self, request: AwsRequest) -> None:
        arn = request.inputs["trustStoreArn"]
        doing = f"creating ELBv2 Trust Store Revocation ({request.id}): api error"
        self.existing(TRUST_STORE, arn, f"{doing} TrustStoreNotFound: Trust store '{{id}}' not found")
        siblings = [record for record in self.others(request) if record.inputs["trustStoreArn"] == arn]
        if len(siblings) >= MOST_REVOCATION_LISTS:
            raise Refused(
                f"{doing} TooManyTrustStoreRevocationEntries: {MOST_REVOCATION_LISTS} lists are allowed"
            )

    def computed(self, request: AwsRequest) -> Properties:
        return {"revocationId": UNKNOWN if request.id is UNKNOWN else _parts(request.id)[1]}

    def provision(self, request: AwsRequest) -> Properties:
        """Reads the list, which must be PEM and signed by one of the authorities if it is known."""
        doing = f"creating ELBv2 Trust Store Revocation ({request.id})"
        content = _s3_object(self, request, doing, "revocationsS3")
        arn, number = _parts(request.id)
        balancers = self.service(LoadBalancers)
        try:
            read_ca_bundle(balancers.get(TrustStore, arn).bundle, (content,))
            balancers.put_revocations(arn, number, content)
        except ConfigurationRefused as error:
            raise Refused(f"{doing}: api error InvalidRevocationContent: {error}") from error
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        arn, number = _parts(request.id)
        try:
            found = self.service(LoadBalancers).get(TrustStore, arn)
        except UnknownResource:
            return None
        return {} if number in found.revocations else None

    def dispose(self, request: AwsRequest) -> None:
        self.service(LoadBalancers).remove_revocations(*_parts(request.id))


def _parts(resource_id: str) -> tuple[str, int]:
    """ARN of the trust store and number of a revocation list."""
    arn, _, number = resource_id.rpartition(",")
    return arn, int(number)


def _s3_object(kind: AwsType, request: AwsRequest, doing: str, prefix: str) -> str:
    """The object that the inputs `<prefix>Bucket`, `<prefix>Key` and `<prefix>ObjectVersion` name."""
    bucket, key, version = (
        request.inputs.get(f"{prefix}{part}") for part in ("Bucket", "Key", "ObjectVersion")
    )
    options = {"VersionId": version} if version else {}
    with service_call(doing):
        answer = kind.endpoint.client("s3", request.region).get_object(Bucket=bucket, Key=key, **options)
    try:
        return answer["Body"].read().decode()
    except UnicodeDecodeError:
        raise Refused(f"{doing}: s3://{bucket}/{key} is not PEM") from None
