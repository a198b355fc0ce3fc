# pip install "pyjwt[crypto]"
import os, sys
import jwt

issuer = os.environ.get("ISSUER", "http://localhost:3000")
audience = os.environ.get("AUDIENCE", "https://orders.example")
keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")

def verify(token):
    verified = jwt.decode_complete(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=["RS256"],
        issuer=issuer,
        audience=audience,
        options={"require": ["exp", "iss", "aud", "sub", "client_id"]},
    )
    if verified["header"].get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    return verified["payload"]

print(verify(sys.argv[1]))
