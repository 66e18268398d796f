"""The Pulumi program: one stack's settings, the components they ask for, and what the stack exports."""

import asyncio
import gc

import pulumi

from components.stack import deploy, selected_settings


async def main() -> dict[str, pulumi.Input[object]]:
    """Deploy the stack, and return what it exports."""
    exports = deploy(pulumi.get_stack(), selected_settings())
    # Pulumi goes through all open outputs each time that one of them is done. With most of them done before
    # that, an unchanged update takes a quarter less time. An error is left to Pulumi, which raises it.
    await asyncio.wait([asyncio.ensure_future(pulumi.Output.all(**exports).future())])
    return exports


# The program is short. Looking for garbage among the classes of AWS's resources takes a fifth of its time.
gc.disable()
pulumi.run(main)
