"""Keys and certificates of pulumi-tls: strength, lifetime, usages, and what is shared."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.property_checks import in_production
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.rds.resource_types import SUPERUSERS
from policy.text.carriers import TYPES
from policy.text.server_files import carried
from policy.type_tokens import POSTGRESQL_ROLE, SECRET_VERSION
from policy.values import TextPlace, Value

PRIVATE_KEY = "tls:index/privateKey:PrivateKey"
REQUEST = "tls:index/certRequest:CertRequest"
SIGNED = "tls:index/locallySignedCert:LocallySignedCert"
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"
CERTIFICATES = (SIGNED, SELF_SIGNED)
_PROVIDER = "https://www.pulumi.com/registry/packages/tls/api-docs"
_RFC = "https://www.rfc-editor.org/rfc/rfc5280"
CLIENT_DAYS, SERVER_DAYS, AUTHORITY_DAYS = 90, 398, 3653
_CLIENT, _SERVER = "client_auth", "server_auth"
# Types with secret outputs of their own.
_OTHER_SECRETS = ("random:", "aws:iam/accessKey:", "aws:ssm/", SECRET_VERSION)
# Properties from which others learn a key's public part.
_PUBLIC_PARTS = (
    (REQUEST, "privateKeyPem"),
    (SELF_SIGNED, "privateKeyPem"),
    (SIGNED, "caPrivateKeyPem"),
    ("aws:ec2/keyPair:KeyPair", "publicKey"),
)
_ANCHORS = re.compile(r"(?i)(?:ca|root|anchor|trust|bundle)")


def made_of_a_key(resource: Resource, name: str, stack: Stack) -> str:
    """The name of the key of the stack whose private part a property holds; empty where that is not proven.

    A preview does not know the key yet. What depends on nothing but a key and is secret holds its private
    part, since the public part is no secret. A key whose public part nothing uses is a source of random
    text, and what is secret may be a digest of it.
    """
    referred = [stack.by_urn(urn) for urn in resource.dependencies.get(name, ())]
    keys = [each for each in referred if each is not None and each.type == PRIVATE_KEY]
    others = [each for each in referred if each is not None and each.type.startswith(_OTHER_SECRETS)]
    if others or not keys or not resource[name].hides_a_secret():
        return ""
    return next((each.name for each in keys if _proves_somebody(each, stack)), "")


def _proves_somebody(key: Resource, stack: Stack) -> bool:
    """Whether a certificate, a request or a key pair of the stack has the key's public part."""
    return any(stack.referring(token, name, key) for token, name in _PUBLIC_PARTS)


def _uses(certificate: Resource) -> set[str]:
    return {each.text().lower() for each in certificate["allowedUses"].items()}


def _is_authority(certificate: Resource) -> bool:
    return certificate["isCaCertificate"].truth() is True


def _lifetime(certificate: Resource) -> Iterator[Outcome]:
    value = certificate["validityPeriodHours"]
    uses = _uses(certificate)
    if _is_authority(certificate):
        kind, days = "an authority", AUTHORITY_DAYS
    elif _CLIENT in uses or _SERVER not in uses:
        kind, days = "a client", CLIENT_DAYS
    else:
        kind, days = "a server", SERVER_DAYS
    hours = value.number()
    if hours is None or hours > days * 24:
        yield Problem(at=value, reason=f"expected {days * 24} hours ({days} days) or less for {kind}")


def client_lifetimes(stack: Stack) -> dict[str, float]:
    """Days for which each client certificate of the stack is valid, by its name, as far as that is known."""
    return {
        each.name: hours / 24
        for each in stack.of_types(CERTIFICATES)
        if each["allowedUses"].is_known and each["validityPeriodHours"].is_known
        if not _is_authority(each) and _SERVER not in _uses(each)
        if (hours := each["validityPeriodHours"].number()) is not None
    }


def _renews(certificate: Resource) -> Iterator[Outcome]:
    if _is_authority(certificate):
        return  # an authority is replaced by a new one beside it, not renewed in place
    value, validity = certificate["earlyRenewalHours"], certificate["validityPeriodHours"].number()
    early = value.number()
    if early is None or early <= 0:
        yield Problem(
            at=value, reason="expected the number of hours before expiry in which an update renews it"
        )
    elif validity is not None and early >= validity:
        yield Problem(at=value, reason=f"expected less than validityPeriodHours, {validity:g}")


def _strength(key: Resource) -> Iterator[Outcome]:
    algorithm = key["algorithm"].text().upper()
    if algorithm == "RSA":
        bits = key["rsaBits"]
        number = bits.number() if bits.given else 2048  # the provider's default
        if number is None or number < 3072:
            # NIST allows 2048 bits until 2030 (SP 800-57 part 1, table 4).
            enough = number is not None and number >= 2048
            reason = "expected 3072 or more; the provider's default is 2048"
            yield Problem(at=bits, reason=reason, severity=Severity.LOW if enough else None)
    elif algorithm == "ECDSA":
        curve = key["ecdsaCurve"]
        if curve.text().upper() not in ("P256", "P384"):
            yield Problem(at=curve, reason="expected P256 or P384; the provider's default is P224")
    elif algorithm != "ED25519":
        yield Problem(at=key["algorithm"], reason="expected ECDSA, RSA or ED25519")


def _usages(certificate: Resource) -> Iterator[Outcome]:
    value, uses = certificate["allowedUses"], _uses(certificate)
    if _is_authority(certificate):
        missing = sorted({"cert_signing", "crl_signing"} - uses)
        if missing:
            yield Problem(at=value, reason=f"expected {' and '.join(missing)} for an authority")
        if uses & {_CLIENT, _SERVER}:
            yield Problem(at=value, reason="expected neither client_auth nor server_auth for an authority")
        return
    if uses & {"cert_signing", "crl_signing"}:
        yield Problem(
            at=value, reason="expected neither cert_signing nor crl_signing, since it is not an authority"
        )
    elif "any_extended" in uses:
        yield Problem(
            at=value, reason="expected no any_extended, which makes a client certificate valid for servers"
        )
    elif _CLIENT in uses and _SERVER in uses:
        yield Problem(at=value, reason="expected client_auth or server_auth, not both")
    elif not uses & {_CLIENT, _SERVER}:
        yield Problem(at=value, reason="expected client_auth or server_auth")


def _no_leaf_as_anchor(certificate: Resource, stack: Stack) -> Iterator[Outcome]:
    if certificate.type != SELF_SIGNED or _is_authority(certificate):
        return
    for other in stack.resources:
        for name, urns in other.dependencies.items():
            if certificate.urn in urns and _ANCHORS.search(name):
                yield Problem(
                    at=certificate["isCaCertificate"],
                    reason=f"expected true, since {other.name}.{name} trusts it as an authority",
                )


def _signed_with(request: Resource, stack: Stack) -> list[Resource]:
    return stack.referring(SIGNED, "certRequestPem", request)


def _common_name(request: Resource, stack: Stack) -> Iterator[Outcome]:
    if not any(_CLIENT in _uses(each) for each in _signed_with(request, stack)):
        return
    value = _subject(request, "commonName")
    name = value.text()
    roles = {each["name"].text() for each in stack.of_types((POSTGRESQL_ROLE,)) if each["name"].is_known}
    if not name or "*" in name:
        yield Problem(at=value, reason="expected the name of one role")
    elif name.lower() in SUPERUSERS:
        yield Problem(at=value, reason="expected a role that is not a superuser")
    elif roles and name not in roles and not _mapped_roles(name, stack) & roles:
        yield Problem(at=value, reason=f"expected a role of the stack: {', '.join(sorted(roles))}")


def _mapped_roles(name: str, stack: Stack) -> set[str]:
    """The roles as which a pg_ident.conf of the stack lets a name in."""
    files = [carried(each) for each in stack.of_types(TYPES)]
    lines = [mapping for each in files for file in each.ident for _, mapping in file.mappings]
    return {mapping.database_user for mapping in lines if mapping.system_user == name}


def _subject(resource: Resource, key: str) -> Value:
    subject = resource["subject"]
    if not isinstance(subject.known, list):
        return subject.at(key)
    return subject.items()[0].at(key) if subject.known else subject.emptied()


def _names(resource: Resource, stack: Stack) -> Iterator[Outcome]:
    certificates = [resource] if resource.type == SELF_SIGNED else _signed_with(resource, stack)
    is_server = any(_SERVER in _uses(each) and not _is_authority(each) for each in certificates)
    named = [
        name for name in ("dnsNames", "ipAddresses") if resource[name].given and resource[name].raw != []
    ]
    if is_server and not named:
        yield Problem(at=resource["dnsNames"], reason="expected the names that clients connect to")


def _one_holder(key: Resource, stack: Stack) -> Iterator[Outcome]:
    holders = [
        each.name for token in (REQUEST, SELF_SIGNED) for each in stack.referring(token, "privateKeyPem", key)
    ]
    if len(holders) > 1:
        yield Problem(
            at=TextPlace(path="privateKeyPem"),
            reason=f"{' and '.join(sorted(holders))} use the same key",
        )


def _authorities_apart(certificate: Resource, stack: Stack) -> Iterator[Outcome]:
    if _CLIENT not in _uses(certificate):
        return
    own = {each.urn for each in stack.all_referred(certificate, "caPrivateKeyPem", (PRIVATE_KEY,))}
    for other in stack.of_types((SIGNED,)):
        keys = {each.urn for each in stack.all_referred(other, "caPrivateKeyPem", (PRIVATE_KEY,))}
        if other is not certificate and own & keys and _SERVER in _uses(other):
            yield Problem(
                at=certificate["caPrivateKeyPem"].hidden(),
                reason=f"the same authority signs the server certificate {other.name}; expected another one",
            )
            return


def _not_in_production(key: Resource, stack: Stack) -> Iterator[Outcome]:
    if not in_production(key):
        return
    for certificate in stack.referring(SELF_SIGNED, "privateKeyPem", key):
        if _is_authority(certificate):
            yield Problem(
                at=TextPlace(path="privateKeyPem"),
                reason=f"it is the key of the authority {certificate.name}, in production state",
            )
    for request in stack.referring(REQUEST, "privateKeyPem", key):
        if any(_SERVER in _uses(each) for each in _signed_with(request, stack)):
            yield Problem(
                at=TextPlace(path="privateKeyPem"),
                reason=f"it is the key of the server of {request.name}, in production state",
            )


RULES = (
    Rule(
        id="PGTLS-N20",
        title="Certificate lifetimes are limited",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=CERTIFICATES,
        checks=(_lifetime,),
        why="A stolen key can be used for as long as its certificate is valid.",
        fix=f"set validityPeriodHours: clients at most {CLIENT_DAYS} days, servers {SERVER_DAYS}, "
        "authorities 10 years",
        link=f"{_PROVIDER}/locallysignedcert/",
    ),
    Rule(
        id="PGTLS-N21",
        title="Certificates are renewed before they expire",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=CERTIFICATES,
        checks=(_renews,),
        why="Without earlyRenewalHours no update renews the certificate, and it expires unnoticed.",
        fix="set earlyRenewalHours to more than 0 and less than validityPeriodHours",
        link=f"{_PROVIDER}/locallysignedcert/",
    ),
    Rule(
        id="PGTLS-N22",
        title="Private keys are strong",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(PRIVATE_KEY,),
        checks=(_strength,),
        why="The provider's defaults are RSA with 2048 bits and the curve P224.",
        fix="set algorithm to ECDSA with ecdsaCurve P256 or P384, or to RSA with rsaBits 3072",
        link=f"{_PROVIDER}/privatekey/",
    ),
    Rule(
        id="PGTLS-N23",
        title="Certificates allow the usages of their purpose only",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=CERTIFICATES,
        checks=(_usages,),
        why="With a client certificate that is valid for servers, the client can impersonate the server.",
        fix="set allowedUses to client_auth or server_auth; for an authority to cert_signing and crl_signing",
        link=f"{_RFC}#section-4.2.1.12",
    ),
    Rule(
        id="PGTLS-N24",
        title="Only authorities are trusted as authorities",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(SELF_SIGNED,),
        stack_checks=(_no_leaf_as_anchor,),
        why="The server's key could sign clients, and renewing it would replace the trust anchor.",
        fix="create an authority (isCaCertificate) and let it sign the certificate",
        link=f"{_RFC}#section-4.2.1.9",
    ),
    Rule(
        id="PGTLS-N25",
        title="A client certificate names one role that is not a superuser",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(REQUEST,),
        stack_checks=(_common_name,),
        why="PostgreSQL logs the client in as the role in the common name, or as the role to which "
        "pg_ident.conf maps it.",
        fix="set subject.commonName to the role's name, or map the name to a role in pg_ident.conf",
        link="https://www.postgresql.org/docs/current/auth-cert.html",
    ),
    Rule(
        id="PGTLS-N26",
        title="Server certificates contain the names that clients connect to",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(REQUEST, SELF_SIGNED),
        stack_checks=(_names,),
        why="Without these names verify-full fails, and people turn it off.",
        fix="set dnsNames or ipAddresses; clients ignore the common name",
        link="https://www.rfc-editor.org/rfc/rfc9525",
    ),
    Rule(
        id="PGTLS-N27",
        title="Every certificate has a private key of its own",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(PRIVATE_KEY,),
        stack_checks=(_one_holder,),
        why="Two holders of one key cannot be told apart.",
        fix="create a PrivateKey for each certificate",
        link=f"{_PROVIDER}/privatekey/",
    ),
    Rule(
        id="PGTLS-N28",
        title="Clients and servers have separate authorities",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(SIGNED,),
        stack_checks=(_authorities_apart,),
        why="One stolen authority key could then sign both clients and servers.",
        fix="sign client certificates with a separate authority",
        link="https://www.postgresql.org/docs/current/ssl-tcp.html",
    ),
    Rule(
        id="PGTLS-N29",
        title="Production state holds no private keys of authorities or servers",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(PRIVATE_KEY,),
        stack_checks=(_not_in_production,),
        why="pulumi-tls keeps keys in the state, so whoever can read the state can sign certificates.",
        fix="keep the authority outside of Pulumi and pass its certificates to the program",
        link=f"{_PROVIDER}/privatekey/",
    ),
)
