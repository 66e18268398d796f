"""The resource types that carry text: scripts, environments, commands, manifests, files.

One table. Every rule about text takes its texts from here, so that a new carrier is one more row and one
example. What a property holds is found in it by shape (`policy.text.embedded_text`): base64, gzip, JSON and
YAML are opened, pairs of name and value are variables, and the words of a command are one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from policy.resources import Resource
from policy.text.embedded_text import Text, decoded_base64, known_texts, unread_assets
from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE, SSM_PARAMETER
from policy.values import UNKNOWN, Secret


class Holds(StrEnum):
    """What a property holds."""

    MACHINE = "what a machine runs when it starts"
    COMMANDS = "containers, with their commands and environment"
    REMOTE = "commands for machines that are other resources"
    VARIABLES = "variables by name"
    ENCODED = "variables by name, or a file, in base64"
    PROGRAM = "a program, as an archive"
    ELSEWHERE = "the place of a file that the pack cannot read"
    FILE = "the content of a file, which the resource's key or name names"


_USER_DATA = MappingProxyType({"userData": Holds.MACHINE, "userDataBase64": Holds.MACHINE})
_OBJECT = MappingProxyType({"content": Holds.FILE, "contentBase64": Holds.FILE, "source": Holds.FILE})
_COMMAND = MappingProxyType(
    {
        "create": Holds.REMOTE,
        "update": Holds.REMOTE,
        "delete": Holds.REMOTE,
        "stdin": Holds.REMOTE,
        "environment": Holds.VARIABLES,
    }
)
_MANIFEST = MappingProxyType({"spec": Holds.COMMANDS})
_TEMPLATE = MappingProxyType({"templateBody": Holds.COMMANDS, "parameters": Holds.VARIABLES})
_SETTINGS = MappingProxyType({"settings": Holds.VARIABLES})

CARRIERS: Mapping[str, Mapping[str, Holds]] = MappingProxyType(
    {
        EC2_INSTANCE: _USER_DATA,
        LAUNCH_TEMPLATE: _USER_DATA,
        "aws:ec2/launchConfiguration:LaunchConfiguration": _USER_DATA,
        "aws:ec2/spotInstanceRequest:SpotInstanceRequest": _USER_DATA,
        "aws:ec2/spotFleetRequest:SpotFleetRequest": {"launchSpecifications": Holds.MACHINE},
        "aws:lightsail/instance:Instance": {"userData": Holds.MACHINE},
        "aws:lightsail/containerServiceDeploymentVersion:ContainerServiceDeploymentVersion": {
            "containers": Holds.COMMANDS
        },
        "aws:imagebuilder/component:Component": {"data": Holds.REMOTE},
        "aws:ssm/document:Document": {"content": Holds.REMOTE},
        "aws:ssm/association:Association": {"parameters": Holds.REMOTE},
        "aws:ssm/maintenanceWindowTask:MaintenanceWindowTask": {"taskInvocationParameters": Holds.REMOTE},
        SSM_PARAMETER: {"value": Holds.FILE, "insecureValue": Holds.FILE},
        "aws:s3/bucketObject:BucketObject": _OBJECT,
        "aws:s3/bucketObjectv2:BucketObjectv2": _OBJECT,
        "aws:ecs/taskDefinition:TaskDefinition": {"containerDefinitions": Holds.COMMANDS},
        "aws:batch/jobDefinition:JobDefinition": {
            "containerProperties": Holds.COMMANDS,
            "ecsProperties": Holds.COMMANDS,
            "eksProperties": Holds.COMMANDS,
            "nodeProperties": Holds.COMMANDS,
            "parameters": Holds.VARIABLES,
        },
        "aws:s3/objectCopy:ObjectCopy": {"source": Holds.ELSEWHERE},
        "aws:lambda/function:Function": {
            "environment": Holds.VARIABLES,
            "imageConfig": Holds.COMMANDS,
            "code": Holds.PROGRAM,
        },
        "aws:lambda/layerVersion:LayerVersion": {"code": Holds.PROGRAM},
        "aws:apprunner/service:Service": {"sourceConfiguration": Holds.COMMANDS},
        "aws:codebuild/project:Project": {
            "environment": Holds.VARIABLES,
            "source": Holds.COMMANDS,
            "secondarySources": Holds.COMMANDS,
        },
        "aws:glue/job:Job": {"defaultArguments": Holds.VARIABLES, "nonOverridableArguments": Holds.VARIABLES},
        "aws:glue/connection:Connection": {"connectionProperties": Holds.VARIABLES},
        "aws:sfn/stateMachine:StateMachine": {"definition": Holds.COMMANDS},
        "aws:amplify/app:App": {"environmentVariables": Holds.VARIABLES, "buildSpec": Holds.COMMANDS},
        "aws:cloudformation/stack:Stack": _TEMPLATE,
        "aws:cloudformation/stackSet:StackSet": _TEMPLATE,
        "aws:elasticbeanstalk/environment:Environment": _SETTINGS,
        "aws:elasticbeanstalk/configurationTemplate:ConfigurationTemplate": _SETTINGS,
        "aws:eks/addon:Addon": {"configurationValues": Holds.COMMANDS},
        "command:local:Command": _COMMAND,
        "command:remote:Command": _COMMAND,
        "command:remote:CopyToRemote": {"source": Holds.FILE},
        "command:remote:CopyFile": {"localPath": Holds.ELSEWHERE},
        "docker:index/container:Container": {
            "envs": Holds.VARIABLES,
            "command": Holds.COMMANDS,
            "entrypoints": Holds.COMMANDS,
            "uploads": Holds.COMMANDS,
        },
        "docker:index/service:Service": {"taskSpec": Holds.COMMANDS},
        "docker:index/serviceConfig:ServiceConfig": {"data": Holds.ENCODED},
        "docker:index/image:Image": {"build": Holds.COMMANDS},
        "docker-build:index:Image": {"buildArgs": Holds.VARIABLES, "dockerfile": Holds.COMMANDS},
        "kubernetes:core/v1:ConfigMap": {"data": Holds.VARIABLES, "binaryData": Holds.ENCODED},
        "kubernetes:core/v1:Secret": {"stringData": Holds.VARIABLES, "data": Holds.ENCODED},
        "kubernetes:core/v1:Pod": _MANIFEST,
        "kubernetes:core/v1:ReplicationController": _MANIFEST,
        "kubernetes:apps/v1:Deployment": _MANIFEST,
        "kubernetes:apps/v1:StatefulSet": _MANIFEST,
        "kubernetes:apps/v1:DaemonSet": _MANIFEST,
        "kubernetes:apps/v1:ReplicaSet": _MANIFEST,
        "kubernetes:batch/v1:Job": _MANIFEST,
        "kubernetes:batch/v1:CronJob": _MANIFEST,
        "kubernetes:helm.sh/v3:Release": {"values": Holds.COMMANDS, "valueYamlFiles": Holds.COMMANDS},
        # Operators: CloudNativePG, Zalando and Crunchy Data.
        "kubernetes:postgresql.cnpg.io/v1:Cluster": _MANIFEST,
        "kubernetes:acid.zalan.do/v1:postgresql": _MANIFEST,
        "kubernetes:postgres-operator.crunchydata.com/v1beta1:PostgresCluster": _MANIFEST,
    }
)
"""What the properties of each resource type hold."""

TYPES = tuple(CARRIERS)


def _holding(*kinds: Holds) -> frozenset[str]:
    return frozenset(token for token, held in CARRIERS.items() if set(kinds) & set(held.values()))


MACHINES = _holding(Holds.MACHINE, Holds.COMMANDS)
"""The types that are machines or containers."""

RUNNING = MACHINES | _holding(Holds.REMOTE)
"""The types that run something, and so can install a server."""

SOURCES = tuple(sorted(CARRIERS.keys() - MACHINES))
"""The types from which a machine can have a file: what is stored, and commands from elsewhere."""

_CREDENTIAL = re.compile(r"(?i)passw|secret|token|key|dsn|ur[il]|conn|ssl|tls")
_NAMED = ("key", "name")
# Files of which the name says that they are read by a server, a shell or a program.
_READ = re.compile(r"(?i)\.(?:conf|sh|env|sql|ya?ml|json|toml|ini|properties|service|py|js|rb|pem|key)$")


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The texts of one resource's carriers.

    Attributes:
        texts: Every known text.
        unknown: Properties whose content is not known before the update.
        unread: Why others cannot be read at all.
        unknown_variables: Variables with a name of a credential or a connection whose value is not known.
    """

    texts: tuple[Text, ...] = ()
    unknown: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    unknown_variables: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def property_texts(resource: Resource, name: str) -> tuple[Text, ...]:
    """Every text in a property of any resource, found once for all rules."""
    held = CARRIERS.get(resource.type, {}).get(name)
    value = resource[name]
    if held is Holds.ENCODED:
        value = replace(value, raw=_opened(value.raw))
    if held is Holds.ELSEWHERE:
        return ()
    return tuple(known_texts(value, _file_name(resource) if held is Holds.FILE else ""))


@lru_cache(maxsize=512)
def carried_texts(resource: Resource) -> Carried:
    """The texts in the properties of a resource that carry some."""
    held = CARRIERS.get(resource.type, {})
    return Carried(
        texts=tuple(text for name in held for text in property_texts(resource, name)),
        unknown=tuple(
            name
            for name, holds in held.items()
            if resource[name].raw is UNKNOWN
            and holds not in (Holds.VARIABLES, Holds.ENCODED, Holds.ELSEWHERE)
        ),
        unread=tuple(why for name, holds in held.items() for why in _unread(resource, name, holds)),
        unknown_variables=tuple(
            path for name in held for path in _unknown(name, resource.properties.get(name))
        ),
    )


def _unread(resource: Resource, name: str, holds: Holds) -> Iterator[str]:
    if holds is not Holds.ELSEWHERE:
        for path, problem in unread_assets(name, resource.properties.get(name)):
            yield f"{path}: {problem}"
    elif resource[name].given and _READ.search(file := _file_name(resource)):
        yield f"{name}: {file} comes from elsewhere, so it cannot be read here"


def _opened(raw: Any) -> Any:
    """The value with texts in place of base64, also of what is too short to be recognised as such."""
    if isinstance(raw, Secret):
        return Secret(_opened(raw.value))
    if isinstance(raw, Mapping):
        return {key: _opened(each) for key, each in raw.items()}
    return decoded_base64(raw) if isinstance(raw, str) else raw


def _file_name(resource: Resource) -> str:
    """The key, name or path by which a file is stored, where it is known."""
    named = ("remotePath",) if resource.type.startswith("command:") else _NAMED
    names = (resource[each] for each in named)
    return next((each.text() for each in names if each.is_known and each.given), "")


def _unknown(path: str, raw: Any, name: str = "") -> Iterator[str]:
    """Paths of the unknown values below a property whose names say that they could matter."""
    if isinstance(raw, Secret):
        yield from _unknown(path, raw.value, name)
    elif isinstance(raw, list):
        for index, each in enumerate(raw):
            yield from _unknown(f"{path}[{index}]", each, name)
    elif isinstance(raw, Mapping):
        given = raw.get("name")
        for key, each in raw.items():
            named = given if key == "value" and isinstance(given, str) else str(key)
            yield from _unknown(f"{path}.{key}", each, named)
    elif raw is UNKNOWN and _CREDENTIAL.search(name):
        yield path
