"""What schemathesis cannot guess: how a delta looks. `cargo xtask schemathesis` makes one, and says where the server is."""

import os
import urllib.request

import requests
import schemathesis
from hypothesis import strategies as st

DELTA = "application/vnd.watersmeet.delta"
with open(os.environ["DELTA"], "rb") as file:
    delta = file.read()

schemathesis.openapi.media_type(DELTA, st.just(delta))


@schemathesis.serializer(DELTA)
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


send = requests.adapters.HTTPAdapter.send


def send_and_follow_no_stream(self, request, **kwargs):
    """A stream of events has no end to wait for: its head is what is looked at. What it says, sync-server/tests/http.rs
    hears."""
    response = send(self, request, **kwargs)
    if response.headers.get("Content-Type", "").startswith("text/event-stream"):
        response._content, response._content_consumed = b"", True
        response.raw.close()
    return response


requests.adapters.HTTPAdapter.send = send_and_follow_no_stream

# The document that schemathesis.toml names, so that there is one to be read.
url = os.environ["SERVER"] + "/docs/old-mill/deltas"
urllib.request.urlopen(urllib.request.Request(url, delta, {"Content-Type": DELTA})).read()
