"""What stand-in providers are made of, and what several services share.

A provider: `protocol` and `servicer` speak the engine's gRPC protocol, with `properties` as values and
`autonaming`; `provider` holds types, of which `resource_type` is the base, and each call is a `request`.
A type of AWS: `aws_type` (begin there), with `checks`, `model`, `registry` and `service_errors`.
Shared: `certificate_building`, `event_loop`, `ports`, `state_layout`.
"""
