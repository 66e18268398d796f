"""The AWS endpoint on loopback: every request is authenticated, authorised, journalled and then answered.

`aws_endpoint` starts it; `loopback_server` listens, `front_door` takes each request through `signature`,
`credentials`, `operations`, `resources` (what IAM is asked about) and `quotas`, and hands it to
`moto_backend` or to a service's own `api`. `journal` repeats writes after a restart, `refusals` has the
services' errors.
"""
