"""The engine's encryption by passphrase: a placeholder is encrypted like the secret that it replaces.

Source: `sdk/go/common/resource/config/crypt.go` of pulumi/pulumi.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from functools import cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ITERATIONS = 1_000_000
_KEY_BYTES = 32
_NONCE_BYTES = 12


def encryption(passphrase: str, salt: str) -> Callable[[str], str]:
    """A function that encrypts values for a stack.

    Args:
        passphrase: The stack's passphrase.
        salt: The `encryptionsalt` of its stack file, `v1:<salt>:<proof>`.
    """

    @cache
    def cipher() -> AESGCM:
        # Slow by design: do it only for a stack file with secrets.
        raw = base64.b64decode(salt.split(":")[1])
        return AESGCM(hashlib.pbkdf2_hmac("sha256", passphrase.encode(), raw, _ITERATIONS, _KEY_BYTES))

    def encrypt(text: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = cipher().encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    return encrypt
