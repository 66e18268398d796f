"""The Pulumi program: one stack's settings, the components they ask for, and what the stack exports."""

import pulumi

from stacks import gateway, rds, self_managed
from stacks.stack import Stack

STACK = Stack.selected()

databases = {}
entrance = None
if STACK.settings.self_managed is not None:
    server = self_managed.deploy(STACK, STACK.settings.self_managed)
    databases[self_managed.NAME] = server.connection
    pulumi.export("host", server.host)
    pulumi.export("port", STACK.settings.self_managed.port)
    pulumi.export("pendingRestart", server.pending_restart)
if STACK.settings.rds is not None:
    instance, application_roles = rds.deploy(STACK, STACK.settings.rds)
    databases[rds.NAME] = instance.connection
    pulumi.export("rdsHost", instance.host)
    pulumi.export("rdsResourceId", instance.resource_id)
    pulumi.export("applicationRoles", application_roles)
    if STACK.settings.gateway is not None:
        front = gateway.deploy(
            STACK, STACK.settings.gateway, instance, gateway.artifact(STACK.settings.gateway)
        )
        entrance = front.connection
        pulumi.export("gatewayUrl", front.url)

pulumi.export("connections", STACK.connections(databases, entrance))
