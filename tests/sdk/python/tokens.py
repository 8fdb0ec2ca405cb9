"""Client tokens made by hand."""

import base64
import hashlib
import hmac
import json
import time

TOKEN_SECRET = "the-token-secret-of-the-tests"


def token_for(sub: str, ttl: int = 3600, **more) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': sub, 'exp': int(time.time()) + ttl, **more})}"
    signature = hmac.new(TOKEN_SECRET.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
