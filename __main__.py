"""The Pulumi program: one stack's settings, the components they ask for, and what the stack exports."""

import pulumi

from components.stack import deploy, selected_settings

for name, value in deploy(pulumi.get_stack(), selected_settings()).items():
    pulumi.export(name, value)
