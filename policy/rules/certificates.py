"""Keys and certificates that pulumi-tls makes: strength, lifetime, usages, and who shares what."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.registered import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.values import TextPlace, Value

PRIVATE_KEY = "tls:index/privateKey:PrivateKey"
REQUEST = "tls:index/certRequest:CertRequest"
SIGNED = "tls:index/locallySignedCert:LocallySignedCert"
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"
CERTIFICATES = (SIGNED, SELF_SIGNED)
_ROLE = "postgresql:index/role:Role"
_PROVIDER = "https://www.pulumi.com/registry/packages/tls/api-docs"
_RFC = "https://www.rfc-editor.org/rfc/rfc5280"
CLIENT_DAYS, SERVER_DAYS, AUTHORITY_DAYS = 90, 398, 3653
_CLIENT, _SERVER = "client_auth", "server_auth"
_SUPERUSERS = ("postgres", "rds_superuser", "rdsadmin")
_PRODUCTION = re.compile(r"^urn:pulumi:(?:[^:]*[-_.])?prod(?:uction)?(?:[-_.][^:]*)?::", re.IGNORECASE)
_ANCHORS = re.compile(r"(?i)(?:ca|root|anchor|trust|bundle)")


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
        yield Problem(at=value, reason=f"expected {days * 24} hours or less for {kind}, {days} days")


def _renews(certificate: Resource) -> Iterator[Outcome]:
    if _is_authority(certificate):
        return  # an authority is replaced by a new one beside it, never renewed in place
    value, validity = certificate["earlyRenewalHours"], certificate["validityPeriodHours"].number()
    early = value.number()
    if early is None or early <= 0:
        yield Problem(at=value, reason="expected the hours before expiry in which an update renews")
    elif validity is not None and early >= validity:
        yield Problem(at=value, reason=f"expected less than its whole life, {validity:g} hours")


def _strength(key: Resource) -> Iterator[Outcome]:
    algorithm = key["algorithm"].text().upper()
    if algorithm == "RSA":
        bits = key["rsaBits"]
        if (bits.number() or 0) < 3072:
            yield Problem(at=bits, reason="expected 3072 at least (the provider takes 2048)")
    elif algorithm == "ECDSA":
        curve = key["ecdsaCurve"]
        if curve.text().upper() not in ("P256", "P384"):
            yield Problem(at=curve, reason="expected P256 or P384 (the provider takes P224)")
    elif algorithm != "ED25519":
        yield Problem(at=key["algorithm"], reason="expected ECDSA, RSA or ED25519")


def _usages(certificate: Resource) -> Iterator[Outcome]:
    value, uses = certificate["allowedUses"], _uses(certificate)
    if _is_authority(certificate):
        missing = sorted({"cert_signing", "crl_signing"} - uses)
        if missing:
            yield Problem(at=value, reason=f"an authority expects {' and '.join(missing)}")
        if uses & {_CLIENT, _SERVER}:
            yield Problem(at=value, reason="an authority is no client and no server")
        return
    if uses & {"cert_signing", "crl_signing"}:
        yield Problem(at=value, reason="only an authority signs; set isCaCertificate, or remove it")
    elif "any_extended" in uses:
        yield Problem(at=value, reason="any_extended lets a client be a server")
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
                    reason=f"{other.name}.{name} trusts it as an authority",
                )


def _signed_with(request: Resource, stack: Stack) -> list[Resource]:
    return stack.referring(SIGNED, "certRequestPem", request)


def _common_name(request: Resource, stack: Stack) -> Iterator[Outcome]:
    if not any(_CLIENT in _uses(each) for each in _signed_with(request, stack)):
        return
    value = _subject(request, "commonName")
    name = value.text()
    roles = {each["name"].text() for each in stack.of_types((_ROLE,)) if each["name"].is_known}
    if not name or "*" in name:
        yield Problem(at=value, reason="expected the name of one role")
    elif name.lower() in _SUPERUSERS:
        yield Problem(at=value, reason="expected a role that is no superuser")
    elif roles and name not in roles:
        yield Problem(at=value, reason=f"expected a role of the stack: {', '.join(sorted(roles))}")


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
        yield Problem(at=resource["dnsNames"], reason="expected the names by which clients reach it")


def _one_holder(key: Resource, stack: Stack) -> Iterator[Outcome]:
    holders = [
        each.name for token in (REQUEST, SELF_SIGNED) for each in stack.referring(token, "privateKeyPem", key)
    ]
    if len(holders) > 1:
        yield Problem(
            at=TextPlace(path="privateKeyPem"),
            reason=f"{' and '.join(sorted(holders))} have the same key",
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
                reason=f"the same authority signs the server certificate {other.name}",
            )
            return


def _not_in_production(key: Resource, stack: Stack) -> Iterator[Outcome]:
    if _PRODUCTION.match(key.urn) is None:
        return
    for certificate in stack.referring(SELF_SIGNED, "privateKeyPem", key):
        if _is_authority(certificate):
            yield Problem(
                at=TextPlace(path="privateKeyPem"),
                reason=f"the key of the authority {certificate.name} is in the state of production",
            )
    for request in stack.referring(REQUEST, "privateKeyPem", key):
        if any(_SERVER in _uses(each) for each in _signed_with(request, stack)):
            yield Problem(
                at=TextPlace(path="privateKeyPem"),
                reason=f"the key of the server of {request.name} is in the state of production",
            )


RULES = (
    Rule(
        id="PGTLS-N20",
        title="A certificate does not live too long",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=CERTIFICATES,
        checks=(_lifetime,),
        why="A stolen key is good as long as its certificate.",
        fix=f"set validityPeriodHours: clients {CLIENT_DAYS} days, servers {SERVER_DAYS}, CAs 10 years",
        link=f"{_PROVIDER}/locallysignedcert/",
    ),
    Rule(
        id="PGTLS-N21",
        title="A certificate is renewed before it expires",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=CERTIFICATES,
        checks=(_renews,),
        why="Without earlyRenewalHours no update ever renews it, until everything stands still.",
        fix="set earlyRenewalHours, above 0 and below validityPeriodHours",
        link=f"{_PROVIDER}/locallysignedcert/",
    ),
    Rule(
        id="PGTLS-N22",
        title="A key is strong",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(PRIVATE_KEY,),
        checks=(_strength,),
        why="The provider's defaults are RSA with 2048 bits and the curve P224.",
        fix="set algorithm ECDSA with ecdsaCurve P256 or P384, or RSA with rsaBits 3072",
        link=f"{_PROVIDER}/privatekey/",
    ),
    Rule(
        id="PGTLS-N23",
        title="A certificate may be used for what it is for",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=CERTIFICATES,
        checks=(_usages,),
        why="A client's certificate that is good for servers lets the client be the server.",
        fix="set allowedUses: client_auth; or server_auth; or for an authority cert_signing and crl_signing",
        link=f"{_RFC}#section-4.2.1.12",
    ),
    Rule(
        id="PGTLS-N24",
        title="What is trusted as an authority is one",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(SELF_SIGNED,),
        stack_checks=(_no_leaf_as_anchor,),
        why="The server's own key would sign clients, and would have to be replaced with each certificate.",
        fix="make an authority (isCaCertificate), and let it sign the certificate",
        link=f"{_RFC}#section-4.2.1.9",
    ),
    Rule(
        id="PGTLS-N25",
        title="A client certificate names one role, never a superuser",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(REQUEST,),
        stack_checks=(_common_name,),
        why="PostgreSQL lets in whom the common name names.",
        fix="set subject.commonName to the role",
        link="https://www.postgresql.org/docs/current/auth-cert.html",
    ),
    Rule(
        id="PGTLS-N26",
        title="A server certificate has the names that clients use",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(REQUEST, SELF_SIGNED),
        stack_checks=(_names,),
        why="Without them verify-full fails, and is then turned off.",
        fix="set dnsNames or ipAddresses; the common name alone does not count",
        link="https://www.rfc-editor.org/rfc/rfc9525",
    ),
    Rule(
        id="PGTLS-N27",
        title="A private key belongs to one certificate",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(PRIVATE_KEY,),
        stack_checks=(_one_holder,),
        why="Who acted cannot be told when two hold the same key.",
        fix="make a PrivateKey for each",
        link=f"{_PROVIDER}/privatekey/",
    ),
    Rule(
        id="PGTLS-N28",
        title="Clients and servers have different authorities",
        area=Area.TLS,
        severity=Severity.LOW,
        types=(SIGNED,),
        stack_checks=(_authorities_apart,),
        why="Whoever gets one key can then make both clients and servers.",
        fix="sign clients with an authority of their own",
        link="https://www.postgresql.org/docs/current/ssl-tcp.html",
    ),
    Rule(
        id="PGTLS-N29",
        title="Production's state holds no key of an authority or a server",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(PRIVATE_KEY,),
        stack_checks=(_not_in_production,),
        why="pulumi-tls keeps keys in the state, and whoever reads it can make clients.",
        fix="keep the authority outside, and give its certificates to the program",
        link=f"{_PROVIDER}/privatekey/",
    ),
)
