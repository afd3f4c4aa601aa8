"""What schemathesis cannot guess: how a delta looks. `cargo xtask schemathesis` makes one, and says where the server is."""

import os
import urllib.request

import schemathesis
from hypothesis import strategies as st

DELTA = "application/vnd.watersmeet.delta"
with open(os.environ["DELTA"], "rb") as file:
    delta = file.read()

schemathesis.openapi.media_type(DELTA, st.just(delta))


@schemathesis.serializer(DELTA)
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


# The document that schemathesis.toml names, so that there is one to be read.
url = os.environ["SERVER"] + "/docs/old-mill/deltas"
urllib.request.urlopen(urllib.request.Request(url, delta, {"Content-Type": DELTA})).read()
