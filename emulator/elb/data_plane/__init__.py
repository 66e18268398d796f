"""An Application Load Balancer's data plane: mutual TLS as ALB does it, then HTTP to the targets.

It is made to refuse at least what ALB refuses, with the same codes, and to remove nothing of which AWS does
not say that it is removed. It differs from ALB in these points: it speaks HTTP/1.1 alone, no HTTP/2 and no
WebSocket; a listener has one certificate and one action, no rules; targets have no weights and no stickiness.
Where AWS does not say how something is counted (the depth of a chain) or decided (an intermediate authority
without its root in the trust store), it takes the stricter reading.
"""
