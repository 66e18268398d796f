"""What the tests of load balancers and auto scaling declare: a network, a certificate, a trust store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from emulator.route53.public_zone import PUBLIC_ZONE_ID

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
RECORD = "aws:route53/record:Record"
CERTIFICATE = "aws:acm/certificate:Certificate"
VALIDATION = "aws:acm/certificateValidation:CertificateValidation"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
TRUST_STORE = "aws:lb/trustStore:TrustStore"
REVOCATION = "aws:lb/trustStoreRevocation:TrustStoreRevocation"
POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
PREFIX = "routingHttpRequestXAmznMtlsClientcert"


def pem(thing: Any) -> str:
    return thing.public_bytes(serialization.Encoding.PEM).decode()


class ClientAuthority:
    """A trust domain of clients."""

    def __init__(self, name: str = "clients") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "encipher_only", "decipher_only"), False
        )  # fmt: skip
        builder = self._builder(self.name, self.key, 1).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = builder.add_extension(
            x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True
        ).sign(self.key, hashes.SHA256())

    def client(self, name: str = "billing", serial: int = 0x03A5B1) -> str:
        """Key and certificate, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        leaf = (
            self._builder(subject, key, serial)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private.decode() + pem(leaf)

    def revocations(self, *serials: int) -> str:
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=7))
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(revoked.build())
        return pem(builder.sign(self.key, hashes.SHA256()))

    def _builder(self, subject: x509.Name, key: Any, serial: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )


class Parts:
    """Declares things once and remembers their ids."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.authority = ClientAuthority()

    def network(self) -> tuple[str, list[str]]:
        vpc, *_ = self.engine.create(VPC, "net", {"cidrBlock": "10.20.0.0/16"})
        subnets = [
            self.engine.create(
                SUBNET,
                zone,
                {
                    "vpcId": vpc,
                    "cidrBlock": f"10.20.{number}.0/24",
                    "availabilityZone": f"eu-central-1{zone}",
                },
            )[0]
            for number, zone in enumerate("ab")
        ]
        return vpc, subnets

    def bucket(self, name: str = "trust") -> str:
        bucket, *_ = self.engine.create(BUCKET, name, {})
        self.engine.create(
            VERSIONING, name, {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}}
        )
        return bucket

    def object(self, bucket: str, name: str, content: str) -> str:
        """The version."""
        _, outputs, _ = self.engine.create(OBJECT, name, {"bucket": bucket, "key": name, "content": content})
        return outputs["versionId"]

    def trust_store(self, content: str | None = None) -> str:
        bucket = self.bucket()
        version = self.object(
            bucket, "bundle.pem", pem(self.authority.certificate) if content is None else content
        )
        inputs = {
            "caCertificatesBundleS3Bucket": bucket,
            "caCertificatesBundleS3Key": "bundle.pem",
            "caCertificatesBundleS3ObjectVersion": version,
            "name": "clients",
        }
        return self.engine.create(TRUST_STORE, "clients", inputs)[0]

    def requested(self) -> tuple[str, dict[str, Any]]:
        inputs = {"domainName": "localhost", "validationMethod": "DNS", "keyAlgorithm": "EC_prime256v1"}
        arn, outputs, _ = self.engine.create(CERTIFICATE, "server", inputs)
        return arn, outputs

    def certificate(self) -> str:
        arn, outputs = self.requested()
        (option,) = outputs["domainValidationOptions"]
        record = {
            "zoneId": PUBLIC_ZONE_ID,
            "name": option["resourceRecordName"],
            "type": option["resourceRecordType"],
            "records": [option["resourceRecordValue"]],
            "ttl": 60,
        }
        _, made, _ = self.engine.create(RECORD, "validation", record)
        inputs = {"certificateArn": arn, "validationRecordFqdns": [made["fqdn"]]}
        self.engine.create(VALIDATION, "server", inputs)
        return arn

    def log_bucket(self) -> str:
        bucket = self.bucket("logs")
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.engine.create(BUCKET_POLICY, "logs", {"bucket": bucket, "policy": document})
        return bucket

    def load_balancer(self, subnets: list[str], **more: Any) -> str:
        inputs = {"name": "front", "internal": True, "subnets": subnets, **more}
        return self.engine.create(LOAD_BALANCER, "front", inputs)[0]

    def target_group(self, vpc: str, **more: Any) -> str:
        inputs = {
            "name": "gateway",
            "port": 8443,
            "protocol": "HTTPS",
            "vpcId": vpc,
            "deregistrationDelay": 5,
            "healthCheck": {"protocol": "HTTPS", "path": "/healthz", "interval": 5, "timeout": 2},
            **more,
        }
        return self.engine.create(TARGET_GROUP, "gateway", inputs)[0]

    def listener(self, port: int, **more: Any) -> dict[str, Any]:
        """Inputs of a listener in verify mode, with everything that it needs."""
        vpc, subnets = self.network()
        return {
            "loadBalancerArn": self.load_balancer(subnets),
            "port": port,
            "protocol": "HTTPS",
            "sslPolicy": POLICY,
            "certificateArn": self.certificate(),
            "mutualAuthentication": {
                "mode": "verify",
                "trustStoreArn": self.trust_store(),
                "advertiseTrustStoreCaNames": "on",
            },
            f"{PREFIX}LeafHeaderName": "x-mtls-leaf-0123456789abcdef01234567",
            "defaultActions": [{"type": "forward", "targetGroupArn": self.target_group(vpc)}],
            **more,
        }
